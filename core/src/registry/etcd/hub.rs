//! What a client watches, all of it on one stream: the hub opens the stream when there is something to watch, and mends
//! it when it breaks. Where that is not done at once, readers are told, and read again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::sessions::Sessions;
use super::stream::{End, Stream};
use super::watcher::Range;
use crate::error::{Code, Error, Result};

/// A stream is mended within this, or its readers are told. No server restarts this fast, so what is mended goes on in the
/// same history.
const MEND: Duration = Duration::from_millis(250);
/// Between two tries of that. Few of them dial: sessions have a pause of their own.
const MEND_RETRY: Duration = Duration::from_millis(20);

pub(super) struct Hub {
    pub(super) sessions: Arc<Sessions>,
    state: Mutex<State>,
    /// Something is to be watched, or no more.
    changed: Notify,
    /// When anything came, in milliseconds after `birth`.
    heard: AtomicI64,
    birth: Instant,
}

#[derive(Default)]
struct State {
    ranges: HashMap<i64, Arc<Range>>,
    next: i64,
    /// What came and went since the stream last looked.
    fresh: Vec<i64>,
    gone: Vec<i64>,
    task: Option<AbortHandle>,
    closed: bool,
}

/// Tells every reader when the task ends in a way that it should not.
struct TellAll<'a>(&'a Hub);

impl Drop for TellAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.finish_all(&Error::new(
                Code::Internal,
                "callsheet panicked while it watched; please report this",
            ));
        }
    }
}

impl Hub {
    pub(super) fn new(sessions: Arc<Sessions>) -> Arc<Self> {
        let birth = Instant::now();
        Arc::new(Hub {
            sessions,
            state: Mutex::default(),
            changed: Notify::new(),
            heard: AtomicI64::new(0),
            birth,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(self: &Arc<Self>, range: Arc<Range>) -> i64 {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        if state.closed {
            range.finish(Some(Error::closed("client")));
            return id;
        }
        state.ranges.insert(id, range);
        state.fresh.push(id);
        if state.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let hub = self.clone();
            state.task = Some(tokio::spawn(async move { hub.run().await }).abort_handle());
        }
        drop(state);
        self.changed.notify_one();
        id
    }

    pub(super) fn remove(&self, id: i64) {
        let mut state = self.state();
        if state.ranges.remove(&id).is_some() {
            state.gone.push(id);
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(super) fn range(&self, id: i64) -> Option<Arc<Range>> {
        self.state().ranges.get(&id).cloned()
    }

    pub(super) fn finish(&self, id: i64, error: Option<Error>) {
        let range = self.state().ranges.remove(&id);
        if let Some(range) = range {
            range.finish(error);
        }
    }

    fn finish_all(&self, error: &Error) {
        let ranges = std::mem::take(&mut self.state().ranges);
        ranges.values().for_each(|range| range.finish(Some(error.clone())));
    }

    pub(super) fn hear(&self) {
        self.heard.store(self.birth.elapsed().as_millis() as i64, Ordering::Relaxed);
    }

    pub(super) fn heard_since(&self, since: Instant) -> bool {
        let since = since.saturating_duration_since(self.birth).as_millis() as i64;
        self.heard.load(Ordering::Relaxed) >= since
    }

    pub(super) fn close(&self) {
        let task = {
            let mut state = self.state();
            state.closed = true;
            state.task.take()
        };
        if let Some(task) = task {
            task.abort();
        }
        self.finish_all(&Error::closed("client"));
    }

    /// Until nobody watches anything.
    async fn run(&self) {
        // Readers never wait for a task that is no more.
        let _told = TellAll(self);
        let mut mending: Option<Error> = None;
        loop {
            // A stream is opened by its first watcher.
            let first = self.state().ranges.keys().min().copied();
            let Some(first) = first else {
                let mut state = self.state();
                if state.ranges.is_empty() {
                    // Whoever comes now starts a task of its own.
                    state.task = None;
                    return;
                }
                continue;
            };
            let opened = match &mending {
                None => self.open(first).await,
                Some(error) => self.mend(first, error).await,
            };
            match opened {
                Ok(Some(mut stream)) => match stream.run().await {
                    End::Idle => mending = None,
                    End::Broken(error) => {
                        self.sessions.leave(&stream.session);
                        mending = Some(error);
                    }
                    End::Token(error) => match stream.session.refresh(stream.token).await {
                        Ok(()) => mending = Some(error),
                        Err(error) => {
                            self.finish_all(&error);
                            mending = None;
                        }
                    },
                },
                // The first watcher is gone again.
                Ok(None) => {}
                Err(error) => {
                    self.finish_all(&error);
                    mending = None;
                }
            }
        }
    }

    /// Opens the stream anew after it broke, with as many tries as there is time for: what cut the connection may refuse
    /// the first ones, too.
    async fn mend(&self, first: i64, broken: &Error) -> Result<Option<Stream<'_>>> {
        let until = Instant::now() + MEND;
        loop {
            let opened = timeout_at(until, self.open(first)).await;
            match opened.unwrap_or_else(|_| Err(broken.clone())) {
                Err(error) if !error.refused() && Instant::now() + MEND_RETRY < until => {
                    sleep(MEND_RETRY).await;
                }
                opened => return opened,
            }
        }
    }

    async fn open(&self, first: i64) -> Result<Option<Stream<'_>>> {
        match self.range(first) {
            Some(range) => Stream::open(self, first, &range).await.map(Some),
            None => Ok(None),
        }
    }

    // --- For the stream -------------------------------------------------------------------------------------------------

    /// A stream begins with the watcher `first`: all others are news to it.
    pub(super) fn begin(&self, first: i64) {
        let mut state = self.state();
        state.gone.clear();
        state.fresh = state.ranges.keys().copied().filter(|id| *id != first).collect();
        if !state.ranges.contains_key(&first) {
            state.gone.push(first);
        }
    }

    /// What came since the last look, and what went.
    pub(super) fn news(&self) -> (Vec<(i64, Arc<Range>)>, Vec<i64>) {
        let mut state = self.state();
        let (fresh, gone) = (std::mem::take(&mut state.fresh), std::mem::take(&mut state.gone));
        let fresh = fresh.into_iter().filter_map(|id| Some((id, state.ranges.get(&id)?.clone())));
        (fresh.collect(), gone)
    }

    /// Resolves when there may be news.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state().ranges.is_empty()
    }
}
