//! What watches of services, of names and of states have in common: the next one, a descriptor, a tag, an end.

use std::ffi::c_void;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use callsheet::host::block_on_within;
use callsheet::{Code, Error, Result};

use crate::boundary::wait;
use crate::client::Client;
use crate::error::callsheet_code;
use crate::events::{Armed, Bell, callsheet_event_kind};

/// A stream of the core's.
pub(crate) trait Source: Send + Sync + 'static {
    type Item;
    const KIND: callsheet_event_kind;
    const NOUN: &'static str;
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Self::Item>>;
    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()>;
    fn close(&self);
}

struct Inner<S> {
    source: S,
    bell: Arc<Bell>,
}

impl<S: Source> Armed for Inner<S> {
    fn arm(&self) -> bool {
        let waker = Waker::from(self.bell.clone());
        self.source.poll_ready(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// A stream with the descriptors that tell of it. Dropping it ends it.
pub(crate) struct Feed<S: Source> {
    inner: Arc<Inner<S>>,
    client: Arc<Client>,
}

impl<S: Source> Feed<S> {
    pub(crate) fn new(client: &Arc<Client>, source: S) -> Result<Self> {
        let bell = client.shared()?.events.bell(0);
        Ok(Feed { inner: Arc::new(Inner { source, bell }), client: client.clone() })
    }

    /// The program holds this at `object` from now on.
    pub(crate) fn placed(&self, object: *const c_void) -> Result<()> {
        let armed: Weak<dyn Armed> = Arc::<Inner<S>>::downgrade(&self.inner);
        let events = &self.client.shared()?.events;
        events.place(&self.inner.bell, S::KIND, object as usize, Some(armed));
        self.rearm();
        Ok(())
    }

    /// Announces what waits, or sees to it that what comes is announced.
    fn rearm(&self) {
        if self.inner.bell.is_heard() && self.inner.arm() {
            self.inner.bell.clone().wake();
        }
    }

    /// The next one, handed to `take`, waited for as long as it says; `CALLSHEET_TIMEOUT` when there was none.
    pub(crate) fn next(&self, timeout_ms: i64, take: impl FnOnce(S::Item)) -> Result<callsheet_code> {
        self.client.shared()?;
        let limit = wait(timeout_ms);
        self.inner.bell.looked_at();
        let source = &self.inner.source;
        let polled = if limit.is_zero() {
            source.poll_next(&mut Context::from_waker(Waker::noop()))
        } else {
            self.block(limit)
        };
        if matches!(polled, Poll::Ready(None)) {
            self.inner.bell.has_ended();
        } else {
            self.rearm();
        }
        match polled {
            Poll::Ready(Some(item)) => {
                take(item);
                Ok(callsheet_code::CALLSHEET_OK)
            }
            Poll::Ready(None) => {
                Err(Error::new(Code::Closed, format!("these {} are closed; open new ones", S::NOUN)))
            }
            Poll::Pending => Ok(callsheet_code::CALLSHEET_TIMEOUT),
        }
    }

    fn block(&self, limit: Duration) -> Poll<Option<S::Item>> {
        let next = poll_fn(|context| self.inner.source.poll_next(context));
        block_on_within(next, limit).map_or(Poll::Pending, Poll::Ready)
    }

    /// Its own descriptor.
    pub(crate) fn fd(&self) -> Result<i32> {
        self.client.shared()?;
        let fd = self.inner.bell.own()?.fd();
        self.inner.bell.looked_at();
        self.rearm();
        Ok(fd)
    }

    pub(crate) fn set_tag(&self, tag: u64) {
        if self.client.shared().is_ok() {
            self.inner.bell.set_tag(tag);
            self.inner.bell.looked_at();
            self.rearm();
        }
    }

    pub(crate) fn close(&self) {
        self.inner.source.close();
    }

    pub(crate) fn source(&self) -> &S {
        &self.inner.source
    }
}

impl<S: Source> Drop for Feed<S> {
    fn drop(&mut self) {
        if let Ok(shared) = self.client.shared() {
            shared.events.forget(&self.inner.bell);
            // Also lets go of the wakers that it keeps.
            self.inner.source.close();
        }
    }
}
