//! The client: how it is connected, what it is asked, how it is closed.

use std::ffi::{CString, c_char};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use callsheet::host::Owned;
use callsheet::{Filter, Result, Snapshot, block_on};

use crate::boundary::{Out, answer, answer_unless, free, given, quiet, required, wait, writable};
use crate::call::{Answer, Begin, callsheet_call_t};
use crate::callbacks::{CLOSE, Callbacks, serve};
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::events::{Events, NOBODY, callsheet_event_t};
use crate::filter::{callsheet_filter_options_t, filter as read_filter};
use crate::snapshot::callsheet_snapshot_t;
use crate::watch::callsheet_watch_t;

/// A connection to one registry. Any number of threads may use it.
pub struct callsheet_client_t(pub(crate) Arc<Client>);

/// What everything that is made of a client shares.
pub(crate) struct Client {
    pub(crate) core: callsheet::Client,
    shared: Owned<Shared>,
    source: OnceLock<CString>,
}

/// What a forked child must not touch.
pub(crate) struct Shared {
    pub(crate) callbacks: Callbacks,
    /// Whether their thread was started.
    served: Mutex<bool>,
    pub(crate) events: Arc<Events>,
}

impl Client {
    pub(crate) fn new(core: callsheet::Client) -> Self {
        let (callbacks, served) = (Callbacks::new(), Mutex::new(false));
        let events = Events::new();
        // However it is closed, by a signal too, who waits for events hears of it.
        let theirs = events.clone();
        let _ = events.outbox.run(core.ended(), move |_| {
            theirs.end();
            NOBODY
        });
        let shared = Owned::new(Shared { callbacks, served, events });
        Client { core, shared, source: OnceLock::new() }
    }

    /// `forked` in a child.
    pub(crate) fn shared(&self) -> Result<&Shared> {
        self.shared.get()
    }

    /// The callbacks, with a thread that runs them.
    pub(crate) fn callbacks(&self) -> Result<&Callbacks> {
        let shared = self.shared()?;
        let mut served = shared.served.lock().unwrap_or_else(PoisonError::into_inner);
        if !*served {
            serve(shared.callbacks.clone())?;
            *served = true;
        }
        Ok(&shared.callbacks)
    }

    async fn close(&self, caller: ThreadId) -> Result<()> {
        let shared = self.shared()?;
        let began = Instant::now();
        let withdrawn = self.core.close().await;
        // After the last states were told, and within the bound of the whole.
        let quiet = shared.callbacks.close(caller, CLOSE.saturating_sub(began.elapsed())).await;
        shared.events.end();
        withdrawn.and(quiet)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Nobody is left to be told; the thread that runs the callbacks ends with this.
        if let Ok(shared) = self.shared.get() {
            shared.callbacks.end();
        }
    }
}

/// The registry's URL, without secrets. Lives as long as `client`; "" for NULL.
///
/// # Safety
/// `client` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_source(client: *mut callsheet_client_t) -> *const c_char {
    quiet(c"".as_ptr(), || {
        // SAFETY: as the caller promises.
        let Some(client) = (unsafe { client.as_ref() }) else { return c"".as_ptr() };
        client.0.source.get_or_init(|| c_string(client.0.core.source())).as_ptr()
    })
}

/// Milliseconds that one request may take; 0 for NULL.
///
/// # Safety
/// `client` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_timeout_ms(client: *mut callsheet_client_t) -> i64 {
    quiet(0, || {
        // SAFETY: as the caller promises.
        let timeout = unsafe { client.as_ref() }.map(|client| client.0.core.timeout().as_millis());
        timeout.map_or(0, |timeout| i64::try_from(timeout).unwrap_or(i64::MAX))
    })
}

/// Whether the client was closed; true for NULL.
///
/// # Safety
/// `client` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_is_closed(client: *mut callsheet_client_t) -> bool {
    // SAFETY: as the caller promises.
    quiet(true, || unsafe { client.as_ref() }.is_none_or(|client| client.0.core.is_closed()))
}

/// The instances of `service` that `filter` lets through; NULL for every healthy one. Waits for the first load, at most
/// the client's timeout, and answers from memory from then on. An empty list is an answer.
///
/// Errors: `CALLSHEET_UNAVAILABLE` when the registry can't be read and nothing was read before;
/// `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `snapshot` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_lookup(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    snapshot: *mut *mut callsheet_snapshot_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("snapshot", snapshot)?;
            let client = &given("client", client)?.0;
            let (service, filter) = (required("service", service)?, read_filter(filter)?);
            out.fill(callsheet_snapshot_t::new(block_on(client.core.lookup_with(service, &filter))?));
            Ok(())
        })
    }
}

/// Begins `callsheet_lookup`; take its answer with `callsheet_call_take_snapshot`.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_lookup_begin(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (service, filter) = (required("service", service)?.to_owned(), read_filter(filter)?);
            let core = client.core.clone();
            let work = async move { core.lookup_with(&service, &filter).await.map(Answer::Snapshot) };
            begin.run(client, tag, work)
        })
    }
}

fn wait_for(
    client: &Client,
    service: &str,
    filter: Filter,
    count: usize,
    timeout_ms: i64,
) -> impl Future<Output = Result<Snapshot>> + Send + 'static {
    let (core, service) = (client.core.clone(), service.to_owned());
    async move { core.wait_for_with(&service, &filter, count, wait(timeout_ms)).await }
}

