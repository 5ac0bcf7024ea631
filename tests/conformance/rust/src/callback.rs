//! What an `on_change` callback saw, and the promises about being called that hold in every scenario.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use callsheet::{Client, Filter, Snapshot, Subscription, block_on};

use crate::args::Fail;

#[derive(Default)]
struct Seen {
    snapshots: Vec<Snapshot>,
    broken: Option<&'static str>,
    closed: bool,
}

/// A callback that records its calls.
pub(crate) struct Callback {
    subscription: Arc<OnceLock<Subscription>>,
    seen: Arc<Mutex<Seen>>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Callback {
    /// `raises`: each call panics. `closes`: the first call closes `callback`, itself, or its `client`.
    pub(crate) fn open(
        client: &Client,
        service: &str,
        filter: &Filter,
        raises: bool,
        closes: Option<String>,
    ) -> Result<Self, Fail> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let subscription = Arc::new(OnceLock::<Subscription>::new());
        let running = AtomicBool::new(false);
        let (theirs, own, whole) = (seen.clone(), subscription.clone(), client.clone());
        let opened = client.on_change_with(service, filter, move |snapshot| {
            let overlaps = running.swap(true, Ordering::AcqRel);
            let mut seen = lock(&theirs);
            let older = seen.snapshots.last().is_some_and(|last| last.revision() >= snapshot.revision());
            let broken = [
                (overlaps, "two calls ran at once"),
                (older, "snapshots came out of order"),
                (seen.closed, "it was called after close had returned"),
            ];
            let broken = broken.into_iter().find(|(broken, _)| *broken).map(|(_, why)| why);
            seen.broken = seen.broken.or(broken);
            let first = seen.snapshots.is_empty();
            seen.snapshots.push(snapshot);
            drop(seen);
            let closed = match closes.as_deref() {
                Some("client") if first => block_on(whole.close()),
                Some(_) if first => block_on(own.wait().close()),
                _ => Ok(()),
            };
            if closed.is_err() {
                lock(&theirs).broken = Some("closing in it failed");
            }
            running.store(false, Ordering::Release);
            if raises {
                // A panic that prints nothing.
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        })?;
        let _ = subscription.set(opened);
        Ok(Callback { subscription, seen })
    }

    /// Every snapshot it was called with, unless a promise was broken.
    pub(crate) fn snapshots(&self) -> Result<Vec<Snapshot>, Fail> {
        let seen = lock(&self.seen);
        match seen.broken {
            None => Ok(seen.snapshots.clone()),
            Some(broken) => Err(Fail::Wrong(format!("a callback: {broken}"))),
        }
    }

    pub(crate) async fn close(&self) -> Result<(), Fail> {
        self.subscription.wait().close().await?;
        lock(&self.seen).closed = true;
        Ok(())
    }
}
