//! Slow start: a newcomer with cold caches gets a share of calls that grows
//! (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start). The share is a
//! weight of the table, which is made anew in steps, so that no pick asks what time it is.

use std::time::Duration;

/// The share that a newcomer begins with: Envoy's default.
const LEAST: f64 = 0.1;
/// Steps from the first share to the whole.
const STEPS: u32 = 10;

/// The share after `elapsed` of `window`: Envoy's formula with an aggression of 1, which is a straight line.
pub(super) fn share(elapsed: Duration, window: Duration) -> f64 {
    (elapsed.as_secs_f64() / window.as_secs_f64()).clamp(LEAST, 1.0)
}

/// Time between two tables.
pub(super) fn step(window: Duration) -> Duration {
    window / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole() {
        let share = |seconds| share(Duration::from_secs(seconds), Duration::from_secs(60));
        assert_eq!([share(0), share(6), share(30), share(60), share(600)], [0.1, 0.1, 0.5, 1.0, 1.0]);
    }
}
