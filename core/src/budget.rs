//! The retry budget of a client: how many failed requests are made again while others succeed. The breaker only sees
//! failures in a row; a registry that answers some requests and fails others would be asked for the rest again and again by
//! everyone who has to know (Finagle's `RetryBudget`, https://finagle.github.io/blog/2016/02/08/retry-budgets/).

use std::time::Duration;

use tokio::time::Instant;

/// Time that earns one retry, whatever else is asked: ten a second.
const EACH: Duration = Duration::from_millis(100);
/// What each request that succeeds earns: a fifth of one.
const PER_SUCCESS: Duration = Duration::from_millis(20);
/// Most that is saved up: a hundred retries.
const MOST: Duration = Duration::from_secs(10);

pub(crate) struct Budget {
    earned: Duration,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Budget { earned: MOST, at: now }
    }

    /// Retries that may be made now.
    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        self.earn(now.saturating_duration_since(self.at));
        self.at = now;
        (self.earned.as_millis() / EACH.as_millis()) as u64
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let some = self.left(now) > 0;
        if some {
            self.earned -= EACH;
        }
        some
    }

    /// A request succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.earn(PER_SUCCESS);
    }

    fn earn(&mut self, time: Duration) {
        self.earned = (self.earned + time).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut Budget, now: Instant) -> usize {
        (0..1000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn retries_are_ten_a_second_and_a_fifth_of_what_succeeds() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!(taken(&mut budget, start), 100);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3)), 30);
        (0..50).for_each(|_| budget.succeeded());
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3)), 10);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3600)), 100, "no more is saved up");
    }
}
