//! Least outstanding requests: the instance with the fewest calls under way for its weight, as HAProxy's `leastconn`
//! and AWS's least outstanding requests have it.

use super::endpoint::Endpoint;
use super::random::below;
use crate::sync::Arc;

/// The place of the smallest load among `count`. Begins anywhere, so that of equals not always the first is taken, and
/// ends at the first that has none.
#[inline]
pub(super) fn least(count: usize, bits: u64, load: impl Fn(usize) -> f32) -> usize {
    let start = below(count, bits);
    let mut best = (start, f32::INFINITY);
    for at in (start..count).chain(0..start) {
        let load = load(at);
        if load == 0.0 {
            return at;
        }
        if load < best.1 {
            best = (at, load);
        }
    }
    best.0
}

/// Calls under way; where weights differ, what one more would come to for this one.
#[inline]
pub(super) fn load(endpoint: &Arc<Endpoint>, weight: Option<f32>) -> f32 {
    let calls = Endpoint::pending(endpoint);
    match weight {
        None => calls as f32,
        Some(weight) => (calls + 1) as f32 / weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::endpoint::endpoints;
    use crate::balance::random::{random, seed};

    fn chosen(endpoints: &[Arc<Endpoint>], weights: Option<&[f32]>) -> usize {
        least(endpoints.len(), random(), |at| load(&endpoints[at], weights.map(|weights| weights[at])))
    }

    #[test]
    fn idle_equals_are_taken_evenly() {
        seed(1);
        let endpoints = endpoints(10);
        let mut counts = [0u32; 10];
        (0..10_000).for_each(|_| counts[chosen(&endpoints, None)] += 1);
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 1e3).powi(2) / 1e3).sum();
        assert!(chi < 27.9, "p = 0.001 with 9 degrees of freedom: {counts:?}");
    }

    #[test]
    fn calls_are_held_in_proportion_to_weights() {
        seed(2);
        let endpoints = endpoints(3);
        let weights = [1.0, 2.0, 3.0];
        let mut held = Vec::new();
        for _ in 0..60 {
            held.push(endpoints[chosen(&endpoints, Some(&weights))].clone());
        }
        let pending: Vec<_> = endpoints.iter().map(Endpoint::pending).collect();
        assert_eq!(pending, [10, 20, 30]);
    }

    #[test]
    fn the_least_busy_is_found_wherever_it_stands() {
        seed(3);
        let endpoints = endpoints(20);
        let held: Vec<_> = (0..20).filter(|&at| at != 13).map(|at| endpoints[at].clone()).collect();
        assert!((0..100).all(|_| chosen(&endpoints, None) == 13));
        drop(held);
    }
}
