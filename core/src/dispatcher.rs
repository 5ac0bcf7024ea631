//! Callbacks on a thread of the host's: in order, one at a time, none after close. The core decides what runs next and
//! who has to wait; the host only brings the thread, by calling `next` in a loop.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Code, Error, Result};
use crate::registration::{StateChange, States};
use crate::runtime::{handle, spawn};
use crate::snapshot::Snapshot;
use crate::sync::{AtomicBool, Mutex, MutexGuard};
use crate::watch::{NamesWatch, Watch};

/// What a callback can be subscribed to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// Snapshots of a service.
    Watch(Watch),
    /// States of a registration.
    States(States),
    /// Names of all services.
    Names(NamesWatch),
}

/// What a callback is called with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A service's new snapshot.
    Snapshot(Snapshot),
    /// A registration's new state.
    State(StateChange),
    /// The new list of service names.
    Names(Arc<[String]>),
}

impl Source {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        match self {
            Source::Watch(watch) => watch.poll_next_snapshot(context).map(|next| next.map(Event::Snapshot)),
            Source::States(states) => states.poll_next_state(context).map(|next| next.map(Event::State)),
            Source::Names(names) => names.poll_next_names(context).map(|next| next.map(Event::Names)),
        }
    }
}

/// Hands out callbacks of type `C` with their events, one at a time. One thread, or one event loop, serves it.
pub struct Dispatcher<C>(Arc<Shared<C>>);

struct Shared<C> {
    state: Mutex<State<C>>,
    finished: Notify,
}

struct State<C> {
    subscriptions: HashMap<u64, Subscription<C>>,
    next_id: u64,
    /// Subscriptions that may have news, each at most once.
    ready: VecDeque<u64>,
    running: Option<(u64, ThreadId)>,
    server: Option<Waker>,
    closed: bool,
}

struct Subscription<C> {
    source: Source,
    callback: Arc<C>,
    bell: Arc<Bell<C>>,
}

/// Puts its subscription into the queue when rung.
struct Bell<C> {
    id: u64,
    queued: AtomicBool,
    shared: Weak<Shared<C>>,
}

impl<C: Send + Sync + 'static> Wake for Bell<C> {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = {
            let mut state = shared.lock();
            state.ready.push_back(self.id);
            state.server.take()
        };
        server.into_iter().for_each(Waker::wake);
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<C: Send + Sync + 'static> Default for Dispatcher<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Dispatcher<C> {
    fn clone(&self) -> Self {
        Dispatcher(self.0.clone())
    }
}

