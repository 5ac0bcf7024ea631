//! The circuit breaker between a client and its registry, shared by all its actors. After some failures in a row it is open:
//! one try in a while goes to the registry, all others fail at once with the reason that is known, and whoever tries first
//! after the registry is back wakes the rest (https://martinfowler.com/bliki/CircuitBreaker.html). While it is closed, what
//! failed before is asked again only as far as the retry budget goes.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::error::{Code, Error, Result};
use crate::stats::Counters;

/// Failures in a row after which it opens.
const FAILURES: u32 = 5;
/// Between two tries while it is open, unless somebody must know sooner.
const SPACING: Duration = Duration::from_secs(1);

pub(crate) struct Breaker {
    state: Mutex<State>,
    recovered: Notify,
    counters: Arc<Counters>,
}

struct State {
    failures: u32,
    open: Option<Open>,
    /// How often it closed: what failed before is no retry after.
    closings: u64,
    budget: Budget,
}

/// How the last request of one actor ended.
#[derive(Default)]
pub(crate) struct Tries {
    failed: Option<(Error, u64)>,
    urgent: bool,
}

impl Tries {
    /// Those of an actor that does not wait for the budget, though it spends it: a registration.
    pub(crate) fn urgent() -> Self {
        Tries { failed: None, urgent: true }
    }
}

struct Open {
    error: Error,
    /// When the last try began.
    tried: Instant,
}

impl Breaker {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        let budget = Budget::new(Instant::now());
        let state = State { failures: 0, open: None, closings: 0, budget };
        Breaker { state: Mutex::new(state), recovered: Notify::new(), counters }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// When somebody tried last, while it is open; else now.
    pub(crate) fn tried(&self) -> Instant {
        self.lock().open.as_ref().map_or_else(Instant::now, |open| open.tried)
    }

    /// Retries that the budget has left.
    pub(crate) fn retries(&self) -> u64 {
        self.lock().budget.left(Instant::now())
    }

    /// What `request` answers, or at once what was answered before, while this is open or the budget spent. `most`: how long
    /// the caller waits between two tries at most.
    pub(crate) async fn call<T>(
        &self,
        tries: &mut Tries,
        most: Duration,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.admit(tries, most)?;
        let answer = request.await;
        self.learn(answer.as_ref().err());
        tries.failed = answer.as_ref().err().map(|error| (error.clone(), self.lock().closings));
        answer
    }

