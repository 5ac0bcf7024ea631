//! How long to wait before trying again: exponential with full jitter, so that a thousand clients that lost one
//! registry do not come back in step (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

use std::time::Duration;

use crate::registry::random_u64;

/// Longest pause between two tries, towards every registry.
pub(crate) const MAX_RETRY: Duration = Duration::from_secs(5);
/// What the first pause is drawn from.
const FIRST: Duration = Duration::from_millis(100);

/// The pauses of one actor.
pub(crate) struct Backoff {
    most: Duration,
    tries: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// Pauses of at most `most`.
    pub(crate) fn new(most: Duration) -> Self {
        Backoff { most, tries: 0, random: fastrand::Rng::with_seed(random_u64()) }
    }

    /// The next pause: anything between nothing and a bound that doubles each time.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        // A floor keeps an unlucky draw from hammering a registry that refuses at once.
        (bound.mul_f64(self.random.f64())).max(FIRST / 10).min(self.most)
    }

    /// A pause of at most `most`, which counts for nothing.
    pub(crate) fn jitter(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.random.f64())
    }

    /// It worked: the next failure begins anew.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_bound_and_spread_over_all_of_it() {
        let mut backoff = Backoff::new(Duration::from_secs(3));
        assert!(backoff.next() <= FIRST);
        let pauses: Vec<_> = (0..200).map(|_| backoff.next()).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(3)));
        assert!(pauses[10..].iter().any(|pause| *pause < Duration::from_secs(1)));
        assert!(pauses[10..].iter().any(|pause| *pause > Duration::from_secs(2)));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
