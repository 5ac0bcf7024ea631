//! The states of a registration, and what its owner and its actor tell each other: what is wanted in one direction,
//! what was reached in the other.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::{Code, Error, Result};
use crate::fork;
use crate::health::Beats;
use crate::instance::{Instance, Status};
use crate::slot::Slot;

/// Transitions kept for a subscriber that does not read; older ones give way.
const TRANSITIONS: usize = 64;

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not published yet: held back, waiting for its port, or the registry has not answered.
    Pending,
    /// The registry has accepted it.
    Registered,
    /// It was registered, and the registry lost it or can't be reached; it is being published again.
    Lost,
    /// The registry said no; tried again every 30 s with fresh credentials.
    Refused,
    /// Another live process holds the id; published again when that goes.
    Superseded,
    /// Ended, for good.
    Closed,
}

impl State {
    /// The word that every language uses.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Registered => "registered",
            State::Lost => "lost",
            State::Refused => "refused",
            State::Superseded => "superseded",
            State::Closed => "closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: [State; 6] = [
            State::Pending,
            State::Registered,
            State::Lost,
            State::Refused,
            State::Superseded,
            State::Closed,
        ];
        ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = ALL.iter().map(|state| state.as_str()).collect();
            Error::invalid(format!("there is no state {text:?}; it is one of {}", words.join(", ")))
        })
    }
}

/// A state that was entered, and why if it is not a good one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StateChange {
    /// The new state.
    pub state: State,
    /// What led to it.
    pub error: Option<Error>,
}

/// Every state of a registration, the current one first; ends after `closed`.
///
/// At most 64 unread states are kept; of a reader that falls further behind the oldest are dropped.
pub struct States(fork::Owned<Arc<Slot<StateChange>>>);

impl States {
    /// Those of `slot`, for models.
    #[cfg(all(test, callsheet_loom))]
    pub(crate) fn of(slot: Arc<Slot<StateChange>>) -> Self {
        States(fork::Owned::new(slot))
    }

    /// The next state; `None` after `closed`.
    pub async fn next(&self) -> Option<StateChange> {
        poll_fn(|context| self.poll_next_state(context)).await
    }

    /// [`States::next`] as a poll; see [`Watch::poll_next_snapshot`](crate::Watch::poll_next_snapshot).
    pub fn poll_next_state(&self, context: &mut Context<'_>) -> Poll<Option<StateChange>> {
        match self.0.get() {
            Ok(slot) => slot.poll_take(context),
            Err(_) => Poll::Ready(None),
        }
    }

    /// Whether [`States::poll_next_state`] would be ready; see [`Watch::poll_ready`](crate::Watch::poll_ready).
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.0.get() {
            Ok(slot) => slot.poll_ready(context, |_| true),
            Err(_) => Poll::Ready(()),
        }
    }

    /// Ends the subscription.
    pub fn close(&self) {
        if let Ok(slot) = self.0.get() {
            slot.end();
        }
    }
}

impl Stream for States {
    type Item = StateChange;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StateChange>> {
        self.poll_next_state(context)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("States")
    }
}

/// What the owner wants.
pub(crate) struct Desired {
    pub(crate) instance: Instance,
    /// The status set by hand, and why.
    pub(crate) by_hand: (Status, String),
    ready: bool,
    closing: bool,
    /// Grows with every change, so that a caller can wait for its own.
    pub(super) generation: u64,
}

/// What the actor reached.
#[derive(Clone)]
struct Progress {
    state: State,
    last_error: Option<Error>,
    /// Publishes that were tried.
    attempts: u64,
    /// The last change that was tried.
    tried: u64,
    /// When it was closed.
    closed_at: Option<Instant>,
}

/// Between a registration's owner and its actor.
pub(crate) struct Shared {
    desired: Mutex<Desired>,
    wanted: Notify,
    progress: watch::Sender<Progress>,
    subscribers: Mutex<Vec<Weak<Slot<StateChange>>>>,
    pub(super) beats: Beats,
    /// As it was when it began, readable without a lock.
    pub(super) first_instance: Instance,
}

impl Shared {
    pub(crate) fn new(instance: Instance, hold: bool) -> Arc<Self> {
        Arc::new(Shared {
            first_instance: instance.clone(),
            desired: Mutex::new(Desired {
                instance,
                by_hand: (Status::Passing, String::new()),
                ready: !hold,
                closing: false,
                generation: 0,
            }),
            wanted: Notify::new(),
            progress: watch::Sender::new(Progress {
                state: State::Pending,
                last_error: None,
                attempts: 0,
                tried: 0,
                closed_at: None,
            }),
            subscribers: Mutex::default(),
            beats: Beats::new(),
        })
    }

    pub(super) fn desired(&self) -> MutexGuard<'_, Desired> {
        self.desired.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    // What the owner does.

