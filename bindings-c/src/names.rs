//! The names of all services: a list, and a watch of it.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::task::{Context, Poll};

use callsheet::{NamesWatch, block_on};

use crate::boundary::{Out, answer, answer_unless, free, given, quiet};
use crate::call::{Answer, Begin, callsheet_call_t};
use crate::client::callsheet_client_t;
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::events::callsheet_event_kind;
use crate::feed::{Feed, Source};

/// A sorted list of names, which lives until it is freed.
pub struct callsheet_names_t(Vec<CString>);

impl callsheet_names_t {
    pub(crate) fn new(names: &[String]) -> Self {
        callsheet_names_t(names.iter().map(|name| c_string(name.as_str())).collect())
    }
}

impl Source for NamesWatch {
    type Item = Arc<[String]>;
    const KIND: callsheet_event_kind = callsheet_event_kind::CALLSHEET_EVENT_NAMES_WATCH;
    const NOUN: &'static str = "names";

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_names(context)
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        NamesWatch::poll_ready(self, context)
    }

    fn close(&self) {
        NamesWatch::close(self);
    }
}

/// A subscription to the names of all services. A slow reader sees the latest list only.
pub struct callsheet_names_watch_t(Feed<NamesWatch>);

/// The names of all services that have an instance. Waits for the first answer, at most the client's timeout.
///
/// Errors: `CALLSHEET_UNAVAILABLE`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `names` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_services(
    client: *mut callsheet_client_t,
    names: *mut *mut callsheet_names_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("names", names)?;
            out.fill(callsheet_names_t::new(&block_on(given("client", client)?.0.core.services())?));
            Ok(())
        })
    }
}

/// Begins `callsheet_services`; take its answer with `callsheet_call_take_names`.
///
/// # Safety
/// `client` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_services_begin(
    client: *mut callsheet_client_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let core = client.core.clone();
            begin.run(client, tag, async move { core.services().await.map(Answer::Names) })
        })
    }
}

/// Follows the names of all services. Does not wait.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `watch` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_watch_services(
    client: *mut callsheet_client_t,
    watch: *mut *mut callsheet_names_watch_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("watch", watch)?;
            let client = &given("client", client)?.0;
            let feed = Feed::new(client, client.core.watch_services()?)?;
            let made = Box::into_raw(Box::new(callsheet_names_watch_t(feed)));
            (*made).0.placed(made.cast())?;
            out.point_to(made);
            Ok(())
        })
    }
}

/// The next list of names, the current one first; as `callsheet_watch_next`.
///
/// # Safety
/// `watch` is NULL or valid; `names` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_watch_next(
    watch: *mut callsheet_names_watch_t,
    timeout_ms: i64,
    names: *mut *mut callsheet_names_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("names", names)?;
            let watch = given("watch", watch)?;
            watch.0.next(timeout_ms, |names| out.fill(callsheet_names_t::new(&names)))
        })
    }
}

/// A descriptor that is readable while a list waits; as `callsheet_watch_fd`.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_watch_fd(watch: *mut callsheet_names_watch_t) -> i32 {
    // SAFETY: as the caller promises.
    quiet(-1, || unsafe { watch.as_ref() }.and_then(|watch| watch.0.fd().ok()).unwrap_or(-1))
}

/// Marks the watch; as `callsheet_watch_set_tag`.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_watch_set_tag(watch: *mut callsheet_names_watch_t, tag: u64) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { watch.as_ref() }.into_iter().for_each(|watch| watch.0.set_tag(tag)));
}

/// Ends the watch; as `callsheet_watch_close`.
///
/// # Safety
/// `watch` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_watch_close(watch: *mut callsheet_names_watch_t) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { watch.as_ref() }.into_iter().for_each(|watch| watch.0.close()));
}

/// Frees a watch, which closes it. NULL is fine. No thread may still wait for it.
///
/// # Safety
/// `watch` is NULL, or came from `callsheet_watch_services`, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_watch_free(watch: *mut callsheet_names_watch_t) {
    // SAFETY: as the caller promises.
    unsafe { free(watch) }
}

/// How many names there are; 0 for NULL.
///
/// # Safety
/// `names` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_len(names: *const callsheet_names_t) -> usize {
    // SAFETY: as the caller promises.
    quiet(0, || unsafe { names.as_ref() }.map_or(0, |names| names.0.len()))
}

/// The name at `index`. Lives as long as `names`; NULL beyond the last.
///
/// # Safety
/// `names` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_get(names: *const callsheet_names_t, index: usize) -> *const c_char {
    quiet(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        let name = unsafe { names.as_ref() }.and_then(|names| names.0.get(index));
        name.map_or(std::ptr::null(), |name| name.as_ptr())
    })
}

/// Frees a list of names. NULL is fine.
///
/// # Safety
/// `names` is NULL, or was given out by a call and not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_names_free(names: *mut callsheet_names_t) {
    // SAFETY: as the caller promises.
    unsafe { free(names) }
}
