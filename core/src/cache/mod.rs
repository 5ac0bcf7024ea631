//! The services that a client watches: one actor each, made by the first who asks, dropped when nobody has used it
//! for a while, the least recently used first above the bound.

mod disk;
mod saver;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::snapshot::Freshness;
use crate::watch::{Service, ServiceUser, Start};

#[cfg(any(test, fuzzing))]
pub(crate) use disk::fuzz;
pub(crate) use disk::{Disk, Saved};
pub(crate) use saver::Saver;

/// How long a service that nobody uses is followed on.
pub(crate) const IDLE: Duration = Duration::from_secs(300);

pub(crate) struct Services {
    start: Start,
    bound: usize,
    state: Mutex<State>,
}

/// Watched services, how many of them are of each freshness, and their subscribers.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) watched: u64,
    pub(crate) live: u64,
    pub(crate) stale: u64,
    pub(crate) disk: u64,
    pub(crate) fallback: u64,
    pub(crate) subscribers: u64,
}

#[derive(Default)]
struct State {
    services: HashMap<String, Arc<Service>>,
    /// The highest revision of a dropped service: its successor begins above, so that revisions only grow.
    floor: u64,
    closed: bool,
}

impl Services {
    pub(crate) fn new(start: Start, bound: usize) -> Self {
        Services { start, bound, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Uses a service, following it from now on if nobody did.
    pub(crate) fn user(&self, name: &str) -> Result<ServiceUser> {
        let mut dropped = Vec::new();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("client"));
        }
        if let Some(service) = state.services.get(name) {
            return Ok(service.user());
        }
        while state.services.len() >= self.bound {
            let unused = state.services.iter().filter(|(_, service)| !service.in_use());
            let Some(oldest) =
                unused.min_by_key(|(_, service)| service.last_used()).map(|(name, _)| name.clone())
            else {
                // All are in use: a bound never ends a watch.
                break;
            };
            dropped.extend(state.remove(&oldest));
        }
        let service = Service::start(name, state.floor, &self.start);
        let user = service.user();
        state.services.insert(name.to_owned(), service);
        drop(state);
        self.start.counters.idle_dropped.add(dropped.len() as u64);
        Ok(user)
    }

    /// Drops what nobody has used for `idle`.
    pub(crate) fn retire(&self, idle: Duration) {
        let mut state = self.lock();
        let unused = |service: &Service| !service.in_use() && service.last_used().elapsed() >= idle;
        let names: Vec<_> = state
            .services
            .iter()
            .filter(|(_, service)| unused(service))
            .map(|(name, _)| name.clone())
            .collect();
        let dropped: Vec<_> = names.iter().filter_map(|name| state.remove(name)).collect();
        drop(state);
        self.start.counters.idle_dropped.add(dropped.len() as u64);
    }

    /// What a client's stats say of them.
    pub(crate) fn count(&self) -> Count {
        let services: Vec<_> = self.lock().services.values().cloned().collect();
        let mut count = Count { watched: services.len() as u64, ..Count::default() };
        for service in services {
            count.subscribers += service.subscribers() as u64;
            match service.freshness() {
                Some(Freshness::Live) => count.live += 1,
                Some(Freshness::Stale) => count.stale += 1,
                Some(Freshness::Disk) => count.disk += 1,
                Some(Freshness::Fallback) => count.fallback += 1,
                None => {}
            }
        }
        count
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        let services = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.services)
        };
        services.values().for_each(|service| service.stop());
    }
}

impl State {
    fn remove(&mut self, name: &str) -> Option<Arc<Service>> {
        let service = self.services.remove(name)?;
        self.floor = self.floor.max(service.revision());
        Some(service)
    }
}