    fn admit(&self, tries: &Tries, most: Duration) -> Result<()> {
        let mut state = self.lock();
        let State { open, closings: until, budget, .. } = &mut *state;
        let now = Instant::now();
        let held = match (open, &tries.failed) {
            (Some(open), _) if open.tried.elapsed() < SPACING.min(most / 4) => Some(open.error.clone()),
            (Some(open), _) => {
                open.tried = now;
                None
            }
            (None, Some((error, closings))) if closings == until => {
                let held = !budget.take(now) && !tries.urgent;
                held.then(|| error.clone())
            }
            (None, _) => None,
        };
        match held {
            Some(error) => {
                self.counters.held_back.one();
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Learns from what somebody was answered, through this or beside it.
    pub(crate) fn learn(&self, error: Option<&Error>) {
        let mut state = self.lock();
        let failure = error.filter(|error| matches!(error.code(), Code::Unavailable | Code::Timeout));
        let Some(error) = failure else {
            state.failures = 0;
            if error.is_none() {
                state.budget.succeeded();
            }
            if state.open.take().is_some() {
                state.closings += 1;
                drop(state);
                tracing::debug!("the circuit breaker closed");
                self.recovered.notify_waiters();
            }
            return;
        };
        state.failures = state.failures.saturating_add(1);
        if let Some(open) = &mut state.open {
            open.error = error.clone();
        } else if state.failures >= FAILURES {
            state.open = Some(Open { error: error.clone(), tried: Instant::now() });
            self.counters.breaker_opened.one();
            tracing::debug!(%error, "the circuit breaker opened");
        }
    }

    /// A pause before the next try, cut short so that somebody tries within `most` of the last try.
    pub(crate) fn pause(&self, wanted: Duration, most: Duration) -> Duration {
        match &self.lock().open {
            Some(open) => wanted.min(most.saturating_sub(open.tried.elapsed())),
            None => wanted,
        }
    }

    /// Resolves when this closes.
    pub(crate) async fn recovered(&self) {
        self.recovered.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const MOST: Duration = Duration::from_secs(5);

    struct Scene {
        breaker: Arc<Breaker>,
        counters: Arc<Counters>,
        asked: AtomicU32,
    }

    impl Scene {
        fn new() -> Self {
            let counters = Arc::<Counters>::default();
            let breaker = Arc::new(Breaker::new(counters.clone()));
            Scene { breaker, counters, asked: AtomicU32::new(0) }
        }

        async fn ask(&self, code: Option<Code>) -> Result<()> {
            let request = async {
                self.asked.fetch_add(1, Ordering::Relaxed);
                code.map_or(Ok(()), |code| Err(Error::new(code, "so it is")))
            };
            self.breaker.call(&mut Tries::default(), MOST, request).await
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_asks_once_in_a_while() {
        let scene = Scene::new();
        for _ in 1..FAILURES {
            scene.ask(Some(Code::Unavailable)).await.unwrap_err();
        }
        scene.ask(None).await.unwrap();
        for _ in 0..100 {
            assert_eq!(scene.ask(Some(Code::Timeout)).await.unwrap_err().message(), "so it is");
        }
        assert!(scene.breaker.is_open());
        assert_eq!(scene.asked(), 2 * FAILURES);
        assert_eq!(
            (scene.counters.breaker_opened.get(), scene.counters.held_back.get()),
            (1, 100 - u64::from(FAILURES))
        );
        for _ in 0..100 {
            tokio::time::advance(SPACING / 10).await;
            let _ = scene.ask(Some(Code::Unavailable)).await;
        }
        assert_eq!(scene.asked(), 2 * FAILURES + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_closes_it_and_wakes_the_rest() {
        let scene = Scene::new();
        for _ in 0..FAILURES {
            scene.ask(Some(Code::Unavailable)).await.unwrap_err();
        }
        let breaker = scene.breaker.clone();
        let waiting = tokio::spawn(async move { breaker.recovered().await });
        tokio::task::yield_now().await;
        tokio::time::advance(SPACING).await;
        // A registry that refuses is one that answers.
        scene.ask(Some(Code::PermissionDenied)).await.unwrap_err();
        assert!(!scene.breaker.is_open());
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_tries_within_the_longest_pause_and_sooner_if_that_is_short() {
        let scene = Scene::new();
        let long = Duration::from_secs(4);
        assert_eq!(scene.breaker.pause(long, MOST), long);
        for _ in 0..FAILURES {
            scene.ask(Some(Code::Unavailable)).await.unwrap_err();
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(scene.breaker.pause(long, MOST), Duration::from_secs(3));
        scene.ask(Some(Code::Unavailable)).await.unwrap_err();
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(scene.breaker.admit(&Tries::default(), Duration::from_millis(330)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_while_the_rest_succeeds_is_asked_again_within_the_budget() {
        let scene = Scene::new();
        let (mut reader, mut registration) = (Tries::default(), Tries::urgent());
        let fails = |scene: &Scene| {
            scene.asked.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(Error::new(Code::Protocol, "so it is")) }
        };
        for _ in 0..1000 {
            let answer = scene.breaker.call(&mut reader, MOST, async { fails(&scene).await }).await;
            assert_eq!(answer.unwrap_err().message(), "so it is");
        }
        assert_eq!(scene.asked(), 101, "the first is no retry");
        assert_eq!((scene.breaker.retries(), scene.counters.held_back.get()), (0, 899));
        for _ in 0..3 {
            let answer = scene.breaker.call(&mut registration, MOST, async { fails(&scene).await }).await;
            answer.unwrap_err();
        }
        assert_eq!(scene.asked(), 104, "registrations are asked for all the same");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(scene.breaker.retries(), 10);
        scene.ask(None).await.unwrap();
        assert!(!scene.breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_breaker_closes_nobody_is_held_back_for_what_failed_before() {
        let scene = Scene::new();
        let mut all: Vec<_> = (0..500).map(|_| Tries::default()).collect();
        for tries in &mut all {
            let request = async { Err::<(), _>(Error::new(Code::Unavailable, "gone")) };
            scene.breaker.call(tries, MOST, request).await.unwrap_err();
        }
        tokio::time::advance(SPACING).await;
        for tries in &mut all {
            scene.breaker.call(tries, MOST, async { Ok(()) }).await.unwrap();
        }
    }
}
