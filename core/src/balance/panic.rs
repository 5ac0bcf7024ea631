//! Panic threshold: where most instances are said to be unhealthy, either they all break down under what the rest can't
//! take, or it is the saying that is wrong; in both cases all of them serve better than the few
//! (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold).

/// Healthy instances, in percent of those that could be called, below which all are.
pub(super) const THRESHOLD: u32 = 50;

/// Whether so few are healthy that all have to be used.
pub(super) fn panics(healthy: usize, all: usize, threshold: u32) -> bool {
    healthy * 100 < all * threshold as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_threshold_the_healthy_ones_are_enough() {
        assert!(!panics(5, 10, 50) && panics(4, 10, 50));
        assert!(!panics(1, 2, 50) && panics(1, 3, 50));
        assert!(panics(0, 1, 50) && !panics(0, 0, 50));
        assert!(!panics(0, 10, 0), "0 turns it off");
    }
}
