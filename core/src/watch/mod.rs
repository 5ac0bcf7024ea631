//! Following a service: one actor per watched service however many subscribers, one filtered list per filter, one
//! pending slot per subscriber. `Watch` is what a subscriber holds.

mod actor;
mod first;
mod known;
mod names;
mod service;
mod standby;
#[cfg(test)]
mod tests;
mod view;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use crate::error::{Code, Error, Result};
use crate::fork;
use crate::snapshot::Snapshot;

pub(crate) use names::NamesFollower;
pub use names::NamesWatch;
pub(crate) use service::{Service, ServiceUser, Start};
pub(crate) use view::{Inbox, Subscriber, View};

/// Instances of one service that are read at most: beyond that, a registry is broken or hostile.
const MOST: usize = 100_000;
/// The longest pause between two tries that a lookup waits for.
const ASKED_FOR: Duration = Duration::from_secs(1);
/// A follow that held this long was a good one.
const HELD: Duration = Duration::from_secs(1);

/// Fails if a service has more instances than are read.
fn bounded(service: &str, source: &str, count: usize) -> Result<()> {
    if count <= MOST {
        return Ok(());
    }
    let why = format!(
        "{source} has {count} instances of {service:?}, and more than {MOST} are not read: who registers them, and are they ever removed?"
    );
    Err(Error::new(Code::Protocol, why))
}

/// A subscription to one service: whole snapshots, the current one first, then one per change.
///
/// A reader that is slower than the changes sees the latest snapshot only. While the registry is away the same
/// instances come as `stale`, then as `live` again; a watch ends only when it or its client is closed. It is a
/// [`Stream`] for any executor; dropping it closes it.
pub struct Watch(fork::Owned<Inner>);

struct Inner {
    inbox: Arc<Inbox>,
    /// Keeps the service followed and the view fed, until the watch is closed.
    fed: Mutex<Option<(Arc<View>, ServiceUser)>>,
}

impl Watch {
    pub(crate) fn new(view: Arc<View>, user: ServiceUser) -> Self {
        let inbox = Arc::new(Inbox::new());
        view.subscribe(inbox.clone());
        Watch(fork::Owned::new(Inner { inbox, fed: Mutex::new(Some((view, user))) }))
    }

    /// The next snapshot; `None` once the watch is closed. Cancel-safe, and any number of threads may wait.
    pub async fn next(&self) -> Option<Snapshot> {
        poll_fn(|context| self.poll_next_snapshot(context)).await
    }

    /// [`Watch::next`] as a poll, for executors and event loops of one's own: the context's waker may write to a
    /// descriptor or post to a loop. In a forked child it is always at its end.
    pub fn poll_next_snapshot(&self, context: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        match self.0.get() {
            Ok(inner) => inner.inbox.poll_take(context),
            Err(_) => Poll::Ready(None),
        }
    }

    /// Whether [`Watch::poll_next_snapshot`] would be ready, without taking the snapshot: for hosts that first announce
    /// and then hand over. The context's waker is kept until something waits.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.0.get() {
            Ok(inner) => inner.inbox.poll_ready(context),
            Err(_) => Poll::Ready(()),
        }
    }

    /// How many snapshots came and went without being read.
    pub fn skipped(&self) -> u64 {
        self.0.get().map_or(0, |inner| inner.inbox.skipped())
    }

    /// Ends the watch; every waiting reader gets `None`.
    pub fn close(&self) {
        if let Ok(inner) = self.0.get() {
            inner.inbox.end();
            let fed = inner.fed.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(fed);
        }
    }

    /// Whether the watch was closed, by itself or with its client.
    pub fn is_closed(&self) -> bool {
        self.0.get().map_or(true, |inner| inner.inbox.ended())
    }
}

impl Stream for Watch {
    type Item = Snapshot;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        self.poll_next_snapshot(context)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("closed", &self.is_closed()).finish()
    }
}
