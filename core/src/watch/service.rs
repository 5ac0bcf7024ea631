//! One watched service: what its actor publishes and everyone else reads, and the count of those who use it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::actor::Actor;
use super::first::FirstLoad;
use super::view::View;
use crate::breaker::Breaker;
use crate::cache::Saver;
use crate::error::Result;
use crate::filter::Filter;
use crate::registry::Registry;
use crate::runtime::supervise;
use crate::snapshot::{Freshness, Snapshot};
use crate::stats::Counters;

/// Filtered lists kept for filters that nobody watches with any more.
const SPARE_VIEWS: usize = 32;

/// What every watched service of a client shares.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) runtime: Handle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) timeout: Duration,
    pub(crate) empty_hold: Duration,
    pub(crate) breaker: Arc<Breaker>,
    /// Where lists are saved, if they are.
    pub(crate) saver: Option<Arc<Saver>>,
    /// Read while the registry can't be, in this order.
    pub(crate) fallbacks: Arc<[Arc<dyn Registry>]>,
}

/// A watched service. Its actor runs until this is dropped.
pub(crate) struct Service {
    shared: Arc<Shared>,
    actor: AbortHandle,
    users: AtomicUsize,
    last_used: Mutex<Instant>,
}

/// What the actor writes.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<str>,
    pub(super) first: FirstLoad,
    pub(super) counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    base: Option<Snapshot>,
    revision: u64,
    views: HashMap<Filter, Arc<View>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes a snapshot the current one, unless it says what the current one says. `make` gets its revision.
    pub(super) fn publish(&self, make: impl FnOnce(u64) -> Snapshot) {
        let (snapshot, views) = {
            let mut state = self.lock();
            let snapshot = make(state.revision + 1);
            let news = !state.base.as_ref().is_some_and(|base| snapshot.says_the_same_as(base));
            if state.closed
                || !news && state.base.as_ref().is_some_and(|base| snapshot.has_the_reason_of(base))
            {
                return;
            }
            self.counters.snapshots.add(u64::from(news));
            state.revision += 1;
            state.base = Some(snapshot.clone());
            let used = state.views.values().filter(|view| Arc::strong_count(view) > 1).cloned();
            (snapshot, used.collect::<Vec<_>>())
        };
        for view in views {
            view.refresh(&snapshot);
        }
        self.first.loaded();
    }
}

impl Service {
    /// Begins to follow `name`; its revisions are above `floor`.
    pub(crate) fn start(name: &str, floor: u64, start: &Start) -> Arc<Self> {
        let shared = Arc::new(Shared {
            name: name.into(),
            source: start.registry.source().into(),
            first: FirstLoad::new(),
            counters: start.counters.clone(),
            state: Mutex::new(State { revision: floor, ..State::default() }),
        });
        let (theirs, settings) = (shared.clone(), start.clone());
        let actor = start.runtime.spawn(supervise("following a service", move || {
            Actor::new(theirs.clone(), settings.clone()).run()
        }));
        Arc::new(Service {
            shared,
            actor: actor.abort_handle(),
            users: AtomicUsize::new(0),
            last_used: Mutex::new(Instant::now()),
        })
    }

    /// Counts a user until it is dropped.
    pub(crate) fn user(self: &Arc<Self>) -> ServiceUser {
        self.users.fetch_add(1, Ordering::Relaxed);
        ServiceUser(self.clone())
    }

    pub(crate) fn in_use(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn last_used(&self) -> Instant {
        *self.last_used.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn revision(&self) -> u64 {
        self.shared.lock().revision
    }

    /// Of what is shown, if anything is.
    pub(crate) fn freshness(&self) -> Option<Freshness> {
        self.shared.lock().base.as_ref().map(Snapshot::freshness)
    }

    pub(crate) fn subscribers(&self) -> usize {
        let views: Vec<_> = self.shared.lock().views.values().cloned().collect();
        views.iter().map(|view| view.subscribers()).sum()
    }

    /// Stops following and ends every watch.
    pub(crate) fn stop(&self) {
        self.actor.abort();
        let views: Vec<_> = {
            let mut state = self.shared.lock();
            state.closed = true;
            state.views.drain().map(|(_, view)| view).collect()
        };
        self.shared.first.close();
        for view in views {
            view.end();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Somebody who uses a service: while there is one, it is followed.
pub(crate) struct ServiceUser(Arc<Service>);

impl ServiceUser {
    /// The list that `filter` leaves, shared with all who use an equal filter, and what is in it now.
    pub(crate) fn view(&self, filter: &Filter) -> (Arc<View>, Option<Snapshot>) {
        let shared = &self.0.shared;
        let (view, base) = {
            let mut state = shared.lock();
            if state.views.len() > SPARE_VIEWS && !state.views.contains_key(filter) {
                state.views.retain(|_, view| Arc::strong_count(view) > 1);
            }
            let base = state.base.clone();
            let closed = state.closed;
            let view = state
                .views
                .entry(filter.clone())
                .or_insert_with(|| Arc::new(View::new(filter.clone(), shared.counters.clone())));
            if closed {
                view.end();
            }
            (view.clone(), base)
        };
        let current = base.map(|base| view.refresh(&base));
        (view, current)
    }

    /// The current list, waiting for the first load.
    ///
    /// # Errors
    /// `unavailable` when there is none and the registry can't be read within `limit`.
    pub(crate) async fn current(&self, filter: &Filter, limit: Duration) -> Result<Snapshot> {
        let shared = &self.0.shared;
        loop {
            if let (_, Some(snapshot)) = self.view(filter) {
                return Ok(snapshot);
            }
            shared.first.wait(&format!("service {:?}", &*shared.name), &shared.source, limit).await?;
        }
    }
}

impl Drop for ServiceUser {
    fn drop(&mut self) {
        *self.0.last_used.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
        self.0.users.fetch_sub(1, Ordering::Relaxed);
    }
}
