//! Pickers: one table of endpoints per snapshot, read without a lock, and a policy that chooses from it.
//! What is per call lives in `pick`; a new policy is one file beside `p2c` and one arm in `Chooser` and `Plan`.

mod balancer;
mod call;
mod choose;
mod ejection;
mod endpoint;
mod hash;
mod least;
mod maglev;
#[cfg(all(test, callsheet_loom))]
mod models;
mod options;
mod outstanding;
mod p2c;
mod panic;
mod pick;
mod plan;
mod policy;
mod random;
mod ring;
#[cfg(feature = "simulation")]
pub(crate) mod simulation;
mod slow_start;
mod subset;
mod table;
mod tally;
mod weighted;
mod zone;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{Code, Error, Result};
use crate::fork;
use crate::instance::Instance;
use crate::runtime::{spawn, within};
use crate::snapshot::Snapshot;
use crate::stats::Counters;
use crate::watch::{ServiceUser, Subscriber, View};

use balancer::Balancer;
pub use call::{CallError, is_connect_failure};
pub use ejection::Ejection;
use hash::hash;
pub use options::PickerOptions;
pub use outstanding::{Outstanding, PICK_EXPIRY, Ticket};
use pick::{Choice, clock};
pub use pick::{Outcome, Pick, Untaken};
pub use policy::Policy;
use tally::Bell;

/// A load balancer over the current snapshot of a service. Cheap to clone; clones share their load figures.
#[derive(Clone)]
pub struct Picker(fork::Owned<Arc<Inner>>);

struct Inner {
    shared: Arc<Shared>,
    /// Ages the table, where picks may be forgotten.
    aging: OnceLock<AbortHandle>,
    /// Ejects, lets return, and gives newcomers more.
    tending: AbortHandle,
    runtime: Handle,
    timeout: Duration,
    _view: Arc<View>,
    _user: ServiceUser,
}

/// What the service's actor feeds.
struct Shared {
    balancer: Balancer,
    filled: Notify,
    service: Arc<str>,
    source: Arc<str>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.aging.get().into_iter().for_each(AbortHandle::abort);
        self.tending.abort();
    }
}

impl Subscriber for Shared {
    fn offer(&self, snapshot: &Snapshot) -> bool {
        if self.balancer.offer(snapshot.instances(), Instant::now()) {
            self.filled.notify_waiters();
        }
        false
    }

    fn end(&self) {
        self.balancer.close();
        self.filled.notify_waiters();
    }
}

/// Least time between two looks at a table: where everything fails, looking must not cost more than calling.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks after a picker's table, as often as there is anything to see and whenever its bell rings.
async fn tend(shared: Weak<Shared>, bell: Arc<Bell>) {
    loop {
        let now = Instant::now();
        let Some(due) = shared.upgrade().map(|shared| shared.balancer.tend(now)) else { return };
        tokio::select! {
            _ = bell.rung.notified() => sleep_until(now + PAUSE).await,
            _ = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
        }
    }
}

