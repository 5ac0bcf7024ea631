//! Who may ask an agent now, and whose query waits there. An agent takes 200 connections of one address, so all clients of
//! a process share a number of turns below that; with more services than turns, each waits a short time only and lets the
//! next one have a turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::fork::PerProcess;

/// Queries that wait at one agent at once.
const TURNS: usize = 128;
/// Requests under way at once that do not wait for changes.
const CALLS: usize = 32;
/// How long a query waits for a change.
const LONG: Duration = Duration::from_secs(60);
/// The same where there are more services than turns. A query that is given up is one that the agent still counts, so
/// whoever has a long turn keeps it.
const SHORT: Duration = Duration::from_secs(2);
/// Least time for which a service goes without a turn before it is read without one.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for each service that is followed: however many there are, those without a turn read 500 times a second at most.
const READ: Duration = Duration::from_millis(2);

static AGENTS: PerProcess<Mutex<HashMap<String, Weak<Turns>>>> = PerProcess::new(Mutex::default);

pub(super) struct Turns {
    /// Of requests that do not wait for changes.
    pub(super) calls: Semaphore,
    free: Arc<Semaphore>,
    turns: usize,
    /// Those who take turns.
    followers: AtomicUsize,
}

/// A turn, and how long to wait with it.
pub(super) struct Turn {
    pub(super) wait: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// Those of the agent at `place`.
    pub(super) fn at(place: &str) -> Arc<Self> {
        let mut agents = AGENTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = agents.get(place).and_then(Weak::upgrade) {
            return turns;
        }
        agents.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Turns::new(TURNS));
        agents.insert(place.to_owned(), Arc::downgrade(&turns));
        turns
    }

    fn new(turns: usize) -> Self {
        Turns {
            calls: Semaphore::new(CALLS),
            free: Arc::new(Semaphore::new(turns)),
            followers: AtomicUsize::new(0),
            turns,
        }
    }

    /// The next turn; `None` if there was none for so long that reading without one is better. `brief`: what is heard may
    /// be wrong for a while, so it is not waited for long.
    pub(super) async fn next(&self, brief: bool) -> Option<Turn> {
        let followers = self.followers.load(Ordering::Relaxed);
        let patience = PATIENCE.max(READ * followers as u32);
        let permit = timeout(patience, self.free.clone().acquire_owned()).await.ok()?.ok()?;
        let crowded = followers > self.turns;
        Some(Turn { wait: if brief || crowded { SHORT } else { LONG }, _permit: permit })
    }

    /// Counts one who takes turns, until it is dropped.
    pub(super) fn follower(self: &Arc<Self>) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower(self.clone())
    }
}

/// One who takes turns.
pub(super) struct Follower(Arc<Turns>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_short_with_more_who_take_them_and_patience_ends() {
        let turns = Arc::new(Turns::new(1));
        let _one = turns.follower();
        let first = turns.next(false).await.unwrap();
        assert_eq!(first.wait, LONG);
        assert!(turns.next(false).await.is_none(), "patience ends");
        drop(first);
        let another = turns.follower();
        assert_eq!(turns.next(false).await.unwrap().wait, SHORT);
        drop(another);
        assert_eq!(turns.next(false).await.unwrap().wait, LONG);
        assert_eq!(turns.next(true).await.unwrap().wait, SHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_services_wait_for_turns_they_read_only_so_often() {
        let turns = Arc::new(Turns::new(0));
        let waited = async |followers: usize| {
            let _followers: Vec<_> = (0..followers).map(|_| turns.follower()).collect();
            let began = Instant::now();
            assert!(turns.next(false).await.is_none());
            began.elapsed()
        };
        assert_eq!(waited(300).await, Duration::from_secs(2));
        assert_eq!(waited(5_000).await, Duration::from_secs(10));
    }

    #[test]
    fn clients_of_one_agent_share_its_turns() {
        let turns = Turns::at("here:8500");
        assert!(Arc::ptr_eq(&turns, &Turns::at("here:8500")));
        assert!(!Arc::ptr_eq(&turns, &Turns::at("there:8500")));
    }
}
