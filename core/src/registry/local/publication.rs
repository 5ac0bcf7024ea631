//! What this process has published, and who else waits for an id. The actor's side keeps one entry per instance; the async
//! side is a handle whose drop leaves the instance to its time to live.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::mailbox::{Lease, Mailbox};
use super::request::{Key, Request, Rival, Write};
use super::rows::{Changed, Stored};
use crate::codec;
use crate::error::{Code, Error, Result};
use crate::fork::Owned;
use crate::registry::{Holder, Loss, Owner, Publication, Record};

/// Why an instance is no longer there by our hand.
pub(super) enum Lost {
    Gone,
    Taken(Rival),
}

/// One instance of ours.
pub(super) struct Holding {
    pub(super) serial: u64,
    /// Of our last write: any other one was somebody else's.
    pub(super) revision: u64,
    pub(super) ttl: u64,
    loss: oneshot::Sender<Lost>,
}

/// Somebody who waits for an id to become free.
struct Waiter {
    /// The process that holds it. Its updates free nothing.
    owner: String,
    freed: oneshot::Sender<()>,
}

/// All instances of this process, and all who wait for one.
#[derive(Default)]
pub(super) struct Holdings {
    ours: HashMap<Key, Holding>,
    waiters: HashMap<Key, Vec<Waiter>>,
    serials: u64,
}

impl Holdings {
    pub(super) fn has_none(&self) -> bool {
        self.ours.is_empty()
    }

    pub(super) fn anybody_waits(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// The shortest time to live among ours, which sets the pace of the heartbeat.
    pub(super) fn shortest_ttl(&self) -> Option<u64> {
        self.ours.values().map(|holding| holding.ttl).min()
    }

    /// The present state of a publication, unless it ended.
    pub(super) fn get(&self, key: &Key, serial: u64) -> Option<&Holding> {
        self.ours.get(key).filter(|holding| holding.serial == serial)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.ours.keys().cloned().collect()
    }

    /// Whether a row's body tells something to us.
    pub(super) fn concerns(&self, service: &str, id: &str) -> bool {
        if self.ours.is_empty() {
            return false;
        }
        self.ours.contains_key(&Key { service: service.to_owned(), id: id.to_owned() })
    }

    /// Takes on what was just written for a client of this process, whose owner file is `file`.
    pub(super) fn add(
        &mut self,
        mailbox: &Arc<Mailbox>,
        file: &str,
        key: Key,
        owner: Option<Owner>,
        (revision, ttl): (u64, u64),
    ) -> Claimed {
        if self.ours.contains_key(&key) {
            // Another client here had it; what was dropped by this one hears nothing any more.
            let lost = Lost::Taken(self.wait(&key, file, owner, revision));
            self.lose(&key, lost);
        }
        self.serials += 1;
        let (loss, lost) = oneshot::channel();
        self.ours.insert(key.clone(), Holding { serial: self.serials, revision, ttl, loss });
        Claimed { mailbox: mailbox.clone(), key, serial: self.serials, lost, over: false }
    }

    pub(super) fn updated(&mut self, key: &Key, serial: u64, revision: u64) {
        if let Some(holding) = self.ours.get_mut(key).filter(|holding| holding.serial == serial) {
            holding.revision = revision;
        }
    }

    /// It ends by our own hand.
    pub(super) fn remove(&mut self, key: &Key, serial: u64) {
        if self.get(key, serial).is_some() {
            self.ours.remove(key);
        }
    }

    /// Compares one of ours with what is stored.
    pub(super) fn compare(&mut self, key: &Key, stored: Option<&Stored>) {
        let Some(holding) = self.ours.get(key) else { return };
        let lost = match stored {
            Some(stored) if stored.revision == holding.revision => return,
            Some(stored) => {
                let owner = owner_of(key, stored.body.as_deref());
                Lost::Taken(self.wait(key, &stored.owner, owner, stored.revision))
            }
            None => Lost::Gone,
        };
        self.lose(key, lost);
    }

    /// What was done, to ours and to what somebody here waits for. Whether there was any such.
    pub(super) fn tell(&mut self, changes: &[Changed]) -> bool {
        if self.ours.is_empty() && self.waiters.is_empty() {
            return false;
        }
        let mut concerned = false;
        for change in changes {
            let key = Key { service: change.service.clone(), id: change.id.clone() };
            if self.ours.get(&key).is_some_and(|holding| change.revision > holding.revision) {
                let lost = match &change.now {
                    None => Lost::Gone,
                    Some(now) => {
                        let owner = owner_of(&key, now.body.as_deref());
                        Lost::Taken(self.wait(&key, &now.owner, owner, change.revision))
                    }
                };
                self.lose(&key, lost);
                concerned = true;
            }
            concerned |= self.free(&key, change.now.as_ref().map(|now| now.owner.as_str()));
        }
        concerned
    }

    fn lose(&mut self, key: &Key, lost: Lost) {
        if let Some(holding) = self.ours.remove(key) {
            // A publication that was just dropped hears nothing any more.
            let _ = holding.loss.send(lost);
        }
    }

    /// The whole history is gone, and with it all that was in it.
    pub(super) fn lose_all(&mut self) {
        for (_, holding) in self.ours.drain() {
            let _ = holding.loss.send(Lost::Gone);
        }
    }

    /// Waits for `owner` to let go of an id.
    pub(super) fn wait(&mut self, key: &Key, holder: &str, owner: Option<Owner>, version: u64) -> Rival {
        let (freed, released) = oneshot::channel();
        let waiters = self.waiters.entry(key.clone()).or_default();
        waiters.retain(|waiter| !waiter.freed.is_closed());
        waiters.push(Waiter { owner: holder.to_owned(), freed });
        Rival { owner, version, released }
    }

    fn free(&mut self, key: &Key, holder: Option<&str>) -> bool {
        let Some(waiters) = self.waiters.get_mut(key) else { return false };
        for waiter in std::mem::take(waiters) {
            if holder == Some(waiter.owner.as_str()) && !waiter.freed.is_closed() {
                waiters.push(waiter);
            } else {
                let _ = waiter.freed.send(());
            }
        }
        if waiters.is_empty() {
            self.waiters.remove(key);
        }
        true
    }

    /// Lets everybody try again: what they wait for can't be told any more.
    pub(super) fn free_all(&mut self) {
        for waiter in self.waiters.drain().flat_map(|(_, waiters)| waiters) {
            let _ = waiter.freed.send(());
        }
    }

    /// Forgets who stopped waiting.
    pub(super) fn prune(&mut self) {
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.freed.is_closed());
            !waiters.is_empty()
        });
    }
}

