//! A running registration: what its owner may ask of it, and what its actor tells. The life itself is in `actor`.

mod actor;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};

use crate::error::{Code, Error, Result};
use crate::fork;
use crate::instance::{Instance, Status, quoted};
use crate::registry::Registry;
use crate::runtime::{Task, spawn, spawn_detached};

pub(crate) use actor::{Actor, Settings};
pub use spec::{Changeset, Registration};
pub(crate) use state::Shared;
pub use state::{State, StateChange, States};

/// How long `close` may take to withdraw, on top of the drain.
const CLOSE: Duration = Duration::from_secs(5);

/// A registration and its actor, as the client keeps it.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    pub(crate) timeout: Duration,
    pub(crate) drain: Duration,
    registry: Arc<dyn Registry>,
    actor: AbortHandle,
}

impl Running {
    pub(crate) fn start(
        shared: Arc<Shared>,
        settings: Settings,
        runtime: Handle,
        drain: Duration,
    ) -> Arc<Self> {
        let (timeout, registry) = (settings.timeout, settings.registry.clone());
        let actor = Actor::start(shared.clone(), settings, &runtime);
        Arc::new(Running { shared, runtime, timeout, drain, registry, actor })
    }

    /// Withdraws and waits out the drain, within its bound, whether or not anyone awaits that.
    pub(crate) fn close(self: &Arc<Self>) -> Task<()> {
        let running = self.clone();
        self.shared.ask_to_close();
        spawn_detached(&self.runtime, async move { running.closed().await })
    }

    async fn closed(&self) -> Result<()> {
        let closed = timeout(CLOSE, self.shared.reached(State::Closed)).await;
        if closed.is_err() {
            // What is left in the registry goes with its lease, since nobody renews it from here on.
            self.actor.abort();
            let error = self.shared.give_up(CLOSE);
            return Err(error);
        }
        // Whoever closes second waits for the rest of the drain as well.
        if let Some(closed_at) = self.shared.closed_at() {
            sleep_until(closed_at + self.drain).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.actor.abort();
        self.shared.abandon();
    }
}

/// A registration on its way to its caller. Dropped on that way, because the caller gave up, it is closed.
pub(crate) struct Unclaimed {
    running: Arc<Running>,
    claimed: bool,
}

impl Unclaimed {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Unclaimed { running, claimed: false }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.running.shared
    }

    pub(crate) fn claim(mut self) -> RegistrationHandle {
        self.claimed = true;
        RegistrationHandle::new(self.running.clone())
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.claimed {
            drop(self.running.close());
        }
    }
}

/// Whether somebody still waits for a registration that is being made. Who gives up may register the same at once, and
/// is not to meet what was given up.
#[derive(Default)]
pub(crate) struct Attempt(Mutex<Stage>);

#[derive(Default)]
enum Stage {
    #[default]
    Open,
    Begun(Arc<Running>),
    GivenUp,
}

impl Attempt {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `begin`, unless the caller has given up; `running` finds what it has begun, if anything.
    pub(crate) fn begin<T>(
        &self,
        begin: impl FnOnce() -> Result<T>,
        running: impl FnOnce(&T) -> Option<&Arc<Running>>,
    ) -> Result<T> {
        let mut stage = self.lock();
        if let Stage::GivenUp = *stage {
            return Err(Error::new(Code::Cancelled, "the caller gave up on this registration"));
        }
        let begun = begin()?;
        if let Some(running) = running(&begun) {
            *stage = Stage::Begun(running.clone());
        }
        Ok(begun)
    }
}

/// The caller's end of an [`Attempt`]: dropped before it was claimed, it closes what was begun.
pub(crate) struct Caller(fork::Owned<GivesUp>);

struct GivesUp(Arc<Attempt>);

impl Caller {
    pub(crate) fn new(attempt: Arc<Attempt>) -> Self {
        Caller(fork::Owned::new(GivesUp(attempt)))
    }

    pub(crate) fn claim(self) {
        if let Ok(GivesUp(attempt)) = self.0.get() {
            *attempt.lock() = Stage::Open;
        }
    }
}

impl Drop for GivesUp {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut *self.0.lock(), Stage::GivenUp);
        if let Stage::Begun(running) = stage {
            drop(running.close());
        }
    }
}

/// A running registration.
///
/// It renews, comes back after every loss and keeps its instance registered until it is closed. Dropping the handle
/// does not end it; [`RegistrationHandle::close`] and closing the client do. When the last handle and the client are
/// dropped without that, renewal stops and the instance leaves the registry as after a crash.
#[derive(Clone)]
pub struct RegistrationHandle(fork::Owned<Arc<Running>>);

