//! `memory:`, a registry inside this process: leases, a history that can be compacted, followers, and faults on
//! demand. What etcd and Consul do to their clients can be done here, on a paused clock if need be.

mod control;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Claim, Follow, FollowNames, Holder, Listing, Loss, Owner, Position, Publication, Publish, Published,
    Record, Registry, Update,
};
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::{Code, Error, Result};
use crate::fork::PerProcess;
use crate::stats::Counters;

pub use control::Memory;
use store::Store;

/// Silence after which a follower says that it is alive.
const ALIVE: Duration = Duration::from_secs(5);

/// Registries that have a name, for as long as a client or a test holds them.
static NAMED: PerProcess<Mutex<HashMap<String, Weak<Store>>>> = PerProcess::new(Mutex::default);

fn named(name: &str) -> Arc<Store> {
    let mut named = NAMED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(store) = named.get(name).and_then(Weak::upgrade) {
        return store;
    }
    named.retain(|_, store| store.strong_count() > 0);
    let store = Arc::new(Store::new());
    named.insert(name.to_owned(), Arc::downgrade(&store));
    store
}

pub(crate) fn open(config: &Config, _counters: Arc<Counters>) -> Arc<dyn Registry> {
    let store = if config.url.name.is_empty() { Arc::new(Store::new()) } else { named(&config.url.name) };
    Arc::new(MemoryRegistry { store, source: config.source().to_owned(), loaded: Mutex::default() })
}

struct MemoryRegistry {
    store: Arc<Store>,
    source: String,
    /// How often followers had been told to load again when a service was loaded, for the follower that comes next.
    loaded: Mutex<HashMap<String, u64>>,
}

impl MemoryRegistry {
    /// What stands between a client and every answer: latency, then the faults.
    async fn reach(&self) -> Result<()> {
        let slow = self.store.lock().slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        self.store.lock().reachable(&self.source)
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    fn source(&self) -> &str {
        &self.source
    }

    async fn ping(&self) -> Result<()> {
        self.reach().await
    }

    async fn advertised_address(&self) -> Result<String> {
        Ok("127.0.0.1".into())
    }

    async fn publish(&self, publish: Publish) -> Result<Published> {
        self.reach().await?;
        let Publish { record, ttl, claim, .. } = publish;
        let now = Instant::now();
        let mut state = self.store.lock();
        state.sweep(now);
        if let Some(entry) = state.entry(&record.instance.service, &record.instance.id)
            && entry.record.owner != record.owner
            && claim != Claim::Replace(entry.revision)
        {
            let holder = entry.record.owner.clone();
            let version = entry.revision;
            drop(state);
            return Ok(Published::Held(self.holder(&record, holder, version)));
        }
        state.put((*record).clone(), Some(now + ttl));
        drop(state);
        self.store.announce();
        Ok(Published::Ours(Box::new(MemoryPublication {
            store: self.store.clone(),
            source: self.source.clone(),
            record,
            ttl,
            renewed: now,
        })))
    }

    async fn load(&self, service: &str, since: Option<Position>) -> Result<Listing> {
        self.reach().await?;
        let mut state = self.store.lock();
        state.sweep(Instant::now());
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loaded.insert(service.to_owned(), state.breaks);
        Ok(state.listing(service, since))
    }

    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>> {
        self.reach().await?;
        let now = self.store.lock().breaks;
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let breaks = loaded.remove(service).unwrap_or(now);
        Ok(Box::new(MemoryFollow {
            store: self.store.clone(),
            source: self.source.clone(),
            service: service.to_owned(),
            position: from,
            breaks,
        }))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        self.reach().await?;
        Ok(Box::new(MemoryNames { store: self.store.clone(), source: self.source.clone(), last: None }))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        let found = Finding::ok("registry", "reach", "inside this process only");
        vec![
            found
                .note("other processes have a memory: of their own; between them use local:, etcd or Consul"),
        ]
    }
}

impl MemoryRegistry {
    fn holder(&self, record: &Record, owner: Option<Owner>, version: u64) -> Holder {
        holder(self.store.clone(), record, owner, version)
    }
}

fn holder(store: Arc<Store>, record: &Record, owner: Option<Owner>, version: u64) -> Holder {
    let (service, id, ours) =
        (record.instance.service.clone(), record.instance.id.clone(), record.owner.clone());
    let released = Box::pin(async move {
        let mut changes = store.changes();
        loop {
            let due = {
                let mut state = store.lock();
                state.sweep(Instant::now());
                match state.entry(&service, &id) {
                    Some(entry) if entry.record.owner != ours => state.next_expiry(),
                    _ => return,
                }
            };
            wait(&mut changes, due).await;
        }
    });
    Holder { owner, version, released }
}

/// Until the store changes or a lease of it may run out.
async fn wait(changes: &mut tokio::sync::watch::Receiver<u64>, due: Option<Instant>) {
    match due {
        Some(due) => drop(timeout_at(due, changes.changed()).await),
        None => drop(changes.changed().await),
    }
}

struct MemoryPublication {
    store: Arc<Store>,
    source: String,
    record: Arc<Record>,
    ttl: Duration,
    renewed: Instant,
}

impl MemoryPublication {
    /// Renews if the registry can be reached; `Some` once the instance is not ours any more.
    fn renew(&mut self) -> Option<Loss> {
        let now = Instant::now();
        let mut state = self.store.lock();
        if state.reachable(&self.source).is_err() {
            // Unreachable: what became of the instance is not known, only that its lease is over by now.
            let over = now >= self.renewed + self.ttl;
            return over
                .then(|| Loss::Gone(lease_lost(&self.record, "its lease could not be renewed in time")));
        }
        state.sweep(now);
        let (service, id) = (&self.record.instance.service, &self.record.instance.id);
        match state.entry_mut(service, id) {
            None => Some(Loss::Gone(lease_lost(&self.record, "its lease ran out or somebody deleted it"))),
            Some(entry) if entry.record.owner != self.record.owner => {
                let (owner, version) = (entry.record.owner.clone(), entry.revision);
                Some(Loss::Taken(holder(self.store.clone(), &self.record, owner, version)))
            }
            Some(entry) => {
                entry.expires = Some(now + self.ttl);
                self.renewed = now;
                None
            }
        }
    }
}

fn lease_lost(record: &Record, why: &str) -> Error {
    let id = &record.instance.id;
    Error::new(Code::Unavailable, format!("the registry lost {}/{id}: {why}", record.instance.service))
}

#[async_trait]
impl Publication for MemoryPublication {
    async fn lost(&mut self) -> Loss {
        let mut changes = self.store.changes();
        loop {
            if let Some(loss) = self.renew() {
                return loss;
            }
            let due = (Instant::now() + self.ttl / 3).min(self.renewed + self.ttl);
            wait(&mut changes, Some(due)).await;
        }
    }

