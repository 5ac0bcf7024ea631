//! Pickers: one table of endpoints per snapshot, read without a lock, and a policy that chooses from it.
//! What is per call lives in `pick`; a new policy is one file beside `p2c` and one arm in `Chooser`.

mod call;
mod choose;
#[cfg(all(test, callsheet_loom))]
mod models;
mod outstanding;
mod p2c;
mod pick;
mod table;

use std::str::FromStr;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::error::{Code, Error, Result};
use crate::fork;
use crate::instance::quoted;
use crate::runtime::{spawn, within};
use crate::snapshot::Snapshot;
use crate::sync::{ArcSwap, Mutex, MutexGuard};
use crate::watch::{ServiceUser, Subscriber, View};

pub use call::{CallError, is_connect_failure};
use choose::Chooser;
pub use outstanding::{Outstanding, PICK_EXPIRY, Ticket};
pub use pick::{Outcome, Pick, Untaken};
use table::Table;

/// How a picker chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Each in turn.
    RoundRobin,
    /// Any.
    Random,
    /// The better of two random ones by peak EWMA of latency times calls under way: adapts to slow instances.
    #[default]
    P2c,
}

impl Policy {
    const ALL: [Policy; 3] = [Policy::RoundRobin, Policy::Random, Policy::P2c];

    /// The word that every language uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::RoundRobin => "round_robin",
            Policy::Random => "random",
            Policy::P2c => "p2c",
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Policy::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Policy::ALL.iter().map(|policy| policy.as_str()).collect();
            Error::invalid(format!("there is no policy {}; it is one of {}", quoted(text), words.join(", ")))
        })
    }
}

/// A load balancer over the current snapshot of a service. Cheap to clone; clones share their load figures.
#[derive(Clone)]
pub struct Picker(fork::Owned<Arc<Inner>>);

struct Inner {
    shared: Arc<Shared>,
    /// Ages the table, where picks may be forgotten.
    aging: OnceLock<AbortHandle>,
    runtime: Handle,
    timeout: Duration,
    _view: Arc<View>,
    _user: ServiceUser,
}

/// What the service's actor feeds.
struct Shared {
    table: ArcSwap<Table>,
    chooser: Chooser,
    filled: Notify,
    service: Arc<str>,
    source: Arc<str>,
    /// Held by who replaces the table; picks only read it.
    replacing: Mutex<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.aging.get().into_iter().for_each(AbortHandle::abort);
    }
}

impl Subscriber for Shared {
    fn offer(&self, snapshot: &Snapshot) -> bool {
        let _replacing = self.replace();
        let table = self.table.load().next(snapshot);
        let filled = !table.is_empty();
        self.table.store(Arc::new(table));
        if filled {
            self.filled.notify_waiters();
        }
        false
    }

    fn end(&self) {
        let _replacing = self.replace();
        self.table.store(Arc::new(Table::closed()));
        self.filled.notify_waiters();
    }
}

impl Picker {
    pub(crate) fn new(
        (service, source): (&str, &str),
        policy: Policy,
        view: Arc<View>,
        user: ServiceUser,
        runtime: Handle,
        timeout: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            table: ArcSwap::from_pointee(Table::empty()),
            chooser: Chooser::new(policy),
            filled: Notify::new(),
            service: service.into(),
            source: source.into(),
            replacing: Mutex::new(()),
        });
        view.subscribe(shared.clone());
        let inner = Inner { shared, aging: OnceLock::new(), runtime, timeout, _view: view, _user: user };
        Picker(fork::Owned::new(Arc::new(inner)))
    }

    /// One instance to call. Never waits and does no I/O; report how the call went with [`Pick::done`].
    ///
    /// # Errors
    /// `no_instances`, `closed`, `forked`.
    #[inline]
    pub fn pick(&self) -> Result<Pick> {
        self.0.get()?.shared.pick()
    }

    /// [`Picker::pick`] of another instance than those whose ids are in `tried`, where there is another: for retries.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    pub fn pick_other(&self, tried: &[impl AsRef<str>]) -> Result<Pick> {
        self.0.get()?.shared.pick_other(tried)
    }

    /// [`Picker::pick`] that waits up to `timeout` for an instance to come.
    ///
    /// # Errors
    /// `no_instances` when none came, `closed`, `forked`.
    pub async fn pick_within(&self, timeout: Duration) -> Result<Pick> {
        let inner = self.0.get()?;
        let shared = inner.shared.clone();
        spawn(&inner.runtime, async move {
            let late = String::new;
            let found = within(timeout, shared.wait(), late).await;
            let found =
                found.or_else(|error| if error.code() == Code::Timeout { shared.pick() } else { Err(error) });
            found.map(Untaken::new)
        })
        .await
        .map(Untaken::take)
    }

    /// How many instances it picks from now.
    pub fn len(&self) -> usize {
        self.0.get().map_or(0, |inner| inner.shared.table.load().len())
    }

    /// Whether there is nothing to pick.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.0.peek().shared.service
    }

    /// The policy it was opened with.
    pub fn policy(&self) -> Policy {
        self.0.peek().shared.chooser.policy()
    }

    /// Lets picks that are held for longer than `expiry` count no more as calls under way, which a policy would else be
    /// held off by for ever: for hosts whose programs may forget to report. One counts for at least that time and at most
    /// twice as long; what it reports later says nothing.
    ///
    /// # Errors
    /// `forked`.
    pub fn expire_picks(&self, expiry: Duration) -> Result<()> {
        let inner = self.0.get()?;
        // The others never ask how many calls are under way.
        if self.policy() == Policy::P2c {
            let shared = Arc::downgrade(&inner.shared);
            let aging = async move {
                loop {
                    sleep(expiry).await;
                    let Some(shared) = shared.upgrade() else { return };
                    shared.age();
                }
            };
            inner.aging.get_or_init(|| inner.runtime.spawn(aging).abort_handle());
        }
        Ok(())
    }

    /// Time that [`Picker::call`] waits for a first instance.
    fn timeout(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, |inner| inner.timeout)
    }
}

impl Shared {
    fn replace(&self) -> MutexGuard<'_, ()> {
        self.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self) {
        let _replacing = self.replace();
        let table = self.table.load().aged();
        self.table.store(Arc::new(table));
    }

    #[inline]
    fn pick(&self) -> Result<Pick> {
        let table = self.table.load();
        self.chooser.choose(&table).ok_or_else(|| self.nothing(&table))
    }

    fn pick_other(&self, tried: &[impl AsRef<str>]) -> Result<Pick> {
        let table = self.table.load();
        self.chooser.choose_other(&table, tried).ok_or_else(|| self.nothing(&table))
    }

    #[cold]
    fn nothing(&self, table: &Table) -> Error {
        if table.is_closed() {
            return Error::closed("picker");
        }
        Error::new(
            Code::NoInstances,
            format!(
                "no instance of {:?} to pick in {}: none is registered and healthy, or none matches the filter",
                self.service, self.source
            ),
        )
    }

    async fn wait(&self) -> Result<Pick> {
        loop {
            // Registered before the look, so that an instance that comes in between is not missed.
            let filled = self.filled.notified();
            tokio::pin!(filled);
            filled.as_mut().enable();
            match self.pick() {
                Err(error) if error.code() == Code::NoInstances => filled.await,
                result => return result,
            }
        }
    }
}

impl std::fmt::Debug for Picker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picker").field("service", &self.service()).field("policy", &self.policy()).finish()
    }
}