    /// Changes what is wanted; says which change it was. A change that fails changes nothing.
    pub(super) fn change(&self, change: impl FnOnce(&mut Desired) -> Result<()>) -> Result<u64> {
        let generation = {
            let mut desired = self.desired();
            change(&mut desired)?;
            desired.generation += 1;
            desired.generation
        };
        self.wanted.notify_one();
        Ok(generation)
    }

    pub(super) fn set_ready(&self) {
        self.desired().ready = true;
        self.wanted.notify_one();
    }

    pub(super) fn ask_to_close(&self) {
        self.desired().closing = true;
        self.wanted.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.desired().closing
    }

    pub(crate) fn instance(&self) -> Instance {
        self.desired().instance.clone()
    }

    pub(crate) fn state(&self) -> State {
        self.progress.borrow().state
    }

    /// When it was closed, if it is.
    pub(super) fn closed_at(&self) -> Option<Instant> {
        self.progress.borrow().closed_at
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        self.progress.borrow().last_error.clone()
    }

    pub(crate) fn states(&self) -> States {
        let slot = Arc::new(Slot::new(TRANSITIONS));
        let mut subscribers = self.subscribers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Progress { state, last_error, .. } = self.progress.borrow().clone();
        slot.offer(StateChange { state, error: last_error });
        if state == State::Closed {
            slot.finish();
        }
        subscribers.retain(|slot| slot.strong_count() > 0);
        subscribers.push(Arc::downgrade(&slot));
        States(fork::Owned::new(slot))
    }

    /// Until `state` is entered or was already; false when it never can be.
    pub(crate) async fn reached(&self, state: State) -> bool {
        let states = self.states();
        while let Some(change) = states.next().await {
            if change.state == state {
                return true;
            }
            if change.state == State::Closed {
                return false;
            }
        }
        false
    }

    /// Until a publish was tried, however it ended.
    pub(crate) async fn tried_once(&self) {
        let mut progress = self.progress.subscribe();
        let done = |progress: &Progress| progress.attempts > 0 || progress.state != State::Pending;
        // The sender lives in `self`, so this can't fail while it is awaited.
        let _ = progress.wait_for(done).await;
    }

    /// Until change `generation` was tried, or can't be before the state changes.
    pub(super) async fn applied(&self, generation: u64) {
        let mut progress = self.progress.subscribe();
        let done = |progress: &Progress| progress.tried >= generation || progress.state != State::Registered;
        let _ = progress.wait_for(done).await;
    }

    // What the actor does.

    /// Resolves whenever something new is wanted.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.desired().ready
    }

    pub(super) fn tried(&self, generation: u64, error: Option<Error>) {
        self.progress.send_modify(|progress| {
            progress.tried = progress.tried.max(generation);
            progress.last_error = error;
        });
    }

    pub(super) fn attempted(&self) {
        self.progress.send_modify(|progress| progress.attempts += 1);
    }

    /// Says why a first try takes long, unless more is known by now.
    pub(crate) fn late(&self, error: impl FnOnce() -> Error) {
        self.progress.send_if_modified(|progress| {
            let unknown = progress.state == State::Pending && progress.last_error.is_none();
            if unknown {
                progress.last_error = Some(error());
            }
            unknown
        });
    }

    /// Says why there is no progress, without a change of state.
    pub(super) fn explain(&self, error: Error) {
        self.progress.send_modify(|progress| progress.last_error = Some(error));
    }

    /// Enters `state`; entering the same one again only renews the error.
    pub(super) fn enter(&self, state: State, error: Option<Error>) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut entered = false;
        self.progress.send_modify(|progress| {
            if progress.state == State::Closed {
                return;
            }
            entered = progress.state != state;
            progress.state = state;
            progress.last_error = error.clone();
            progress.closed_at = (state == State::Closed).then(Instant::now);
        });
        if !entered {
            return;
        }
        subscribers.retain(|slot| {
            let Some(slot) = slot.upgrade() else { return false };
            slot.offer(StateChange { state, error: error.clone() });
            if state == State::Closed {
                slot.finish();
            }
            state != State::Closed
        });
    }

    /// Ends because nobody holds it any more.
    pub(super) fn abandon(&self) {
        let Instance { service, id, .. } = self.instance();
        let why = format!(
            "the client of {service}/{id} was dropped without close; lists have it until its TTL is over or its check fails"
        );
        self.enter(State::Closed, Some(Error::new(Code::Closed, why)));
    }

    /// Ends without the registry knowing.
    pub(super) fn give_up(&self, limit: Duration) -> Error {
        let Instance { service, id, .. } = self.instance();
        let error = Error::new(
            Code::Timeout,
            format!(
                "could not withdraw {service}/{id} within {limit:?}; lists have it until its TTL is over or its check fails"
            ),
        );
        let error = match self.last_error() {
            Some(cause) => error.with_cause(cause),
            None => error,
        };
        self.enter(State::Closed, Some(error.clone()));
        error
    }
}