    async fn update(&mut self, record: Arc<Record>) -> Result<()> {
        {
            let mut state = self.store.lock();
            state.reachable(&self.source)?;
            state.sweep(Instant::now());
            match state.entry(&record.instance.service, &record.instance.id) {
                Some(entry) if entry.record.owner == record.owner => {}
                _ => return Err(lease_lost(&record, "it is no longer ours")),
            }
            let expires = Some(Instant::now() + self.ttl);
            state.put((*record).clone(), expires);
        }
        self.record = record;
        self.store.announce();
        Ok(())
    }

    async fn withdraw(&mut self) -> Result<()> {
        {
            let mut state = self.store.lock();
            state.reachable(&self.source)?;
            let (service, id) = (&self.record.instance.service, &self.record.instance.id);
            if state.entry(service, id).is_some_and(|entry| entry.record.owner == self.record.owner) {
                state.delete(service, id);
            }
        }
        self.store.announce();
        Ok(())
    }
}

struct MemoryFollow {
    store: Arc<Store>,
    source: String,
    service: String,
    position: Position,
    breaks: u64,
}

impl MemoryFollow {
    fn step(&mut self) -> Result<Option<Update>> {
        let mut state = self.store.lock();
        state.reachable(&self.source)?;
        state.sweep(Instant::now());
        if state.breaks != self.breaks {
            self.breaks = state.breaks;
            return Ok(Some(Update::Reload));
        }
        if state.lists {
            let listing = state.listing(&self.service, Some(self.position));
            let changed = listing.position != self.position;
            self.position = listing.position;
            return Ok(changed.then_some(Update::List(listing)));
        }
        Ok(state.changes_after(&self.service, &mut self.position))
    }
}

#[async_trait]
impl Follow for MemoryFollow {
    async fn next(&mut self) -> Result<Update> {
        let mut changes = self.store.changes();
        let alive = Instant::now() + ALIVE;
        loop {
            if let Some(update) = self.step()? {
                return Ok(update);
            }
            let due = self.store.lock().next_expiry();
            tokio::select! {
                _ = wait(&mut changes, due) => {}
                _ = sleep_until(alive) => return Ok(Update::Alive),
            }
        }
    }
}

struct MemoryNames {
    store: Arc<Store>,
    source: String,
    last: Option<Vec<String>>,
}

#[async_trait]
impl FollowNames for MemoryNames {
    async fn next(&mut self) -> Result<Vec<String>> {
        let mut changes = self.store.changes();
        loop {
            let due = {
                let mut state = self.store.lock();
                state.reachable(&self.source)?;
                state.sweep(Instant::now());
                let names = state.names();
                if self.last.as_ref() != Some(&names) {
                    self.last = Some(names.clone());
                    return Ok(names);
                }
                state.next_expiry()
            };
            wait(&mut changes, due).await;
        }
    }
}