impl RegistrationHandle {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        RegistrationHandle(fork::Owned::new(running))
    }

    fn open(&self) -> Result<&Arc<Running>> {
        let running = self.0.get()?;
        if running.shared.is_closing() {
            return Err(Error::closed("registration"));
        }
        Ok(running)
    }

    fn run<T: Send + 'static>(
        &self,
        running: &Arc<Running>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Task<T> {
        spawn(&running.runtime, work)
    }

    /// The instance as it is to be published, with the id under which it is.
    pub fn instance(&self) -> Instance {
        // Only a copy of what this process wrote: safe in a forked child too, where the lock may be held for ever.
        match self.0.get() {
            Ok(running) => running.shared.instance(),
            Err(_) => self.0.peek().shared.first_instance.clone(),
        }
    }

    /// The id, which differs from the default one when that belongs to a live process of another machine.
    pub fn id(&self) -> String {
        self.instance().id
    }

    /// Where it stands; `closed` in a forked child.
    pub fn state(&self) -> State {
        self.0.get().map_or(State::Closed, |running| running.shared.state())
    }

    /// Why it is not registered, or why the last update did not reach the registry.
    pub fn last_error(&self) -> Option<Error> {
        match self.0.get() {
            Ok(running) => running.shared.last_error(),
            Err(error) => Some(error),
        }
    }

    /// Every state from now on, the current one first.
    ///
    /// # Errors
    /// `forked`.
    pub fn states(&self) -> Result<States> {
        Ok(self.0.get()?.shared.states())
    }

    /// Publishes what was held back by [`Registration::hold`], and waits until it is registered. The `timeout` ends
    /// the wait, not the registration.
    ///
    /// # Errors
    /// `timeout`, `closed`, `forked`.
    pub async fn ready(&self, timeout: Duration) -> Result<()> {
        self.open()?.shared.set_ready();
        self.wait(State::Registered, timeout).await
    }

    /// Waits until `state` is reached; already being in it is success.
    ///
    /// # Errors
    /// `timeout`, with the last error as its cause; `closed` when it can never be reached; `forked`.
    pub async fn wait(&self, state: State, timeout: Duration) -> Result<()> {
        let running = self.0.get()?.clone();
        let work = async move {
            let shared = &running.shared;
            match tokio::time::timeout(timeout, shared.reached(state)).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Error::closed("registration")),
                Err(_) => {
                    let now = shared.state();
                    let instance = shared.instance();
                    let error = Error::new(
                        Code::Timeout,
                        format!(
                            "{}/{} was not {state} within {timeout:?}: it is {now}, and goes on trying",
                            instance.service, instance.id
                        ),
                    );
                    Err(match shared.last_error() {
                        Some(cause) => error.with_cause(cause),
                        None => error,
                    })
                }
            }
        };
        self.run(self.0.get()?, work).await
    }

    /// Changes tags, metadata or weight without a gap. Returns when the registry has it, or after the first try that
    /// failed: then [`RegistrationHandle::last_error`] says why, and it goes on trying.
    ///
    /// # Errors
    /// `invalid_argument`, and nothing is changed; `closed`; `forked`.
    pub async fn update(&self, changes: Changeset) -> Result<()> {
        let running = self.open()?;
        let generation = running.shared.change(|desired| {
            let mut changed = desired.instance.clone();
            changes.apply(&mut changed)?;
            running.registry.takes(&changed)?;
            desired.instance = changed;
            Ok(())
        })?;
        self.applied(generation).await
    }

    /// Sets the status by hand; `passing` gives it back to the check. A failing check still wins over a better one.
    ///
    /// # Errors
    /// `invalid_argument` for a note of more than 512 bytes; `closed`; `forked`.
    pub async fn set_status(&self, status: Status, note: &str) -> Result<()> {
        if note.len() > crate::instance::MAX_METADATA_VALUE {
            return Err(Error::invalid(format!("note {} is too long: use at most 512 bytes", quoted(note))));
        }
        let generation = self.open()?.shared.change(|desired| {
            desired.by_hand = (status, note.to_owned());
            Ok(())
        })?;
        self.applied(generation).await
    }

    /// Says `draining`: pickers, watches and lookups skip it from now on, while it finishes its calls.
    ///
    /// # Errors
    /// `closed`, `forked`.
    pub async fn drain(&self) -> Result<()> {
        self.set_status(Status::Draining, "draining").await
    }

    /// Until the change `generation` was tried, if it can be tried now.
    async fn applied(&self, generation: u64) -> Result<()> {
        let running = self.open()?.clone();
        let work = async move {
            // Past the limit it is still kept and tried; the caller is not held up.
            let _ = timeout(running.timeout, running.shared.applied(generation)).await;
            Ok(())
        };
        self.run(self.0.get()?, work).await
    }

    /// A sign of life for [`Check::heartbeat`](crate::Check::heartbeat). Never waits.
    ///
    /// # Errors
    /// `closed`, `forked`.
    pub fn beat(&self) -> Result<()> {
        self.open()?.shared.beats.beat();
        Ok(())
    }

    /// Withdraws the instance if it is still this registration's, then waits out the drain. Goes on in the background
    /// if the future is dropped; closing twice is fine.
    ///
    /// # Errors
    /// `timeout` when the registry could not be told within 5 s; the instance then goes with its TTL. `forked`.
    pub async fn close(&self) -> Result<()> {
        self.0.get()?.close().await
    }
}

impl std::fmt::Debug for RegistrationHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrationHandle").field("state", &self.state()).finish()
    }
}