/// Waits until `service` has at least `count` instances that `filter` lets through, and gives them. A negative
/// `timeout_ms` has no end. `snapshot` may be NULL.
///
/// Errors: `CALLSHEET_TIMEOUT`, `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `snapshot` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_wait_for(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    count: usize,
    timeout_ms: i64,
    snapshot: *mut *mut callsheet_snapshot_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = if snapshot.is_null() { None } else { Some(Out::new("snapshot", snapshot)?) };
            let client = &given("client", client)?.0;
            let (service, filter) = (required("service", service)?, read_filter(filter)?);
            let found = block_on(wait_for(client, service, filter, count, timeout_ms))?;
            out.into_iter().for_each(|out| out.fill(callsheet_snapshot_t::new(found.clone())));
            Ok(())
        })
    }
}

/// Begins `callsheet_wait_for`; take its answer with `callsheet_call_take_snapshot`.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_wait_for_begin(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    count: usize,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (service, filter) = (required("service", service)?, read_filter(filter)?);
            let found = wait_for(client, service, filter, count, timeout_ms);
            begin.run(client, tag, async move { found.await.map(Answer::Snapshot) })
        })
    }
}

/// Asks the registry something cheap now.
///
/// Errors: what is wrong with it: `CALLSHEET_UNAVAILABLE`, `CALLSHEET_TIMEOUT`, `CALLSHEET_UNAUTHENTICATED`,
/// `CALLSHEET_PERMISSION_DENIED`; `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_ping(
    client: *mut callsheet_client_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || block_on(given("client", client)?.0.core.ping())) }
}

/// Begins `callsheet_ping`; see `callsheet_call_result`.
///
/// # Safety
/// `client` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_ping_begin(
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
            begin.run(client, tag, async move { core.ping().await.map(|()| Answer::Done) })
        })
    }
}

/// A descriptor that is readable (`POLLIN`) while `callsheet_client_next` or `callsheet_client_next_event` has something to
/// tell, or the client was closed. It belongs to the client: poll it, but do not read or close it. -1 for NULL, in a forked
/// child, and when the process has no descriptors left.
///
/// # Safety
/// `client` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_fd(client: *mut callsheet_client_t) -> i32 {
    quiet(-1, || {
        // SAFETY: as the caller promises.
        let Some(client) = (unsafe { client.as_ref() }) else { return -1 };
        let listened = client.0.shared().and_then(|shared| shared.events.listen());
        listened.map_or(-1, callsheet::host::Descriptor::fd)
    })
}

/// Which watch has news, waited for at most `timeout_ms` milliseconds; 0 does not wait, a negative one has no end. Take
/// them with `callsheet_watch_next`: until then this watch is not told of again. Everything that is no watch of a service
/// is dropped, the end of a call for good: a program that has other things to wait for asks `callsheet_client_next_event`
/// only.
///
/// `CALLSHEET_TIMEOUT` without an error object when there is none. `CALLSHEET_CLOSED` once the client is closed and
/// everything was told; `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `watch` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_next(
    client: *mut callsheet_client_t,
    timeout_ms: i64,
    watch: *mut *mut callsheet_watch_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("watch", watch)?;
            let events = &given("client", client)?.0.shared()?.events;
            match events.next(wait(timeout_ms), true)? {
                Some(event) => out.point_to(event.object.cast()),
                None => return Ok(callsheet_code::CALLSHEET_TIMEOUT),
            }
            Ok(callsheet_code::CALLSHEET_OK)
        })
    }
}

/// What has something to tell: a watch, states, or a call that has ended; as `callsheet_client_next` otherwise. Each end of
/// a call is told once.
///
/// # Safety
/// `client` is NULL or valid; `event` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_next_event(
    client: *mut callsheet_client_t,
    timeout_ms: i64,
    event: *mut callsheet_event_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = writable("event", event)?;
            let events = &given("client", client)?.0.shared()?.events;
            match events.next(wait(timeout_ms), false)? {
                Some(event) => out.write(event),
                None => return Ok(callsheet_code::CALLSHEET_TIMEOUT),
            }
            Ok(callsheet_code::CALLSHEET_OK)
        })
    }
}

/// Closes the client on SIGTERM and SIGINT, then lets the signal do what it would have done: a handler of the program's
/// own runs as before, and without one the process ends by the signal. Ignored signals stay ignored.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_close_on_signals(
    client: *mut callsheet_client_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || given("client", client)?.0.core.close_on_signals()) }
}

/// Withdraws every registration and ends every watch and callback. On return no callback runs or will, unless this was
/// called by one. Closing twice is fine. What was made of the client still has to be freed, before or after, as has the
/// client itself.
///
/// Errors: `CALLSHEET_TIMEOUT` when a registration could not be withdrawn within 5 s and its drain, or a callback still
/// runs; `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_close(
    client: *mut callsheet_client_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || block_on(given("client", client)?.0.close(std::thread::current().id()))) }
}

/// Begins `callsheet_client_close`; see `callsheet_call_result`. Its end is the last event.
///
/// # Safety
/// `client` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_close_begin(
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
            let (theirs, caller) = (client.clone(), std::thread::current().id());
            begin.run(client, tag, async move { theirs.close(caller).await.map(|()| Answer::Done) })
        })
    }
}

/// Frees a client. NULL is fine. What was made of it stays usable until it is freed too. Without `callsheet_client_close`
/// before, registrations are not withdrawn: once the last object is freed they are left to their TTL.
///
/// # Safety
/// `client` is NULL, or came from `callsheet_connect`, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_client_free(client: *mut callsheet_client_t) {
    // SAFETY: as the caller promises.
    unsafe { free(client) }
}
