//! One picked instance, from the choice until the report.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use super::endpoint::Endpoint;
use crate::instance::{Instance, default_id};
use crate::sync::{Arc, AtomicU64};

/// How a call to a picked instance went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It answered.
    Ok,
    /// It failed to answer, or answered with a failure of its own.
    Failed,
    /// The caller gave up, which says nothing about the instance.
    Cancelled,
}

impl From<bool> for Outcome {
    fn from(ok: bool) -> Self {
        if ok { Outcome::Ok } else { Outcome::Failed }
    }
}

/// An instance to call now. Its call counts as under way until this is dropped, which without a report ([`Pick::done`])
/// is taken for a call that went well.
pub struct Pick {
    endpoint: Arc<Endpoint>,
    /// Nanoseconds of [`clock`], or [`UNMEASURED`]; 0 when nobody asks how it went, and once that was reported.
    start: AtomicU64,
}

/// A pick as it leaves the way that chose it: a [`Pick`] can't be returned in registers, because of its atomic, and what was
/// written to memory in parts and is read as a whole right after costs as much as the choice.
pub(super) struct Choice {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) start: u64,
}

impl From<Choice> for Pick {
    #[inline]
    fn from(Choice { endpoint, start }: Choice) -> Self {
        Pick { endpoint, start: AtomicU64::new(start) }
    }
}

/// Stands for the start of a call whose duration does not matter. Even, as no time of [`clock`] is.
pub(super) const UNMEASURED: u64 = 2;

impl Pick {
    /// When it was made, as nanoseconds of [`clock`], if that was measured.
    #[inline]
    pub(super) fn started(&self) -> Option<u64> {
        match self.start.load(Ordering::Relaxed) {
            0 | UNMEASURED => None,
            start => Some(start),
        }
    }

    /// The instance.
    pub fn instance(&self) -> &std::sync::Arc<Instance> {
        &self.endpoint.instance
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.endpoint.instance.id
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.endpoint.instance.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.endpoint.instance.port
    }

    /// `address:port`, with brackets around an IPv6 address.
    pub fn addr(&self) -> String {
        default_id(self.address(), self.port())
    }

    /// `scheme://address:port`.
    pub fn url(&self) -> String {
        self.endpoint.instance.url()
    }

    /// Reports how the call went: an [`Outcome`], or whether it went well. Only the first report counts; the call is
    /// under way until the pick is dropped.
    #[inline]
    pub fn done(&self, outcome: impl Into<Outcome>) {
        self.report(outcome.into(), clock);
    }

    #[inline]
    pub(super) fn report(&self, outcome: Outcome, clock: impl FnOnce() -> u64) {
        // Not a swap, which would cost a third of the whole call: two reports at once may both count.
        let start = self.start.load(Ordering::Relaxed);
        self.start.store(0, Ordering::Relaxed);
        if start == 0 || outcome == Outcome::Cancelled {
            return;
        }
        let failed = outcome == Outcome::Failed;
        if start == UNMEASURED {
            self.endpoint.count(failed);
        } else {
            let now = clock();
            self.endpoint.observe(now.saturating_sub(start), failed, now);
        }
    }
}

impl Drop for Pick {
    #[inline]
    fn drop(&mut self) {
        self.report(Outcome::Ok, clock);
    }
}

/// A pick on its way to its caller. Lost on that way, because the caller gave up, it says nothing about its instance.
pub struct Untaken(Option<Pick>);

impl Untaken {
    /// `pick`, until it is taken.
    pub fn new(pick: Pick) -> Self {
        Untaken(Some(pick))
    }

    /// The pick, which from here on is its caller's to report.
    pub fn take(mut self) -> Pick {
        self.0.take().unwrap_or_else(|| unreachable!("it is taken once"))
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        if let Some(pick) = self.0.take() {
            pick.done(Outcome::Cancelled);
        }
    }
}

impl std::fmt::Debug for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pick").field(&self.id()).finish()
    }
}

/// Nanoseconds of the time stamp counter. Never 0, which means unmeasured.
#[inline]
pub(super) fn clock() -> u64 {
    static CLOCK: OnceLock<quanta::Clock> = OnceLock::new();
    let clock = CLOCK.get_or_init(quanta::Clock::new);
    clock.delta_as_nanos(0, clock.raw()) | 1
}
