//! Watches of a service: whole snapshots, the current one first, then one per change.

use std::ffi::c_char;
use std::task::{Context, Poll};

use callsheet::{Snapshot, Watch};

use crate::boundary::{Out, answer, answer_unless, free, given, quiet, required};
use crate::client::callsheet_client_t;
use crate::error::{callsheet_code, callsheet_error_t};
use crate::events::callsheet_event_kind;
use crate::feed::{Feed, Source};
use crate::filter::{callsheet_filter_options_t, filter as read_filter};
use crate::snapshot::callsheet_snapshot_t;

impl Source for Watch {
    type Item = Snapshot;
    const KIND: callsheet_event_kind = callsheet_event_kind::CALLSHEET_EVENT_WATCH;
    const NOUN: &'static str = "watch";

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        self.poll_next_snapshot(context)
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        Watch::poll_ready(self, context)
    }

    fn close(&self) {
        Watch::close(self);
    }
}

/// A subscription to one service. A slow reader sees the latest snapshot only.
///
/// While the registry is away the same instances come as stale, then as live again; a watch ends only when it or its
/// client is closed.
pub struct callsheet_watch_t(Feed<Watch>);

/// Follows the instances of `service` that `filter` lets through; NULL for every healthy one. Does not wait.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`; never because the registry is away.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `watch` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_open(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    watch: *mut *mut callsheet_watch_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("watch", watch)?;
            let client = &given("client", client)?.0;
            let watch = client.core.watch_with(required("service", service)?, &read_filter(filter)?)?;
            let made = Box::into_raw(Box::new(callsheet_watch_t(Feed::new(client, watch)?)));
            (*made).0.placed(made.cast())?;
            out.point_to(made);
            Ok(())
        })
    }
}

/// The next snapshot, the current one first. Waits at most `timeout_ms` milliseconds; 0 does not wait, a negative one has
/// no end. Any number of threads may wait; one of them gets it.
///
/// `CALLSHEET_TIMEOUT` without an error object when nothing new came in time. Errors: `CALLSHEET_CLOSED` once the watch or
/// its client is closed; `CALLSHEET_FORKED`.
///
/// # Safety
/// `watch` is NULL or valid; `snapshot` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_next(
    watch: *mut callsheet_watch_t,
    timeout_ms: i64,
    snapshot: *mut *mut callsheet_snapshot_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("snapshot", snapshot)?;
            let watch = given("watch", watch)?;
            watch.0.next(timeout_ms, |snapshot| out.fill(callsheet_snapshot_t::new(snapshot)))
        })
    }
}

/// A descriptor that is readable (`POLLIN`) while a snapshot waits, or the watch is at its end. It belongs to the watch:
/// poll it, but do not read or close it. -1 for NULL, in a forked child, and when the process has no descriptors left.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_fd(watch: *mut callsheet_watch_t) -> i32 {
    // SAFETY: as the caller promises.
    quiet(-1, || unsafe { watch.as_ref() }.and_then(|watch| watch.0.fd().ok()).unwrap_or(-1))
}

/// Marks the watch, for `callsheet_client_next_event`. What waits is announced again with the new mark, so a watch may be
/// marked while another thread waits for events.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_set_tag(watch: *mut callsheet_watch_t, tag: u64) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { watch.as_ref() }.into_iter().for_each(|watch| watch.0.set_tag(tag)));
}

/// How many snapshots came and went without being read; 0 for NULL.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_skipped(watch: *mut callsheet_watch_t) -> u64 {
    // SAFETY: as the caller promises.
    quiet(0, || unsafe { watch.as_ref() }.map_or(0, |watch| watch.0.source().skipped()))
}

/// Whether it was closed, by itself or with its client; true for NULL.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_is_closed(watch: *mut callsheet_watch_t) -> bool {
    // SAFETY: as the caller promises.
    quiet(true, || unsafe { watch.as_ref() }.is_none_or(|watch| watch.0.source().is_closed()))
}

/// Ends the watch: every thread that waits for it gets `CALLSHEET_CLOSED`. Closing twice is fine, and so is NULL.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_close(watch: *mut callsheet_watch_t) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { watch.as_ref() }.into_iter().for_each(|watch| watch.0.close()));
}

/// Frees a watch, which closes it, and with it its descriptor. NULL is fine. No thread may still wait for it.
///
/// # Safety
/// `watch` is NULL, or came from `callsheet_watch_open`, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_free(watch: *mut callsheet_watch_t) {
    // SAFETY: as the caller promises.
    unsafe { free(watch) }
}
