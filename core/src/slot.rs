//! What waits for one subscriber: at most a fixed number of values, the oldest giving way. The writer never waits,
//! a reader may be a task, a blocked thread or a descriptor (anything that has a `Waker`).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

/// Most readers that wait on one slot at once; more than one is unusual, and this bounds what they can store.
const MAX_WAKERS: usize = 32;

pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    capacity: usize,
}

struct State<T> {
    values: VecDeque<T>,
    skipped: u64,
    ended: bool,
    wakers: Vec<Waker>,
}

impl<T> Slot<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { values: VecDeque::new(), skipped: 0, ended: false, wakers: Vec::new() };
        Slot { state: Mutex::new(state), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Puts `value` in; says whether an older one that nobody took gave way.
    pub(crate) fn offer(&self, value: T) -> bool {
        let mut state = self.lock();
        if state.ended {
            return false;
        }
        let full = state.values.len() == self.capacity;
        let dropped = if full { state.values.pop_front() } else { None };
        state.skipped += u64::from(full);
        state.values.push_back(value);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        drop(dropped);
        wakers.into_iter().for_each(Waker::wake);
        full
    }

    /// Nothing comes any more, and what was not taken is gone.
    pub(crate) fn end(&self) {
        self.stop(true);
    }

    /// Nothing comes any more, but what waits may still be taken.
    pub(crate) fn finish(&self) {
        self.stop(false);
    }

    fn stop(&self, discard: bool) {
        let mut state = self.lock();
        state.ended = true;
        let values = if discard { std::mem::take(&mut state.values) } else { VecDeque::new() };
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        drop(values);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The oldest value; `None` once ended.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        if let Some(value) = state.values.pop_front() {
            return Poll::Ready(Some(value));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            let evicted = (state.wakers.len() == MAX_WAKERS).then(|| state.wakers.remove(0));
            state.wakers.push(context.waker().clone());
            drop(state);
            // Woken for nothing, an evicted reader polls again; it is never lost.
            evicted.into_iter().for_each(Waker::wake);
        }
        Poll::Pending
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    pub(crate) fn ended(&self) -> bool {
        self.lock().ended
    }
}

/// Adds a subscriber. Those that are gone make way before the list grows, however long there is nothing to tell them.
pub(crate) fn subscribe<T: ?Sized>(subscribers: &mut Vec<Weak<T>>, subscriber: Weak<T>) {
    if subscribers.len() == subscribers.capacity() {
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        // Twice those that are left, so that looking at all of them is rare.
        subscribers.reserve(subscribers.len().max(8));
    }
    subscribers.push(subscriber);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::block_on;
    use std::future::poll_fn;
    use std::sync::Arc;

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let slot = Slot::new(2);
        assert!(!slot.offer(1));
        assert!(!slot.offer(2));
        assert!(slot.offer(3));
        assert_eq!(block_on(poll_fn(|context| slot.poll_take(context))), Some(2));
        assert_eq!(slot.skipped(), 1);
    }

    #[test]
    fn subscribers_that_are_gone_make_way_for_new_ones() {
        let kept: Vec<_> = (0..20).map(Arc::new).collect();
        let mut subscribers = Vec::new();
        for one in &kept {
            subscribe(&mut subscribers, Arc::downgrade(one));
            for gone in 0..1000 {
                subscribe(&mut subscribers, Arc::downgrade(&Arc::new(gone)));
            }
        }
        let alive: Vec<_> = subscribers.iter().filter_map(Weak::upgrade).collect();
        assert_eq!(alive, kept);
        assert!(subscribers.len() <= 64, "{}", subscribers.len());
    }

    #[test]
    fn every_waiting_thread_sees_the_end() {
        let slot = Arc::new(Slot::<u8>::new(1));
        // More readers than wakers are kept for.
        let readers: Vec<_> = (0..MAX_WAKERS + 8)
            .map(|_| {
                let slot = slot.clone();
                std::thread::spawn(move || block_on(poll_fn(|context| slot.poll_take(context))))
            })
            .collect();
        slot.end();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap().is_none()));
        assert!(!slot.offer(1) && slot.ended());
    }
}
