//! What is counted of each instance's calls, to eject it by. On the way of every report, so a success costs one load
//! while all is well, and after a failure anywhere one store as well, to a cache line that the report writes anyway.

use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Notify;

use crate::sync::{AtomicBool, AtomicU64};

/// From low to high: failures in a row, failures of the interval, whether there is an interval, its calls. What leaves
/// the top is lost, so a success needs no care.
const RUN: u32 = 12;
const FAILURES: u32 = 19;
const MOST_RUN: u64 = (1 << RUN) - 1;
const MOST_FAILURES: u64 = (1 << FAILURES) - 1;
const COUNTING: u64 = 1 << (RUN + FAILURES);
const ONE_CALL: u64 = COUNTING << 1;

/// Calls of one instance. Two successes at once may count for one, which a rate can bear.
#[derive(Default)]
pub(super) struct Tally(AtomicU64);

/// Calls of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) all: u32,
    pub(super) failed: u32,
}

/// Wakes who looks after a picker's table.
pub(super) struct Bell {
    /// Failures in a row that it has to hear of; 0 for none.
    run: u32,
    /// Whether an interval runs, whose first failure was heard of. A tally can't say so: a success that ends while counting
    /// does leaves its own as it was.
    counting: AtomicBool,
    pub(super) rung: Notify,
}

impl Bell {
    pub(super) fn new(run: u32) -> Self {
        Bell { run, counting: AtomicBool::new(false), rung: Notify::new() }
    }

    pub(super) fn count(&self, counting: bool) {
        self.counting.store(counting, Relaxed);
    }
}

impl Tally {
    #[inline]
    pub(super) fn succeeded(&self) {
        let word = self.0.load(Relaxed);
        // Neither an interval nor a failure: there is nothing to compare this with.
        if word != 0 {
            self.0.store((word & !MOST_RUN).wrapping_add(ONE_CALL), Relaxed);
        }
    }

    /// Rings at a failure that an interval should begin with, and whenever there were enough in a row.
    #[cold]
    pub(super) fn failed(&self, bell: &Bell) {
        let count = |word: u64| {
            let (run, failures) = (word & MOST_RUN, word >> RUN & MOST_FAILURES);
            let (run, failures) = ((run + 1).min(MOST_RUN), (failures + 1).min(MOST_FAILURES));
            Some((word & !(COUNTING - 1)).wrapping_add(ONE_CALL) | failures << RUN | run)
        };
        let before = self.0.fetch_update(Relaxed, Relaxed, count).unwrap_or_else(|word| word);
        let (run, failures) = ((before & MOST_RUN) as u32 + 1, before >> RUN & MOST_FAILURES);
        let first = failures == 0 && !bell.counting.load(Relaxed);
        if first || bell.run != 0 && run.is_multiple_of(bell.run) {
            bell.rung.notify_one();
        }
    }

    /// Failures since the last success.
    pub(super) fn run(&self) -> u32 {
        (self.0.load(Relaxed) & MOST_RUN) as u32
    }

    pub(super) fn calls(&self) -> Calls {
        calls(self.0.load(Relaxed))
    }

    /// The calls of the interval that ends, and begins another one.
    pub(super) fn take(&self) -> Calls {
        let begin = |word: u64| Some(word & MOST_RUN | COUNTING);
        calls(self.0.fetch_update(Relaxed, Relaxed, begin).unwrap_or_else(|word| word))
    }

    /// Counts from now on, if it does not yet.
    pub(super) fn count(&self) {
        self.0.fetch_or(COUNTING, Relaxed);
    }

    /// Counts no more: nobody fails.
    pub(super) fn rest(&self) {
        self.0.fetch_and(MOST_RUN, Relaxed);
    }

    /// As if nothing but so many failures in a row were known.
    pub(super) fn reset(&self, run: u32) {
        self.0.store(u64::from(run).min(MOST_RUN) | COUNTING, Relaxed);
    }
}

impl Clone for Tally {
    fn clone(&self) -> Self {
        Tally(AtomicU64::new(self.0.load(Relaxed)))
    }
}

fn calls(word: u64) -> Calls {
    Calls { all: (word / ONE_CALL) as u32, failed: (word >> RUN & MOST_FAILURES) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rang(bell: &Bell) -> bool {
        let rung = bell.rung.notified();
        tokio::pin!(rung);
        rung.enable()
    }

    #[test]
    fn a_success_ends_the_run_and_nothing_else() {
        let (tally, bell) = (Tally::default(), Bell::new(5));
        tally.count();
        (0..3).for_each(|_| tally.failed(&bell));
        assert_eq!((tally.run(), tally.calls()), (3, Calls { all: 3, failed: 3 }));
        tally.succeeded();
        tally.failed(&bell);
        assert_eq!((tally.run(), tally.take()), (1, Calls { all: 5, failed: 4 }));
        assert_eq!((tally.run(), tally.calls()), (1, Calls { all: 0, failed: 0 }));
    }

    #[test]
    fn nothing_is_counted_while_nobody_fails() {
        let (tally, bell) = (Tally::default(), Bell::new(5));
        tally.succeeded();
        assert_eq!(tally.0.load(Relaxed), 0);
        (0..3).for_each(|_| tally.failed(&bell));
        tally.succeeded();
        assert_eq!(
            (tally.run(), tally.take()),
            (0, Calls { all: 4, failed: 3 }),
            "who was rung for sees why"
        );
        tally.succeeded();
        assert_eq!(tally.take().all, 1);
        tally.rest();
        tally.succeeded();
        assert_eq!(tally.take().all, 0);
    }

    #[test]
    fn it_rings_at_the_first_failure_and_at_each_run() {
        let (tally, bell) = (Tally::default(), Bell::new(5));
        let rings = |failures: std::ops::RangeInclusive<u32>| {
            let rings = failures.filter(|_| {
                tally.failed(&bell);
                rang(&bell)
            });
            rings.collect::<Vec<_>>()
        };
        assert_eq!(rings(1..=10), [1, 5, 10]);
        bell.count(true);
        tally.take();
        assert_eq!(rings(11..=20), [15, 20], "an interval has begun");
        tally.succeeded();
        assert!(!rang(&bell));
    }

    #[test]
    fn no_count_spills_into_another() {
        let (tally, bell) = (Tally::default(), Bell::new(0));
        tally.count();
        (0..1 << FAILURES).for_each(|_| tally.failed(&bell));
        tally.failed(&bell);
        assert_eq!(tally.calls(), Calls { all: (1 << FAILURES) + 1, failed: MOST_FAILURES as u32 });
        assert_eq!(u64::from(tally.run()), MOST_RUN);
        tally.0.store(u64::MAX, Relaxed);
        tally.succeeded();
        assert_eq!((tally.run(), tally.calls()), (0, Calls { all: 0, failed: MOST_FAILURES as u32 }));
    }
}
