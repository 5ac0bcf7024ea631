//! What waits for one subscriber: at most a fixed number of values, the oldest giving way. The writer never waits,
//! a reader may be a task, a blocked thread or a descriptor (anything that has a `Waker`).

use std::collections::VecDeque;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard};

/// Most wakers that are kept: of readers that wait at once, of which more than one is unusual, and of those that gave up
/// since the last value. Were there as many readers, they would wake each other without end. Two in the models, which
/// have no more readers.
const MAX_WAKERS: usize = if cfg!(callsheet_loom) { 2 } else { 1024 };

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

impl<T> State<T> {
    /// Keeps a reader's waker; gives back the one that had to make way.
    fn remember(&mut self, waker: &Waker) -> Option<Waker> {
        if self.wakers.iter().any(|known| known.will_wake(waker)) {
            return None;
        }
        let evicted = (self.wakers.len() == MAX_WAKERS).then(|| self.wakers.remove(0));
        self.wakers.push(waker.clone());
        evicted
    }
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
        let evicted = state.remember(context.waker());
        drop(state);
        // Woken for nothing, an evicted reader polls again; it is never lost.
        evicted.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Whether [`Slot::poll_take`] would be ready, without taking: a value for which `news` holds waits (others are
    /// dropped on the way), or nothing comes any more.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>, news: impl Fn(&T) -> bool) -> Poll<()> {
        loop {
            let old = {
                let mut state = self.lock();
                match state.values.front() {
                    Some(value) if !news(value) => state.values.pop_front(),
                    Some(_) => return Poll::Ready(()),
                    None if state.ended => return Poll::Ready(()),
                    None => {
                        let evicted = state.remember(context.waker());
                        drop(state);
                        evicted.into_iter().for_each(Waker::wake);
                        return Poll::Pending;
                    }
                }
            };
            drop(old);
        }
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
    fn readiness_takes_nothing_but_what_is_no_news() {
        let slot = Slot::new(3);
        let ready = |slot: &Slot<u8>| slot.poll_ready(&mut Context::from_waker(Waker::noop()), |n| *n > 1);
        slot.offer(1);
        assert!(ready(&slot).is_pending());
        slot.offer(2);
        assert!(ready(&slot).is_ready() && ready(&slot).is_ready());
        assert_eq!(block_on(poll_fn(|context| slot.poll_take(context))), Some(2));
        assert!(ready(&slot).is_pending());
        slot.end();
        assert!(ready(&slot).is_ready());
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
        let readers: Vec<_> = (0..64)
            .map(|_| {
                let slot = slot.clone();
                std::thread::spawn(move || block_on(poll_fn(|context| slot.poll_take(context))))
            })
            .collect();
        slot.end();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap().is_none()));
        assert!(!slot.offer(1) && slot.ended());
    }

    #[test]
    fn readers_that_gave_up_cost_a_bounded_number_of_wakers() {
        struct Silent;
        impl std::task::Wake for Silent {
            fn wake(self: Arc<Self>) {}
        }
        let slot = Slot::<u8>::new(1);
        for _ in 0..3 * MAX_WAKERS {
            assert!(slot.poll_take(&mut Context::from_waker(&Waker::from(Arc::new(Silent)))).is_pending());
        }
        assert_eq!(slot.lock().wakers.len(), MAX_WAKERS);
    }
}

/// Every interleaving, found by loom. A reader that misses its waker is a deadlock there.
#[cfg(all(test, callsheet_loom))]
mod models {
    use super::*;
    use std::future::poll_fn;
    use std::sync::Arc;

    use crate::sync::modelled::block_on;
    use loom::thread::spawn;

    struct Silent;

    impl std::task::Wake for Silent {
        fn wake(self: Arc<Self>) {}
    }

    fn take(slot: &Slot<u32>) -> Option<u32> {
        block_on(poll_fn(|context| slot.poll_take(context)))
    }

    fn all(slot: &Slot<u32>) -> Vec<u32> {
        std::iter::from_fn(|| take(slot)).collect()
    }

    #[test]
    fn a_reader_gets_the_last_value_and_counts_those_it_missed() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(1));
            let writer = spawn({
                let slot = slot.clone();
                move || {
                    let gave_way: u64 = (1..=3).map(|value| u64::from(slot.offer(value))).sum();
                    slot.finish();
                    assert_eq!(slot.skipped(), gave_way);
                }
            });
            let taken = all(&slot);
            assert!(taken.is_sorted_by(|a, b| a < b) && taken.last() == Some(&3), "{taken:?}");
            assert_eq!(taken.len() as u64 + slot.skipped(), 3);
            writer.join().unwrap();
        });
    }

    #[test]
    fn of_two_writers_and_a_reader_nothing_is_lost_or_told_twice() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(2));
            let writers = [1, 2].map(|value| {
                let slot = slot.clone();
                spawn(move || assert!(!slot.offer(value)))
            });
            let mut taken = [take(&slot), take(&slot)];
            taken.sort_unstable();
            assert_eq!(taken, [Some(1), Some(2)]);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        });
    }

    #[test]
    fn a_value_goes_to_one_reader_and_the_end_to_the_other() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(1));
            let readers = [(); 2].map(|()| {
                let slot = slot.clone();
                spawn(move || take(&slot))
            });
            slot.offer(1);
            slot.finish();
            let mut taken = readers.map(|reader| reader.join().unwrap());
            taken.sort_unstable();
            assert_eq!(taken, [None, Some(1)]);
        });
    }

    #[test]
    fn the_end_discards_what_waits_whoever_comes_first() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(1));
            let writer = spawn({
                let slot = slot.clone();
                move || {
                    slot.offer(1);
                    slot.offer(2)
                }
            });
            let reader = spawn({
                let slot = slot.clone();
                move || all(&slot)
            });
            slot.end();
            assert_eq!(take(&slot), None);
            let gave_way = writer.join().unwrap();
            assert_eq!(gave_way, slot.skipped() == 1);
            assert!(reader.join().unwrap().len() <= 2);
            assert!(!slot.offer(3) && take(&slot).is_none());
        });
    }

    #[test]
    fn who_waits_for_news_sleeps_through_the_rest_and_not_through_the_end() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(1));
            let writer = spawn({
                let slot = slot.clone();
                move || {
                    slot.offer(1);
                    slot.offer(2);
                    slot.finish();
                }
            });
            let ready = || block_on(poll_fn(|context| slot.poll_ready(context, |value| *value > 1)));
            ready();
            assert_eq!(take(&slot), Some(2));
            ready();
            assert_eq!(take(&slot), None);
            writer.join().unwrap();
        });
    }

    #[test]
    fn a_reader_whose_waker_gave_way_is_woken() {
        loom::model(|| {
            let slot = Arc::new(Slot::new(1));
            let reader = spawn({
                let slot = slot.clone();
                move || take(&slot)
            });
            // As many as there is room for look once and give up.
            for waker in [(); MAX_WAKERS].map(|()| Waker::from(Arc::new(Silent))) {
                assert!(slot.poll_take(&mut Context::from_waker(&waker)).is_pending());
            }
            slot.offer(1);
            assert_eq!(reader.join().unwrap(), Some(1));
        });
    }
}
