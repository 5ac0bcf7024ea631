//! What a `memory:` registry holds: instances with leases, a bounded history of changes, and the faults that are on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Code, Error, Result};
use crate::registry::{Change, Listing, Position, Record, Update, random_u64};

/// Most changes that are kept for followers; who is further behind loads again.
const HISTORY: usize = 4096;

pub(super) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

pub(super) struct State {
    services: BTreeMap<String, BTreeMap<String, Entry>>,
    epoch: u64,
    revision: u64,
    history: VecDeque<(u64, String, Change)>,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    pub(super) slow: Duration,
    pub(super) unreachable: bool,
    pub(super) refusing: bool,
    pub(super) empty: bool,
    pub(super) lists: bool,
    /// Times that every follower was told to load again.
    pub(super) breaks: u64,
}

pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) revision: u64,
    /// `None`: written by a test, without a lease.
    pub(super) expires: Option<Instant>,
}

impl Store {
    pub(super) fn new() -> Self {
        Store {
            state: Mutex::new(State {
                services: BTreeMap::new(),
                epoch: random_u64(),
                revision: 0,
                history: VecDeque::new(),
                compacted: 0,
                slow: Duration::ZERO,
                unreachable: false,
                refusing: false,
                empty: false,
                lists: false,
                breaks: 0,
            }),
            changed: watch::Sender::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes everyone who waits for a change of data or faults.
    pub(super) fn announce(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl State {
    pub(super) fn reachable(&self, source: &str) -> Result<()> {
        if self.unreachable {
            return Err(Error::new(
                Code::Unavailable,
                format!("{source} is unreachable (an injected fault)"),
            ));
        }
        if self.refusing {
            return Err(Error::new(
                Code::PermissionDenied,
                format!("{source} gives nobody permission (an injected fault)"),
            ));
        }
        Ok(())
    }

    pub(super) fn entry(&self, service: &str, id: &str) -> Option<&Entry> {
        self.services.get(service)?.get(id)
    }

    pub(super) fn entry_mut(&mut self, service: &str, id: &str) -> Option<&mut Entry> {
        self.services.get_mut(service)?.get_mut(id)
    }

    pub(super) fn put(&mut self, record: Record, expires: Option<Instant>) {
        self.revision += 1;
        self.remember(record.instance.service.clone(), Change::Put(record.clone()));
        let instances = self.services.entry(record.instance.service.clone()).or_default();
        instances.insert(record.instance.id.clone(), Entry { record, revision: self.revision, expires });
    }

    pub(super) fn delete(&mut self, service: &str, id: &str) -> bool {
        self.revision += 1;
        self.forget(service, id)
    }

    /// Deletes at the present revision, so that several deletes are one transaction.
    fn forget(&mut self, service: &str, id: &str) -> bool {
        let Some(instances) = self.services.get_mut(service) else { return false };
        let existed = instances.remove(id).is_some();
        if instances.is_empty() {
            self.services.remove(service);
        }
        if existed {
            self.remember(service.to_owned(), Change::Delete { id: id.to_owned() });
        }
        existed
    }

    fn remember(&mut self, service: String, change: Change) {
        self.history.push_back((self.revision, service, change));
        while self.history.len() > HISTORY {
            if let Some((revision, ..)) = self.history.pop_front() {
                self.compacted = revision;
            }
        }
    }

    /// Deletes what its lease no longer keeps.
    pub(super) fn sweep(&mut self, now: Instant) {
        let over = |entry: &Entry| entry.expires.is_some_and(|expires| expires <= now);
        self.delete_where(over);
    }

    pub(super) fn delete_where(&mut self, over: impl Fn(&Entry) -> bool) {
        let gone: Vec<(String, String)> = self
            .services
            .iter()
            .flat_map(|(service, instances)| {
                let over = &over;
                instances
                    .iter()
                    .filter(move |(_, entry)| over(entry))
                    .map(move |(id, _)| (service.clone(), id.clone()))
            })
            .collect();
        if gone.is_empty() {
            return;
        }
        self.revision += 1;
        for (service, id) in gone {
            self.forget(&service, &id);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.services.values().flat_map(BTreeMap::values).filter_map(|entry| entry.expires).min()
    }

    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, index: self.revision }
    }

    pub(super) fn listing(&self, service: &str, since: Option<Position>) -> Listing {
        let records = match self.services.get(service) {
            Some(instances) if !self.empty => instances.values().map(|entry| entry.record.clone()).collect(),
            _ => Vec::new(),
        };
        let same_history =
            since.is_none_or(|since| since.epoch == self.epoch && self.revision >= since.index);
        Listing { records, position: self.position(), proven: same_history && !self.empty }
    }

    /// The first transaction after `position` that touches `service`; moves `position` up to it.
    pub(super) fn changes_after(&self, service: &str, position: &mut Position) -> Option<Update> {
        if position.epoch != self.epoch || position.index < self.compacted || position.index > self.revision {
            return Some(Update::Reload);
        }
        let start = self.history.partition_point(|(revision, ..)| *revision <= position.index);
        let mut changes = Vec::new();
        let mut at = None;
        for (revision, of, change) in self.history.range(start..) {
            if at.is_some_and(|at| at != *revision) {
                break;
            }
            if of == service {
                at = Some(*revision);
                changes.push(change.clone());
            }
        }
        position.index = at.unwrap_or(self.revision);
        at.map(|_| Update::Changes { changes, position: *position })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.services.keys().cloned().collect()
    }

    pub(super) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.revision;
    }

    /// Another cluster under the same address: its revisions begin anew.
    pub(super) fn change_identity(&mut self) {
        self.epoch = random_u64();
        self.revision = 1;
        self.history.clear();
        self.compacted = 0;
    }

    pub(super) fn wipe(&mut self) {
        self.services.clear();
        self.change_identity();
    }
}