impl<C: Send + Sync + 'static> Dispatcher<C> {
    /// A dispatcher without subscriptions.
    pub fn new() -> Self {
        let state = State {
            subscriptions: HashMap::new(),
            next_id: 1,
            ready: VecDeque::new(),
            running: None,
            server: None,
            closed: false,
        };
        Dispatcher(Arc::new(Shared { state: Mutex::new(state), finished: Notify::new() }))
    }

    /// Calls `callback` with everything that `source` tells, until cancelled; the id is for [`Dispatcher::cancel`].
    ///
    /// # Errors
    /// `closed`.
    pub fn subscribe(&self, source: Source, callback: C) -> Result<u64> {
        let bell = {
            let mut state = self.0.lock();
            if state.closed {
                return Err(Error::closed("client"));
            }
            let id = state.next_id;
            state.next_id += 1;
            let bell = Arc::new(Bell { id, queued: AtomicBool::new(false), shared: Arc::downgrade(&self.0) });
            let subscription = Subscription { source, callback: Arc::new(callback), bell: bell.clone() };
            state.subscriptions.insert(id, subscription);
            bell
        };
        // Looked at once, so that the present state is told first.
        let id = bell.id;
        bell.wake();
        Ok(id)
    }

    /// The next callback to run; `None` once the dispatcher is closed.
    pub async fn next(&self) -> Option<Job<C>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// [`Dispatcher::next`] as a poll, for event loops. The job must be dropped before the next one is asked for.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Job<C>>> {
        loop {
            // Subscriptions are dropped outside the lock: a source that goes may ring other bells.
            let (ended, running) = {
                let mut state = self.0.lock();
                if state.closed {
                    return Poll::Ready(None);
                }
                let Some(id) = state.ready.pop_front() else {
                    state.server = Some(context.waker().clone());
                    return Poll::Pending;
                };
                let Some(subscription) = state.subscriptions.get(&id) else { continue };
                let bell = subscription.bell.clone();
                bell.queued.store(false, Ordering::Release);
                match subscription.source.poll(&mut Context::from_waker(&Waker::from(bell.clone()))) {
                    Poll::Pending => continue,
                    Poll::Ready(Some(event)) => {
                        let callback = subscription.callback.clone();
                        state.running = Some((id, std::thread::current().id()));
                        drop(state);
                        let running = Running { bell, shared: self.0.clone() };
                        return Poll::Ready(Some(Job { callback, event, running }));
                    }
                    Poll::Ready(None) => {
                        // As if it ran, so that who closes meanwhile waits until it is dropped.
                        state.running = Some((id, std::thread::current().id()));
                        let ended = state.subscriptions.remove(&id);
                        (ended, Running { bell, shared: self.0.clone() })
                    }
                }
            };
            drop(ended);
            drop(running);
        }
    }

    /// Ends a subscription. On return its callback neither runs nor will, unless `caller` is the thread that runs it.
    ///
    /// # Errors
    /// `timeout` when it still runs after `limit`; it is not called again.
    pub async fn cancel(&self, id: u64, caller: ThreadId, limit: Duration) -> Result<()> {
        let subscription = self.0.lock().subscriptions.remove(&id);
        drop(subscription);
        self.quiet(Some(id), caller, limit).await
    }

    /// Ends every subscription; see [`Dispatcher::cancel`].
    ///
    /// # Errors
    /// `timeout` when a callback still runs after `limit`.
    pub async fn close(&self, caller: ThreadId, limit: Duration) -> Result<()> {
        self.end();
        self.quiet(None, caller, limit).await
    }

    /// [`Dispatcher::close`] without the wait: none starts any more, but one may still run.
    pub fn end(&self) {
        let (subscriptions, server) = {
            let mut state = self.0.lock();
            state.closed = true;
            (std::mem::take(&mut state.subscriptions), state.server.take())
        };
        drop(subscriptions);
        server.into_iter().for_each(Waker::wake);
    }

    /// Until no callback runs, or not the one of `id`.
    async fn quiet(&self, id: Option<u64>, caller: ThreadId, limit: Duration) -> Result<()> {
        let shared = self.0.clone();
        let busy = move |state: &State<C>| {
            state
                .running
                .is_some_and(|(running, thread)| id.is_none_or(|id| id == running) && thread != caller)
        };
        if !busy(&shared.lock()) {
            return Ok(());
        }
        let wait = async move {
            loop {
                let finished = shared.finished.notified();
                tokio::pin!(finished);
                finished.as_mut().enable();
                if !busy(&shared.lock()) {
                    return;
                }
                finished.await;
            }
        };
        spawn(&handle()?, async move {
            tokio::time::timeout(limit, wait).await.map_err(|_| {
                Error::new(
                    Code::Timeout,
                    format!("a callback still runs after {limit:?}; it is not called again when it ends"),
                )
            })
        })
        .await
    }
}

/// A callback to run now, with its event. Dropping it says that the callback has returned.
pub struct Job<C: Send + Sync + 'static> {
    /// What was subscribed.
    pub callback: Arc<C>,
    /// What to call it with.
    pub event: Event,
    // The last field: a callback whose subscription has ended is dropped before `close` returns.
    running: Running<C>,
}

/// A callback that runs, until this is dropped.
struct Running<C: Send + Sync + 'static> {
    bell: Arc<Bell<C>>,
    shared: Arc<Shared<C>>,
}

impl<C: Send + Sync + 'static> Job<C> {
    /// Whether the subscription has ended since the job was handed out: then the callback is not to be called.
    pub fn is_cancelled(&self) -> bool {
        let state = self.running.shared.lock();
        state.closed || !state.subscriptions.contains_key(&self.running.bell.id)
    }
}

