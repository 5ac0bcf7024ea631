//! Those who follow services and names: one slot per follower that the actor fills and async code empties. A follower that
//! does not empty it costs a bounded slot and then reads the service again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::mailbox::Lease;
use super::request::Names;
use super::rows::{Changed, Head};
use crate::error::{Code, Error, Result};
use crate::fork::Owned;
use crate::registry::undecodable::Decoder;
use crate::registry::{Change, Follow, FollowNames, Position, Update};

/// Silence after which a follower is told that all is well, if it is.
const SILENCE: Duration = Duration::from_secs(5);
/// Changes that a slot holds; whoever is further behind reads the service again.
const SLOT: usize = 4096;

/// What one follower has not taken yet.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    changes: Vec<Raw>,
    /// The history it follows and how far it was told of it.
    at: Option<Position>,
    end: Option<End>,
}

/// A change whose body is not decoded yet: that is for the follower's own thread.
struct Raw {
    id: String,
    /// `None`: deleted.
    body: Option<Vec<u8>>,
}

enum End {
    Reload,
    Failed(Error),
}

impl Slot {
    pub(super) fn new(head: Head) -> Self {
        let slot = Slot::default();
        slot.state().at = Some(position(head));
        slot
    }

    /// A slot for a position that can't be followed.
    pub(super) fn reload() -> Self {
        let slot = Slot::default();
        slot.finish(End::Reload);
        slot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what changed by `head`, unless the follower knows it.
    pub(super) fn fill(&self, changes: &[&Changed], head: Head) {
        let mut state = self.state();
        let known = state.at.map_or(0, |at| at.index);
        let news = changes.iter().filter(|change| change.revision > known).map(|change| Raw {
            id: change.id.clone(),
            // No body is not an instance either, and is found to be none where all are decoded.
            body: change.now.as_ref().map(|now| now.body.clone().unwrap_or_default()),
        });
        state.changes.extend(news);
        state.at = Some(position(head));
        if state.changes.len() > SLOT {
            state.end = Some(End::Reload);
        }
        if state.end.is_some() {
            state.changes = Vec::new();
        }
        drop(state);
        self.filled.notify_one();
    }

    fn finish(&self, end: End) {
        let mut state = self.state();
        state.changes = Vec::new();
        state.end.get_or_insert(end);
        drop(state);
        self.filled.notify_one();
    }

    fn take(&self, decode: impl Fn(&str, &[u8]) -> Option<Change>) -> Option<Result<Update>> {
        let mut state = self.state();
        match state.end {
            Some(End::Reload) => return Some(Ok(Update::Reload)),
            Some(End::Failed(ref error)) => return Some(Err(error.clone())),
            None => {}
        }
        let position = state.at?;
        let changes = std::mem::take(&mut state.changes);
        drop(state);
        if changes.is_empty() {
            return None;
        }
        let changes = changes
            .into_iter()
            .map(|Raw { id, body }| match body.and_then(|body| decode(&id, &body)) {
                Some(put) => put,
                // What is no instance is not shown, as little as if it were not there.
                None => Change::Delete { id },
            })
            .collect();
        Some(Ok(Update::Changes { changes, position }))
    }
}

fn position(head: Head) -> Position {
    Position { epoch: head.birth, index: head.revision }
}

/// Everybody in this process who follows something, as the actor sees them.
pub(super) struct Audience {
    services: HashMap<String, Vec<Weak<Slot>>>,
    names: watch::Sender<Names>,
}

impl Audience {
    pub(super) fn new() -> Self {
        Audience { services: HashMap::new(), names: watch::channel(Ok(Arc::default())).0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && !self.follows_names()
    }

    pub(super) fn follows(&self, service: &str) -> bool {
        self.services.contains_key(service)
    }

    pub(super) fn add(&mut self, service: String, slot: &Arc<Slot>) {
        self.prune();
        self.services.entry(service).or_default().push(Arc::downgrade(slot));
    }

    /// Forgets followers that went.
    pub(super) fn prune(&mut self) {
        self.services.retain(|_, slots| {
            slots.retain(|slot| slot.strong_count() > 0);
            !slots.is_empty()
        });
    }

    /// One transaction's changes, or several that came at once. Whether anybody follows what changed.
    pub(super) fn tell(&mut self, changes: &[Changed], head: Head) -> bool {
        let mut by_service: HashMap<&str, Vec<&Changed>> = HashMap::new();
        for change in changes.iter().filter(|change| self.services.contains_key(&change.service)) {
            by_service.entry(&change.service).or_default().push(change);
        }
        for (service, changes) in &by_service {
            for slot in self.services[*service].iter().filter_map(Weak::upgrade) {
                slot.fill(changes, head);
            }
        }
        !by_service.is_empty()
    }

    /// Lets everybody read again.
    pub(super) fn reload(&mut self) {
        for slot in self.services.drain().flat_map(|(_, slots)| slots).filter_map(|slot| slot.upgrade()) {
            slot.finish(End::Reload);
        }
    }

    /// Ends every follow with the reason.
    pub(super) fn fail(&mut self, error: &Error) {
        for slot in self.services.drain().flat_map(|(_, slots)| slots).filter_map(|slot| slot.upgrade()) {
            slot.finish(End::Failed(error.clone()));
        }
        if self.follows_names() {
            // Later followers begin with a channel of their own.
            let _ = std::mem::replace(&mut self.names, watch::channel(Ok(Arc::default())).0)
                .send(Err(error.clone()));
        }
    }

    pub(super) fn follows_names(&self) -> bool {
        self.names.receiver_count() > 0
    }

    /// Whether these changes may have changed the names.
    pub(super) fn names_touched(&self, changes: &[Changed]) -> bool {
        let Ok(known) = &*self.names.borrow() else { return true };
        changes.iter().any(|change| change.now.is_none() || known.binary_search(&change.service).is_err())
    }

    /// Tells the names, if they are news.
    pub(super) fn set_names(&self, names: Vec<String>) -> bool {
        self.names.send_if_modified(|known| match known {
            Ok(known) if **known == names => false,
            _ => {
                *known = Ok(Arc::new(names));
                true
            }
        })
    }

    pub(super) fn add_names(&self) -> watch::Receiver<Names> {
        self.names.subscribe()
    }
}

/// A service followed through the shared thread.
pub(super) struct LocalFollow {
    slot: Owned<Arc<Slot>>,
    lease: Owned<Arc<Lease>>,
    decoder: Decoder,
    service: String,
    looks: u64,
}

impl LocalFollow {
    pub(super) fn new(slot: Arc<Slot>, lease: Arc<Lease>, decoder: Decoder, service: String) -> Self {
        let looks = lease.looks();
        LocalFollow { slot: Owned::new(slot), lease: Owned::new(lease), decoder, service, looks }
    }

