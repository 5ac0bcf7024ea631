//! Who may ask an agent now, and whose query waits there. An agent takes 200 connections of one address, so all clients of
//! a process share a number of turns below that; with more services than turns, each waits a short time only and lets the
//! next one have a turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::fork::PerProcess;

/// Queries that wait at one agent at once.
const TURNS: usize = 128;
/// Requests under way at once that do not wait for changes.
const CALLS: usize = 32;
/// How long a query waits for a change.
const LONG: Duration = Duration::from_secs(60);
/// The same while others wait for a turn.
const SHORT: Duration = Duration::from_secs(2);
/// How long a service goes without a turn before it is read without one.
const PATIENCE: Duration = Duration::from_secs(5);

static AGENTS: PerProcess<Mutex<HashMap<String, Weak<Turns>>>> = PerProcess::new(Mutex::default);

pub(super) struct Turns {
    /// Of requests that do not wait for changes.
    pub(super) calls: Semaphore,
    free: Arc<Semaphore>,
    wanted: AtomicUsize,
    /// Turns that were asked for and that those who wait for long have not given back yet.
    asked_for: Semaphore,
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
            wanted: AtomicUsize::new(0),
            asked_for: Semaphore::new(0),
        }
    }

    /// The next turn; `None` if there was none for so long that reading without one is better. `brief`: what is heard may
    /// be wrong for a while, so it is not waited for long.
    pub(super) async fn next(&self, brief: bool) -> Option<Turn> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _wanted = Wanted::new(&self.wanted);
                if self.asked_for.available_permits() < TURNS {
                    self.asked_for.add_permits(1);
                }
                timeout(PATIENCE, self.free.clone().acquire_owned()).await.ok()?.ok()?
            }
        };
        let crowded = self.wanted.load(Ordering::Relaxed) > 0;
        Some(Turn { wait: if brief || crowded { SHORT } else { LONG }, _permit: permit })
    }

    /// Resolves when a turn was had for as long as a short one, and another one wants it.
    pub(super) async fn wanted_back(&self) {
        sleep(SHORT).await;
        if let Ok(asked) = self.asked_for.acquire().await {
            asked.forget();
        }
    }
}

/// One who waits for a turn, until it is dropped.
struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Wanted(count)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_short_while_others_wait_and_patience_ends() {
        let turns = Arc::new(Turns::new(1));
        let first = turns.next(false).await.unwrap();
        assert_eq!(first.wait, LONG);
        assert!(turns.next(false).await.is_none(), "patience ends");
        let waiting = |turns: Arc<Turns>| tokio::spawn(async move { turns.next(false).await });
        let (second, third) = (waiting(turns.clone()), waiting(turns.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(second.wait, SHORT);
        drop(second);
        assert_eq!(third.await.unwrap().unwrap().wait, LONG);
        assert_eq!(turns.next(true).await.unwrap().wait, SHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_turn_is_given_back_when_another_one_wants_it() {
        let turns = Arc::new(Turns::new(1));
        let began = tokio::time::Instant::now();
        let first = turns.next(false).await.unwrap();
        let theirs = turns.clone();
        let second = tokio::spawn(async move { theirs.next(false).await });
        turns.wanted_back().await;
        drop(first);
        assert!(second.await.unwrap().is_some());
        assert_eq!(began.elapsed().as_secs(), SHORT.as_secs());
        assert!(timeout(LONG, turns.wanted_back()).await.is_err(), "once for each who asks");
    }

    #[test]
    fn clients_of_one_agent_share_its_turns() {
        let turns = Turns::at("here:8500");
        assert!(Arc::ptr_eq(&turns, &Turns::at("here:8500")));
        assert!(!Arc::ptr_eq(&turns, &Turns::at("there:8500")));
    }
}
