//! Power of two choices over a peak exponentially weighted moving average of latency, as in Finagle
//! (https://twitter.github.io/finagle/guide/Clients.html) after Mitzenmacher, "The Power of Two Choices in Randomized
//! Load Balancing" (2001): the cost of an instance is its estimate times the calls it would then have.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU64;

/// How fast old latencies are forgotten: after this time they weigh 1/e. Nanoseconds.
const DECAY: f32 = 10e9;
/// What a failed call counts as, at least: an instance that fails fast must not look fast. Nanoseconds.
const FAILURE: f32 = 1e9;
/// What an instance that never answered is taken to need once a call to it is under way. Nanoseconds.
const UNKNOWN: f32 = 1e6;
/// One unit of the stamp: 2^16 ns, so that 32 bits reach over three days and a wrap is harmless.
const UNIT: u32 = 16;
/// Units to parts of the decay time. A product, because a division takes several times as long.
const PER_DECAY: f32 = (1 << UNIT) as f32 / DECAY;

/// The estimate of one instance: nanoseconds as `f32` above the time of the last sample, in one word so that it is
/// never torn. Two samples at once may cost one of them, which an average can bear; a lock it could not.
#[derive(Default)]
pub(super) struct Estimate(AtomicU64);

impl Clone for Estimate {
    fn clone(&self) -> Self {
        Estimate(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Estimate {
    /// What one more call costs at `now`, beside `calls` under way: the expected latency in nanoseconds, times the calls
    /// there would be. An instance that nothing is known of costs nothing while no call is under way: however fast the
    /// others are, a newcomer is tried.
    #[inline]
    pub(super) fn cost(&self, now: u64, calls: u32) -> f32 {
        let word = self.0.load(Ordering::Relaxed);
        let latency = f32::from_bits((word >> 32) as u32) * decay(elapsed(word, now));
        let (latency, calls) =
            if word == 0 { (UNKNOWN, i64::from(calls)) } else { (latency, i64::from(calls) + 1) };
        latency * calls as f32
    }

    /// A call that took `latency` nanoseconds ended at `now`. Written without branches on the figures: they are as
    /// good as random, and a mispredicted one costs more than both sides.
    #[inline]
    pub(super) fn observe(&self, latency: u64, failed: bool, now: u64) {
        let word = self.0.load(Ordering::Relaxed);
        let floor = if failed { FAILURE } else { 1.0 };
        // Signed, because that conversion is one instruction.
        let sample = (latency as i64 as f32).max(floor);
        // Nothing known reads as a latency of 0, which every sample exceeds.
        let old = f32::from_bits((word >> 32) as u32);
        let weight = decay(elapsed(word, now).max(1));
        let average = old * weight + sample * (1.0 - weight);
        // A peak is believed at once; a recovery has to be earned.
        let next = if sample > old * weight { sample } else { average };
        let stamp = (now >> UNIT) as u32;
        self.0.store(u64::from(next.to_bits()) << 32 | u64::from(stamp), Ordering::Relaxed);
    }
}

/// Units since the last sample.
#[inline]
fn elapsed(word: u64, now: u64) -> u32 {
    ((now >> UNIT) as u32).wrapping_sub(word as u32)
}

/// e^(-elapsed / DECAY). Below a hundredth of the decay time the first terms of the series are within 1e-4 and spare
/// the call.
#[inline]
fn decay(elapsed: u32) -> f32 {
    let x = i64::from(elapsed) as f32 * PER_DECAY;
    if x < 0.01 { 1.0 - x } else { (-x).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn peaks_are_believed_at_once_and_forgotten_slowly() {
        let estimate = Estimate::default();
        let start = 1_000 * MS;
        estimate.observe(10 * MS, false, start);
        estimate.observe(100 * MS, false, start + MS);
        assert!((estimate.cost(start + MS, 0) / 1e8 - 1.0).abs() < 0.01);
        let after_decay = estimate.cost(start + MS + DECAY as u64, 0);
        assert!((after_decay / (1e8 / std::f32::consts::E) - 1.0).abs() < 0.02, "{after_decay}");
        let mut now = start;
        for _ in 0..1000 {
            now += 100 * MS;
            estimate.observe(10 * MS, false, now);
        }
        assert!((estimate.cost(now, 0) / 1e7 - 1.0).abs() < 0.05, "{}", estimate.cost(now, 0));
    }

    #[test]
    fn a_newcomer_is_tried_however_fast_the_others_are() {
        let (newcomer, known) = (Estimate::default(), Estimate::default());
        known.observe(200, false, MS);
        assert!(newcomer.cost(MS, 0) < known.cost(MS, 0));
        assert!(newcomer.cost(MS, 1) > known.cost(MS, 1), "by one call at a time");
    }

    #[test]
    fn a_fast_failure_is_slow() {
        let estimate = Estimate::default();
        estimate.observe(1_000, true, MS);
        assert!(estimate.cost(MS, 0) >= 0.99e9);
    }

    #[test]
    fn the_short_form_of_the_decay_meets_the_long_one() {
        let edge = (0.01 / PER_DECAY) as u32;
        assert!((decay(edge - 1) - decay(edge + 1)).abs() < 1e-4);
    }
}
