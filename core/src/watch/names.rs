//! Following the names of all services: one actor per client, started by the first question and stopped when nobody
//! asks any more.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::first::FirstLoad;
use super::service::Start;
use super::{ASKED_FOR, HELD};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::breaker::Tries;
use crate::error::{Error, Result};
use crate::fork;
use crate::registry::{FollowNames, Registry};
use crate::runtime::{supervise, within};
use crate::slot::{Slot, subscribe};

type Names = Arc<[String]>;

/// The names of a client's registry, followed on demand.
pub(crate) struct NamesFollower {
    start: Start,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<(Arc<Shared>, AbortHandle)>,
    closed: bool,
}

struct Shared {
    first: FirstLoad,
    state: Mutex<Listed>,
}

struct Listed {
    names: Option<Names>,
    subscribers: Vec<Weak<Slot<Names>>>,
    last_used: Instant,
    ended: bool,
}

impl Shared {
    fn new() -> Self {
        let listed = Listed { names: None, subscribers: Vec::new(), last_used: Instant::now(), ended: false };
        Shared { first: FirstLoad::new(), state: Mutex::new(listed) }
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn has_names(&self) -> bool {
        self.lock().names.is_some()
    }

    fn publish(&self, names: Vec<String>) {
        let mut listed = self.lock();
        if listed.names.as_deref() == Some(&names) {
            return;
        }
        let names: Names = names.into();
        listed.names = Some(names.clone());
        listed.subscribers.retain(|slot| slot.upgrade().map(|slot| slot.offer(names.clone())).is_some());
        drop(listed);
        self.first.loaded();
    }

    fn subscribe(&self) -> Arc<Slot<Names>> {
        let slot = Arc::new(Slot::new(1));
        let mut listed = self.lock();
        if let Some(names) = &listed.names {
            slot.offer(names.clone());
        }
        if listed.ended {
            slot.end();
        }
        subscribe(&mut listed.subscribers, Arc::downgrade(&slot));
        slot
    }

    fn end(&self) {
        self.first.close();
        let subscribers = {
            let mut listed = self.lock();
            listed.ended = true;
            std::mem::take(&mut listed.subscribers)
        };
        subscribers.iter().filter_map(Weak::upgrade).for_each(|slot| slot.end());
    }
}

impl NamesFollower {
    pub(crate) fn new(start: Start) -> Self {
        NamesFollower { start, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn running(&self) -> Result<Arc<Shared>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("client"));
        }
        if let Some((shared, _)) = &state.running {
            shared.lock().last_used = Instant::now();
            return Ok(shared.clone());
        }
        let shared = Arc::new(Shared::new());
        let (theirs, start) = (shared.clone(), self.start.clone());
        let task = self
            .start
            .runtime
            .spawn(supervise("following service names", move || run(theirs.clone(), start.clone())));
        state.running = Some((shared.clone(), task.abort_handle()));
        Ok(shared)
    }

    /// The names now, waiting for the first answer.
    pub(crate) async fn current(&self, limit: Duration) -> Result<Names> {
        let shared = self.running()?;
        loop {
            if let Some(names) = shared.lock().names.clone() {
                return Ok(names);
            }
            shared.first.wait("the service names", self.start.registry.source(), limit).await?;
        }
    }

    pub(crate) fn watch(&self) -> Result<NamesWatch> {
        Ok(NamesWatch(fork::Owned::new(self.running()?.subscribe())))
    }

