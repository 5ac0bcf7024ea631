//! When to look at the database again: at once after a file event, a few times more because an event comes before its commit
//! can be seen, and less eagerly while others write what concerns nobody here. Asked by the actor; time is passed in.

use std::time::{Duration, Instant};

/// Looks after an event: it comes with the last page of a commit, moments before that is visible, or much later than moments
/// if the writer lost its processor between the two.
const ECHOES: [Duration; 3] =
    [Duration::from_micros(300), Duration::from_millis(2), Duration::from_millis(15)];
/// The echo that is left once a look found something.
const LAST_ECHO: usize = ECHOES.len() - 1;
/// Shortest and longest time for which events are not listened to in a storm.
const HUSH: Duration = Duration::from_millis(1);
const LONGEST_HUSH: Duration = Duration::from_millis(20);
/// Silence after which a storm is over.
const CALM: Duration = Duration::from_millis(100);

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Changes, but none that anybody here waits for.
    Elsewhere,
    Relevant,
}

#[derive(Debug)]
pub(super) struct Pace {
    look_at: Instant,
    deaf_until: Instant,
    hush: Duration,
    echo: usize,
    /// When events last led to a look.
    stirred: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Pace { look_at: now, deaf_until: now, hush: Duration::ZERO, echo: ECHOES.len(), stirred: None }
    }

    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Looks no later than this.
    pub(super) fn hurry(&mut self, at: Instant) {
        self.look_at = self.look_at.min(at);
    }

    /// Looks no earlier than this.
    pub(super) fn delay(&mut self, at: Instant) {
        self.look_at = self.look_at.max(at);
    }

    /// Whether file events are worth waking for. 200 processes that wake for each other's every write do nothing else.
    pub(super) fn listens(&self, now: Instant) -> bool {
        now >= self.deaf_until
    }

    /// A look is over; `stirred` if events had come since the last. Without any more, the next is after `idle`.
    pub(super) fn looked(&mut self, now: Instant, found: Found, stirred: bool, idle: Duration) {
        if stirred {
            let stormy = self.stirred.is_some_and(|before| now < before + CALM);
            self.stirred = Some(now);
            self.hush = match found {
                Found::Relevant => Duration::ZERO,
                _ if stormy => (self.hush * 2).clamp(HUSH, LONGEST_HUSH),
                _ => Duration::ZERO,
            };
            self.deaf_until = now + self.hush;
            self.echo = 0;
        }
        if found != Found::Nothing {
            self.echo = LAST_ECHO;
        }
        self.look_at = now
            + match ECHOES.get(self.echo) {
                Some(echo) => (*echo).max(self.hush),
                None => idle,
            };
        self.echo += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    #[test]
    fn an_event_that_shows_nothing_yet_is_looked_after_until_it_must_be_there() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let mut now = begin;
        pace.looked(now, Found::Nothing, true, IDLE);
        assert!(pace.listens(now), "a single event is no storm");
        for echo in ECHOES {
            assert_eq!(pace.look_at() - now, echo);
            now = pace.look_at();
            pace.looked(now, Found::Nothing, false, IDLE);
        }
        assert_eq!(pace.look_at() - now, IDLE);
    }

    #[test]
    fn a_storm_of_others_is_listened_to_ever_less_and_one_of_ours_always() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..10 {
            pace.looked(now, Found::Elsewhere, true, IDLE);
            now += Duration::from_millis(1);
        }
        assert!(!pace.listens(now) && pace.look_at() <= now + LONGEST_HUSH);
        pace.looked(now, Found::Relevant, true, IDLE);
        assert!(pace.listens(now));
        now += 2 * CALM;
        pace.looked(now, Found::Elsewhere, true, IDLE);
        assert!(pace.listens(now), "the storm is over");
    }
}