    /// Whether the thread has looked at the database since it was last asked.
    fn is_alive(&mut self) -> Result<bool> {
        let looks = self.lease.get()?.looks();
        Ok(std::mem::replace(&mut self.looks, looks) != looks)
    }
}

#[async_trait]
impl Follow for LocalFollow {
    async fn next(&mut self) -> Result<Update> {
        let slot = self.slot.get()?.clone();
        let mut silences = 0;
        loop {
            let filled = slot.filled.notified();
            if let Some(update) =
                slot.take(|id, body| self.decoder.decode(&self.service, id, body).map(Change::Put))
            {
                return update;
            }
            // After a SIGCONT this timer may be ahead of the thread: it gets a second to come round.
            let patience = if silences == 0 { SILENCE } else { SILENCE / 5 };
            if tokio::time::timeout(patience, filled).await.is_ok() {
                continue;
            }
            silences += 1;
            if self.is_alive()? {
                return Ok(Update::Alive);
            }
            if silences > 1 || !self.lease.get()?.is_open() {
                return Err(Error::new(
                    Code::Unavailable,
                    "the thread of the local registry does not answer; its disk may hang, or another process hold the file",
                ));
            }
        }
    }
}

/// All names followed through the shared thread.
pub(super) struct LocalNames {
    names: Owned<watch::Receiver<Names>>,
    /// Keeps the thread running.
    _lease: Owned<Arc<Lease>>,
    begun: bool,
}

impl LocalNames {
    pub(super) fn new(names: watch::Receiver<Names>, lease: Arc<Lease>) -> Self {
        LocalNames { names: Owned::new(names), _lease: Owned::new(lease), begun: false }
    }
}

#[async_trait]
impl FollowNames for LocalNames {
    async fn next(&mut self) -> Result<Vec<String>> {
        let names = self.names.get_mut()?;
        if self.begun && names.changed().await.is_err() && names.borrow().is_ok() {
            return Err(Error::closed("client"));
        }
        self.begun = true;
        let latest = names.borrow_and_update().clone();
        latest.map(|names| names.as_ref().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::local::rows::Present;

    fn put(id: &str, revision: u64) -> Changed {
        let now = Some(Present { owner: String::new(), body: Some(b"{}".to_vec()) });
        Changed { service: "a".into(), id: id.into(), revision, now }
    }

    #[test]
    fn a_reader_that_never_reads_costs_one_bounded_slot() {
        let slot = Slot::new(Head { birth: 1, revision: 0 });
        for revision in 1..=SLOT as u64 + 1 {
            slot.fill(&[&put("x", revision)], Head { birth: 1, revision });
        }
        assert!(slot.state().changes.is_empty());
        assert!(matches!(slot.take(|_, _| None), Some(Ok(Update::Reload))));
    }

    #[test]
    fn changes_before_the_position_are_not_told_again() {
        let slot = Slot::new(Head { birth: 1, revision: 5 });
        slot.fill(&[&put("old", 5), &put("new", 6)], Head { birth: 1, revision: 6 });
        match slot.take(|_, _| None) {
            Some(Ok(Update::Changes { changes, position })) => {
                assert_eq!((changes.len(), position), (1, Position { epoch: 1, index: 6 }));
                assert!(matches!(&changes[0], Change::Delete { id } if id == "new"), "it can't be decoded");
            }
            other => panic!("{:?}", other.is_some()),
        }
    }
}