    /// Stops following when nobody has asked for `idle`.
    pub(crate) fn retire(&self, idle: Duration) {
        let mut state = self.lock();
        let unused = state.running.as_ref().is_some_and(|(shared, _)| {
            let mut listed = shared.lock();
            listed.subscribers.retain(|slot| slot.strong_count() > 0);
            listed.subscribers.is_empty() && listed.last_used.elapsed() >= idle
        });
        if unused && let Some((shared, task)) = state.running.take() {
            task.abort();
            shared.end();
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some((shared, task)) = state.running.take() {
            task.abort();
            shared.end();
        }
    }
}

impl Drop for NamesFollower {
    fn drop(&mut self) {
        self.close();
    }
}

async fn run(shared: Arc<Shared>, start: Start) {
    let mut backoff = Backoff::new(MAX_RETRY);
    let (mut tries, mut most) = (Tries::default(), MAX_RETRY);
    loop {
        let opened = start.breaker.call(&mut tries, most, open(&start.registry, start.timeout)).await;
        most = MAX_RETRY;
        match opened {
            Ok((mut follow, names)) => {
                shared.publish(names);
                let began = Instant::now();
                while let Ok(names) = follow.next().await {
                    shared.publish(names);
                }
                // One that breaks at once is no success, however well it began.
                if began.elapsed() >= HELD {
                    backoff.reset();
                }
            }
            Err(error) => {
                if !shared.has_names()
                    && let Some(names) = stand_in(&start).await
                {
                    shared.publish(names);
                }
                shared.first.failed(&error, start.breaker.tried());
            }
        }
        tokio::select! {
            _ = sleep(start.breaker.pause(backoff.next(), MAX_RETRY)) => {}
            _ = shared.first.poked() => most = ASKED_FOR,
            _ = start.breaker.recovered() => {}
        }
    }
}

async fn open(registry: &Arc<dyn Registry>, limit: Duration) -> Result<(Box<dyn FollowNames>, Vec<String>)> {
    let late = || format!("{} did not list its services within {limit:?}", registry.source());
    let open = async {
        let mut follow = registry.follow_names().await?;
        let names = follow.next().await?;
        Ok((follow, names))
    };
    within(limit, open, late).await
}

/// The names while the registry was never read: of what is saved on disk, or else of the first fallback that has some.
async fn stand_in(start: &Start) -> Option<Vec<String>> {
    if let Some(saver) = &start.saver {
        let names = saver.services().await;
        if !names.is_empty() {
            return Some(names);
        }
    }
    for fallback in start.fallbacks.iter() {
        if let Ok((_, names)) = open(fallback, start.timeout).await
            && !names.is_empty()
        {
            return Some(names);
        }
    }
    None
}

/// A subscription to the names of all services: the sorted list, the current one first, then one per change.
///
/// Only the latest list waits for a slow reader. It ends when it or its client is closed.
pub struct NamesWatch(fork::Owned<Arc<Slot<Names>>>);

impl NamesWatch {
    /// The next list; `None` once closed.
    pub async fn next(&self) -> Option<Arc<[String]>> {
        poll_fn(|context| self.poll_next_names(context)).await
    }

    /// [`NamesWatch::next`] as a poll; see [`Watch::poll_next_snapshot`](crate::Watch::poll_next_snapshot).
    pub fn poll_next_names(&self, context: &mut Context<'_>) -> Poll<Option<Arc<[String]>>> {
        match self.0.get() {
            Ok(slot) => slot.poll_take(context),
            Err(_) => Poll::Ready(None),
        }
    }

    /// Whether [`NamesWatch::poll_next_names`] would be ready; see [`Watch::poll_ready`](crate::Watch::poll_ready).
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.0.get() {
            Ok(slot) => slot.poll_ready(context, |_| true),
            Err(_) => Poll::Ready(()),
        }
    }

    /// Ends the watch.
    pub fn close(&self) {
        if let Ok(slot) = self.0.get() {
            slot.end();
        }
    }
}

impl Stream for NamesWatch {
    type Item = Arc<[String]>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_names(context)
    }
}

impl std::fmt::Debug for NamesWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NamesWatch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn watches_that_come_and_go_leave_nothing() {
        let shared = Shared::new();
        (0..1000).for_each(|_| drop(shared.subscribe()));
        assert!(shared.lock().subscribers.len() < 10);
    }

    #[test]
    fn who_subscribes_while_it_ends_is_told() {
        let shared = Shared::new();
        shared.publish(vec!["billing".into()]);
        shared.end();
        let end = shared.subscribe().poll_take(&mut Context::from_waker(Waker::noop()));
        assert_eq!(end, Poll::Ready(None));
    }
}