/// The client that wrote a body, if one of ours did.
pub(super) fn owner_of(key: &Key, body: Option<&[u8]>) -> Option<Owner> {
    codec::decode(&key.service, &key.id, body?).ok()?.owner
}

/// A publication as the thread hands it out. Made there, so that an answer which nobody takes is undone by its drop.
pub(super) struct Claimed {
    mailbox: Arc<Mailbox>,
    key: Key,
    serial: u64,
    lost: oneshot::Receiver<Lost>,
    over: bool,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.over {
            let abandon = Write::Abandon { key: self.key.clone(), serial: self.serial };
            self.mailbox.post(Request::Write(abandon));
        }
    }
}

/// One instance kept in a local registry.
pub(super) struct LocalPublication {
    claimed: Owned<Claimed>,
    lease: Owned<Arc<Lease>>,
}

impl LocalPublication {
    pub(super) fn new(claimed: Claimed, lease: Arc<Lease>) -> Self {
        LocalPublication { claimed: Owned::new(claimed), lease: Owned::new(lease) }
    }
}

#[async_trait]
impl Publication for LocalPublication {
    async fn lost(&mut self) -> Loss {
        let claimed = match self.claimed.get_mut() {
            Ok(claimed) => claimed,
            Err(error) => return Loss::Gone(error),
        };
        if claimed.over {
            // Told before, or withdrawn: there is nothing left to lose.
            return std::future::pending().await;
        }
        let lost = (&mut claimed.lost).await;
        claimed.over = true;
        match lost {
            Ok(Lost::Gone) => Loss::Gone(gone(&claimed.key)),
            Ok(Lost::Taken(rival)) => Loss::Taken(rival.into()),
            Err(_) => Loss::Gone(Error::new(
                Code::Internal,
                "the local registry's thread ended with registrations alive; please report this",
            )),
        }
    }

    async fn update(&mut self, record: Arc<Record>) -> Result<()> {
        let Claimed { key, serial, .. } = self.claimed.get()?;
        let (key, serial, body) = (key.clone(), *serial, codec::encode(&record));
        self.lease.get()?.ask(|reply| Request::Write(Write::Update { key, serial, body, reply })).await
    }

    async fn withdraw(&mut self) -> Result<()> {
        let claimed = self.claimed.get_mut()?;
        let (key, serial) = (claimed.key.clone(), claimed.serial);
        self.lease.get()?.ask(|reply| Request::Write(Write::Withdraw { key, serial, reply })).await?;
        claimed.over = true;
        Ok(())
    }
}

impl From<Rival> for Holder {
    fn from(rival: Rival) -> Self {
        let Rival { owner, version, released } = rival;
        // A sender that is gone can't tell any more, which frees as well.
        let released = Box::pin(async move { drop(released.await) });
        Holder { owner, version, released }
    }
}

pub(super) fn gone(key: &Key) -> Error {
    Error::new(
        Code::NotFound,
        format!(
            "{}/{} is no longer in the local registry: it was deleted, its lease ran out while this process stood still, \
             or the file was replaced",
            key.service, key.id
        ),
    )
}
