//! Callbacks of Rust programs: the dispatcher with a thread of the core's own, started by the first subscription.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use crate::client::{Client, Inner};
use crate::dispatcher::{Dispatcher, Event, Source};
use crate::error::{Code, Error, Result};
use crate::filter::Filter;
use crate::fork;
use crate::runtime::block_on;
use crate::snapshot::Snapshot;

/// How long `close` waits for a callback that runs.
const CLOSE: Duration = Duration::from_secs(5);

type Callback = Mutex<Box<dyn FnMut(Snapshot) + Send>>;

#[derive(Default)]
pub(crate) struct Callbacks(OnceLock<Dispatcher<Callback>>);

impl Callbacks {
    fn dispatcher(&self, client: Weak<Inner>) -> Result<&Dispatcher<Callback>> {
        if let Some(dispatcher) = self.0.get() {
            return Ok(dispatcher);
        }
        let dispatcher = Dispatcher::new();
        let theirs = dispatcher.clone();
        if self.0.set(dispatcher).is_ok() {
            std::thread::Builder::new()
                .name("callsheet-callbacks".into())
                .spawn(move || serve(&theirs, &client))
                .map_err(|error| {
                    Error::new(Code::Internal, "can't start the callback thread (see `ulimit -u`)")
                        .with_cause(error)
                })?;
        }
        self.0.get().ok_or_else(|| Error::closed("client"))
    }

    pub(crate) async fn close(&self, caller: ThreadId) -> Result<()> {
        match self.0.get() {
            Some(dispatcher) => dispatcher.close(caller, CLOSE).await,
            None => Ok(()),
        }
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        // Nobody is left to be told; the thread ends with the dispatcher. This may be a thread of the runtime, which
        // must not wait for a callback.
        if let Some(dispatcher) = self.0.get() {
            dispatcher.end();
        }
    }
}

fn serve(dispatcher: &Dispatcher<Callback>, client: &Weak<Inner>) {
    while let Some(job) = block_on(dispatcher.next()) {
        if job.is_cancelled() {
            continue;
        }
        let Event::Snapshot(snapshot) = job.event.clone() else { continue };
        let call = || (job.callback.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))(snapshot);
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            tracing::error!("an on_change callback panicked; it is called again for the next change");
            if let Some(client) = client.upgrade() {
                client.count_callback_failure();
            }
        }
    }
}

impl Client {
    /// Calls `f` with the current snapshot of a service and then with each new one, in order and one at a time, on a
    /// thread that this client keeps for callbacks. A panic in `f` is logged and does not end the subscription.
    ///
    /// # Errors
    /// As for [`Client::watch`].
    pub fn on_change(&self, service: &str, f: impl FnMut(Snapshot) + Send + 'static) -> Result<Subscription> {
        self.on_change_with(service, &Filter::new(), f)
    }

    /// [`Client::on_change`] of the instances that `filter` lets through.
    ///
    /// # Errors
    /// As for [`Client::watch`].
    pub fn on_change_with(
        &self,
        service: &str,
        filter: &Filter,
        f: impl FnMut(Snapshot) + Send + 'static,
    ) -> Result<Subscription> {
        let watch = self.watch_with(service, filter)?;
        let inner = self.open()?;
        let dispatcher = inner.callbacks.dispatcher(Arc::downgrade(inner))?.clone();
        let id = dispatcher.subscribe(Source::Watch(watch), Mutex::new(Box::new(f)))?;
        Ok(Subscription(fork::Owned::new((dispatcher, id))))
    }
}

/// A callback's subscription. Dropping it does not end it.
pub struct Subscription(fork::Owned<(Dispatcher<Callback>, u64)>);

impl Subscription {
    /// Ends it. On return the callback neither runs nor will, unless it is the callback that closes.
    ///
    /// # Errors
    /// `timeout` when the callback still runs after 5 s; `forked`.
    pub async fn close(&self) -> Result<()> {
        let (dispatcher, id) = self.0.get()?;
        dispatcher.cancel(*id, std::thread::current().id(), CLOSE).await
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}