impl Picker {
    pub(crate) fn new(
        (service, source): (&str, &str),
        options: PickerOptions,
        counters: Arc<Counters>,
        view: Arc<View>,
        user: ServiceUser,
        runtime: Handle,
        timeout: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            balancer: Balancer::new(options, counters),
            filled: Notify::new(),
            service: service.into(),
            source: source.into(),
        });
        view.subscribe(shared.clone());
        let bell = shared.balancer.bell.clone();
        let tending = runtime.spawn(tend(Arc::downgrade(&shared), bell)).abort_handle();
        let aging = OnceLock::new();
        let inner = Inner { shared, aging, tending, runtime, timeout, _view: view, _user: user };
        Picker(fork::Owned::new(Arc::new(inner)))
    }

    /// One instance to call. Never waits and does no I/O; report how the call went with [`Pick::done`]. The policies
    /// that choose by a key take a random one.
    ///
    /// # Errors
    /// `no_instances`, `closed`, `forked`.
    #[inline]
    pub fn pick(&self) -> Result<Pick> {
        self.0.get()?.shared.pick(None)
    }

    /// [`Picker::pick`] for a key, such as a user or a file: [`Policy::RingHash`] and [`Policy::Maglev`] give the same
    /// instance for the same key in every process and language, as long as they see the same instances. To the other
    /// policies a key means nothing.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    #[inline]
    pub fn pick_key(&self, key: impl AsRef<[u8]>) -> Result<Pick> {
        self.0.get()?.shared.pick(Some(hash(key.as_ref())))
    }

    /// [`Picker::pick`] of another instance than those whose ids are in `tried`, where there is another: for retries.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    pub fn pick_other(&self, tried: &[impl AsRef<str>]) -> Result<Pick> {
        self.0.get()?.shared.pick_other(tried, None)
    }

    /// [`Picker::pick_other`] for a key: the same one for the same key and the same `tried`.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    pub fn pick_key_other(&self, key: impl AsRef<[u8]>, tried: &[impl AsRef<str>]) -> Result<Pick> {
        self.0.get()?.shared.pick_other(tried, Some(hash(key.as_ref())))
    }

    /// [`Picker::pick`] that waits up to `timeout` for an instance to come.
    ///
    /// # Errors
    /// `no_instances` when none came, `closed`, `forked`.
    pub async fn pick_within(&self, timeout: Duration) -> Result<Pick> {
        self.wait(timeout, None).await
    }

    /// [`Picker::pick_key`] that waits up to `timeout` for an instance to come.
    ///
    /// # Errors
    /// As for [`Picker::pick_within`].
    pub async fn pick_key_within(&self, key: impl AsRef<[u8]>, timeout: Duration) -> Result<Pick> {
        let hash = hash(key.as_ref());
        self.wait(timeout, Some(hash)).await
    }

    async fn wait(&self, timeout: Duration, hash: Option<u64>) -> Result<Pick> {
        let inner = self.0.get()?;
        let shared = inner.shared.clone();
        spawn(&inner.runtime, async move {
            let late = String::new;
            let found = within(timeout, shared.wait(hash), late).await;
            let found = found.or_else(|error| match error.code() {
                Code::Timeout => shared.pick(hash),
                _ => Err(error),
            });
            found.map(Untaken::new)
        })
        .await
        .map(Untaken::take)
    }

    /// How many instances it picks from now.
    pub fn len(&self) -> usize {
        self.0.get().map_or(0, |inner| inner.shared.balancer.table.load().len())
    }

    /// The instances that are ejected now, because calls to them failed ([`Ejection`]).
    ///
    /// # Errors
    /// `forked`.
    pub fn ejected(&self) -> Result<Vec<Arc<Instance>>> {
        Ok(self.0.get()?.shared.balancer.ejected())
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
        self.0.peek().shared.balancer.options.policy
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
        if self.policy().counts_calls() {
            let shared = Arc::downgrade(&inner.shared);
            let aging = async move {
                loop {
                    sleep(expiry).await;
                    let Some(shared) = shared.upgrade() else { return };
                    shared.balancer.age();
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
    #[inline]
    fn pick(&self, hash: Option<u64>) -> Result<Pick> {
        self.choose(hash).map(Pick::from).ok_or_else(|| self.nothing())
    }

    fn choose(&self, hash: Option<u64>) -> Option<Choice> {
        self.balancer.chooser.choose(&self.balancer.table.load(), hash, clock)
    }

    fn pick_other(&self, tried: &[impl AsRef<str>], hash: Option<u64>) -> Result<Pick> {
        let other = self.balancer.chooser.choose_other(&self.balancer.table.load(), tried, hash, clock);
        other.map(Pick::from).ok_or_else(|| self.nothing())
    }

    #[cold]
    fn nothing(&self) -> Error {
        if self.balancer.table.load().is_closed() {
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

    async fn wait(&self, hash: Option<u64>) -> Result<Pick> {
        loop {
            // Registered before the look, so that an instance that comes in between is not missed.
            let filled = self.filled.notified();
            tokio::pin!(filled);
            filled.as_mut().enable();
            match self.pick(hash) {
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
