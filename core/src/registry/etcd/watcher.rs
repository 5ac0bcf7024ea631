//! One watched range: what changed in it since its reader last looked, at most one entry a key, however slow the reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::hub::Hub;
use crate::error::{Error, Result};
use crate::registry::{Position, random_u64};

/// Silence after which a reader is told that the stream lives.
const ALIVE: Duration = Duration::from_secs(5);
/// After this the range is read again and compared, whatever the stream said: the last net. Up to a quarter more, so that
/// clients do not come in step.
const RESYNC: Duration = Duration::from_secs(600);

/// What a key holds.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    /// 0 for a key without one.
    pub(super) lease: i64,
    /// The revision of its last change.
    pub(super) revision: i64,
}

/// What a watched range has to tell.
pub(super) enum News {
    /// The last state of each key that changed; `None` where it is gone.
    Changes {
        keys: Vec<(Vec<u8>, Option<Stored>)>,
        position: Position,
    },
    Alive,
    /// Read again and compare.
    Reload,
}

/// The part of a watched range that its stream fills.
pub(super) struct Range {
    pub(super) start: Vec<u8>,
    /// Empty for a single key.
    pub(super) end: Vec<u8>,
    pub(super) cluster: u64,
    state: Mutex<State>,
    filled: Notify,
    /// Whether the server refused to watch it, once.
    refused: AtomicBool,
}

struct State {
    changes: HashMap<Vec<u8>, Option<Stored>>,
    /// Everything up to here has been seen.
    revision: i64,
    end: Option<Option<Error>>,
}

impl Range {
    fn new(start: Vec<u8>, end: Vec<u8>, from: Position) -> Self {
        let state = State { changes: HashMap::new(), revision: from.index as i64, end: None };
        Range {
            start,
            end,
            cluster: from.epoch,
            state: Mutex::new(state),
            filled: Notify::new(),
            refused: AtomicBool::new(false),
        }
    }

    pub(super) fn accepted(&self) {
        self.refused.store(false, Ordering::Relaxed);
    }

    /// Whether this is the first refusal in a row.
    pub(super) fn refused_first(&self) -> bool {
        !self.refused.swap(true, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn revision(&self) -> i64 {
        self.state().revision
    }

    /// Takes over one response of the stream, all of it at once, so that a transaction is never seen in halves.
    pub(super) fn fill(&self, events: impl Iterator<Item = (Vec<u8>, Option<Stored>, i64)>) {
        let mut state = self.state();
        let seen = state.revision;
        for (key, stored, revision) in events {
            // What a resumed stream tells again.
            if revision <= seen {
                continue;
            }
            state.revision = state.revision.max(revision);
            state.changes.insert(key, stored);
        }
        let news = state.revision > seen;
        drop(state);
        if news {
            self.filled.notify_one();
        }
    }

    /// Nothing comes any more: the reader has to read again, because of `error` or to be sure.
    pub(super) fn finish(&self, error: Option<Error>) {
        self.state().end.get_or_insert(error);
        self.filled.notify_one();
    }

    fn take(&self) -> Option<Result<News>> {
        let mut state = self.state();
        // What came before the end is told first: it is true all the same.
        if !state.changes.is_empty() {
            let keys = std::mem::take(&mut state.changes).into_iter().collect();
            let position = Position { epoch: self.cluster, index: state.revision as u64 };
            return Some(Ok(News::Changes { keys, position }));
        }
        state.end.clone().map(|end| match end {
            Some(error) => Err(error),
            None => Ok(News::Reload),
        })
    }
}

/// The reader of a watched range. Dropping it ends the watch.
pub(super) struct Watcher {
    range: Arc<Range>,
    hub: Arc<Hub>,
    id: i64,
    alive: Instant,
    resync: Instant,
}

impl Watcher {
    /// Follows `[start, end)`, or the key `start`, from after `from`.
    pub(super) fn open(hub: &Arc<Hub>, start: Vec<u8>, end: Vec<u8>, from: Position) -> Self {
        let range = Arc::new(Range::new(start, end, from));
        let now = Instant::now();
        let jitter = Duration::from_millis(random_u64() % (RESYNC.as_millis() as u64 / 4));
        let id = hub.add(range.clone());
        Watcher { range, hub: hub.clone(), id, alive: now + ALIVE, resync: now + RESYNC + jitter }
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<News> {
        loop {
            if let Some(news) = self.range.take() {
                return news;
            }
            tokio::select! {
                () = self.range.filled.notified() => {}
                () = sleep_until(self.resync) => return Ok(News::Reload),
                // Only a list has an age; a thousand registrations need not wake up for theirs.
                () = sleep_until(self.alive), if !self.range.end.is_empty() => {
                    let since = self.alive - ALIVE;
                    self.alive = Instant::now() + ALIVE;
                    // A silent stream is ended by its own watchdog.
                    if self.hub.heard_since(since) {
                        return Ok(News::Alive);
                    }
                }
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64) -> Range {
        Range::new(b"a/".into(), b"a0".into(), Position { epoch: 7, index: from })
    }

    fn put(key: &str, revision: i64) -> (Vec<u8>, Option<Stored>, i64) {
        (key.into(), Some(Stored { value: key.into(), lease: 1, revision }), revision)
    }

    #[test]
    fn a_slow_reader_costs_one_entry_a_key() {
        let range = range(10);
        for revision in 11..1000 {
            range.fill([put("a/1", revision), (b"a/2".to_vec(), None, revision)].into_iter());
        }
        let Some(Ok(News::Changes { keys, position })) = range.take() else { panic!("nothing came") };
        assert_eq!((keys.len(), position.index), (2, 999));
        assert!(range.take().is_none());
    }

    #[test]
    fn what_was_seen_is_not_told_again() {
        let range = range(10);
        range.fill([put("a/1", 9), put("a/1", 10)].into_iter());
        assert!(range.take().is_none());
        range.fill([put("a/1", 11), put("a/2", 11)].into_iter());
        range.fill([put("a/1", 11)].into_iter());
        let Some(Ok(News::Changes { keys, .. })) = range.take() else { panic!("nothing came") };
        assert_eq!(keys.len(), 2, "a transaction is whole, and its repetition is none");
    }

    #[test]
    fn what_came_before_the_end_is_told_first() {
        let range = range(1);
        range.fill([put("a/1", 2)].into_iter());
        range.finish(None);
        range.finish(Some(Error::closed("client")));
        assert!(matches!(range.take(), Some(Ok(News::Changes { .. }))));
        assert!(matches!(range.take(), Some(Ok(News::Reload))), "the first end counts");
    }
}
