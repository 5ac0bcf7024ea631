//! One filter's list of a service, shared by every lookup, watch and picker that asks with that filter, and the
//! inbox of one watch.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};

use crate::filter::Filter;
use crate::slot::{Slot, subscribe};
use crate::snapshot::Snapshot;
use crate::stats::Counters;

/// What a view feeds. Called from the service's actor: quick, and never blocking.
pub(crate) trait Subscriber: Send + Sync {
    /// A newer snapshot; says whether an unread one gave way.
    fn offer(&self, snapshot: &Snapshot) -> bool;
    /// Nothing comes any more.
    fn end(&self);
    /// Whether it still takes what is offered.
    fn is_open(&self) -> bool {
        true
    }
}

pub(crate) struct View {
    filter: Filter,
    state: Mutex<State>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    /// What the filter leaves of the service's snapshot of revision `seen`.
    current: Option<Snapshot>,
    seen: u64,
    subscribers: Vec<Weak<dyn Subscriber>>,
    closed: bool,
}

impl View {
    pub(super) fn new(filter: Filter, counters: Arc<Counters>) -> Self {
        View { filter, state: Mutex::default(), counters }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes over the service's newest snapshot and tells the subscribers if they would see a difference.
    pub(super) fn refresh(&self, base: &Snapshot) -> Snapshot {
        let mut state = self.lock();
        // Two readers may refresh at once; the older base must not win.
        if state.seen < base.revision() || state.current.is_none() {
            let filtered = self.filtered(base);
            let news = state.current.as_ref().is_none_or(|current| !filtered.says_the_same_as(current));
            state.seen = base.revision();
            if news {
                state.current = Some(filtered.clone());
                let mut skipped = 0;
                state.subscribers.retain(|subscriber| match subscriber.upgrade() {
                    Some(subscriber) => {
                        skipped += u64::from(subscriber.offer(&filtered));
                        true
                    }
                    None => false,
                });
                self.counters.skipped.add(skipped);
            } else if !state.current.as_ref().is_some_and(|current| filtered.has_the_reason_of(current)) {
                state.current = Some(filtered);
            }
        }
        state.current.clone().unwrap_or_else(|| base.clone())
    }

    fn filtered(&self, base: &Snapshot) -> Snapshot {
        let all = base.shared_instances();
        if all.iter().all(|instance| self.filter.matches(instance)) {
            return base.clone();
        }
        let some = all.iter().filter(|instance| self.filter.matches(instance)).cloned();
        base.with_instances(some.collect())
    }

    /// Feeds `subscriber` from now on, beginning with the current snapshot.
    pub(crate) fn subscribe(&self, subscriber: Arc<impl Subscriber + 'static>) {
        let mut state = self.lock();
        if state.closed {
            subscriber.end();
            return;
        }
        if let Some(current) = &state.current {
            subscriber.offer(current);
        }
        let subscriber: Arc<dyn Subscriber> = subscriber;
        subscribe(&mut state.subscribers, Arc::downgrade(&subscriber));
    }

    /// Watches and pickers that are open.
    pub(super) fn subscribers(&self) -> usize {
        self.lock()
            .subscribers
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|subscriber| subscriber.is_open())
            .count()
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.closed = true;
        let subscribers = std::mem::take(&mut state.subscribers);
        drop(state);
        subscribers.iter().filter_map(Weak::upgrade).for_each(|subscriber| subscriber.end());
    }
}

/// The pending slot of one watch.
pub(crate) struct Inbox {
    slot: Slot<Snapshot>,
    /// What the reader saw last: a change that was undone before it looked is not news.
    last: Mutex<Option<Snapshot>>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox { slot: Slot::new(1), last: Mutex::new(None) }
    }

    pub(super) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        loop {
            let Some(snapshot) = std::task::ready!(self.slot.poll_take(context)) else {
                return Poll::Ready(None);
            };
            let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if last.as_ref().is_none_or(|last| !snapshot.says_the_same_as(last)) {
                *last = Some(snapshot.clone());
                return Poll::Ready(Some(snapshot));
            }
        }
    }

    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        self.slot
            .poll_ready(context, |snapshot| last.as_ref().is_none_or(|last| !snapshot.says_the_same_as(last)))
    }

    pub(super) fn skipped(&self) -> u64 {
        self.slot.skipped()
    }

    pub(super) fn ended(&self) -> bool {
        self.slot.ended()
    }
}

impl Subscriber for Inbox {
    fn offer(&self, snapshot: &Snapshot) -> bool {
        self.slot.offer(snapshot.clone())
    }

    fn end(&self) {
        self.slot.end();
    }

    fn is_open(&self) -> bool {
        !self.slot.ended()
    }
}