impl<C: Send + Sync + 'static> Drop for Running<C> {
    fn drop(&mut self) {
        self.shared.lock().running = None;
        self.shared.finished.notify_waiters();
        // There may be more of the same, and whoever else is in the queue goes first.
        self.bell.clone().wake();
    }
}

impl<C> std::fmt::Debug for Dispatcher<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dispatcher")
    }
}

/// Every interleaving, found by loom. A server that is not woken for an event is a deadlock there.
#[cfg(all(test, callsheet_loom))]
mod models {
    use super::*;
    use crate::registration::State::{self, Closed, Pending, Registered};
    use crate::slot::Slot;
    use crate::sync::modelled::block_on;
    use loom::thread::spawn;

    type Changes = Arc<Slot<StateChange>>;

    fn change(state: State) -> StateChange {
        StateChange { state, error: None }
    }

    fn subscribed(dispatcher: &Dispatcher<u32>, callback: u32) -> (u64, Changes) {
        let changes = Arc::new(Slot::new(4));
        let source = Source::States(States::of(changes.clone()));
        (dispatcher.subscribe(source, callback).unwrap(), changes)
    }

    /// The next callback and what it is told. It has returned.
    fn next(dispatcher: &Dispatcher<u32>) -> Option<(u32, State)> {
        let job = block_on(dispatcher.next())?;
        let Event::State(change) = &job.event else { unreachable!("there are no others here") };
        Some((*job.callback, change.state))
    }

    #[test]
    fn every_event_is_told_in_order_and_once() {
        loom::model(|| {
            let dispatcher = Dispatcher::new();
            let (_, changes) = subscribed(&dispatcher, 1);
            let writer = spawn(move || {
                changes.offer(change(Pending));
                changes.offer(change(Registered));
                changes.finish();
            });
            assert_eq!(next(&dispatcher), Some((1, Pending)));
            assert_eq!(next(&dispatcher), Some((1, Registered)));
            writer.join().unwrap();
        });
    }

    #[test]
    fn two_sources_at_once_are_both_told() {
        loom::model(|| {
            let dispatcher = Dispatcher::new();
            let (_, one) = subscribed(&dispatcher, 1);
            let (_, two) = subscribed(&dispatcher, 2);
            let writer = spawn(move || assert!(!two.offer(change(Closed))));
            one.offer(change(Closed));
            let told = [next(&dispatcher), next(&dispatcher)];
            assert!(told.contains(&Some((1, Closed))) && told.contains(&Some((2, Closed))), "{told:?}");
            writer.join().unwrap();
        });
    }

    #[test]
    fn the_end_stops_a_server_whatever_it_is_at() {
        loom::model(|| {
            let dispatcher = Dispatcher::new();
            let (_, changes) = subscribed(&dispatcher, 1);
            let server = spawn({
                let dispatcher = dispatcher.clone();
                move || std::iter::from_fn(|| next(&dispatcher)).count()
            });
            changes.offer(change(Pending));
            dispatcher.end();
            assert!(server.join().unwrap() <= 1);
            assert!(dispatcher.0.lock().running.is_none());
        });
    }

    #[test]
    fn what_was_cancelled_while_it_did_not_run_is_never_called() {
        loom::model(|| {
            let dispatcher = Dispatcher::new();
            let (id, changes) = subscribed(&dispatcher, 1);
            changes.offer(change(Pending));
            let [cancelled, quiet] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
            let server = spawn({
                let (dispatcher, cancelled, quiet) = (dispatcher.clone(), cancelled.clone(), quiet.clone());
                move || {
                    while let Some(job) = block_on(dispatcher.next()) {
                        let late = cancelled.load(Ordering::SeqCst);
                        let called = !job.is_cancelled();
                        assert!(!(called && (late || quiet.load(Ordering::SeqCst))));
                    }
                }
            });
            // As `cancel` does, but for the wait on tokio's clock when the callback runs.
            let subscription = dispatcher.0.lock().subscriptions.remove(&id);
            drop(subscription);
            cancelled.store(true, Ordering::SeqCst);
            if dispatcher.0.lock().running.is_none() {
                quiet.store(true, Ordering::SeqCst);
            }
            dispatcher.end();
            server.join().unwrap();
        });
    }
}
