//! Callbacks: functions of the program's with a context, called in order and one at a time on one thread per client.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;
use std::time::Duration;

use callsheet::host::{Dispatcher, Event, Job, Source, leave_signals_to_the_host};
use callsheet::{Code, Error, Result, block_on};

use crate::boundary::{answer, free, given, invalid, required};
use crate::call::{Answer, Begin, callsheet_call_t};
use crate::client::{Client, callsheet_client_t};
use crate::error::{callsheet_code, callsheet_error_t};
use crate::filter::{callsheet_filter_options_t, filter as read_filter};
use crate::registration::callsheet_registration_t;
use crate::snapshot::callsheet_snapshot_t;
use crate::states::callsheet_state;

/// How long `close` waits for a callback that runs.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);

/// What `callsheet_on_change` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing
/// is called. `drop` may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_on_change_closure_t {
    /// Handed to both functions.
    pub context: *mut c_void,
    /// Called with each snapshot, which lives until the call returns; `callsheet_snapshot_clone` keeps it.
    pub call: Option<unsafe extern "C" fn(context: *mut c_void, snapshot: *const callsheet_snapshot_t)>,
    /// Called once at the end.
    pub drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

/// What `callsheet_on_state` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing
/// is called. `drop` may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_on_state_closure_t {
    /// Handed to both functions.
    pub context: *mut c_void,
    /// Called with each state, and with what led to one that is no good one, else NULL; that lives until the call returns.
    pub call: Option<
        unsafe extern "C" fn(context: *mut c_void, state: callsheet_state, why: *const callsheet_error_t),
    >,
    /// Called once at the end.
    pub drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

/// A context that is given to its `drop` when this is dropped.
pub(crate) struct Context {
    pub(crate) pointer: *mut c_void,
    pub(crate) drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

// SAFETY: the header says on which threads the closure is called, and that its context has to bear that.
unsafe impl Send for Context {}
// SAFETY: as above; calls never overlap.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the program gave this function for this context, and it is called here only.
            unsafe { drop(self.pointer) }
        }
    }
}

/// A function that was subscribed.
pub(crate) enum Callback {
    Change(Context, unsafe extern "C" fn(*mut c_void, *const callsheet_snapshot_t)),
    State(Context, unsafe extern "C" fn(*mut c_void, callsheet_state, *const callsheet_error_t)),
}

impl Callback {
    fn call(&self, event: &Event) {
        match (self, event) {
            (Callback::Change(context, call), Event::Snapshot(snapshot)) => {
                let snapshot = callsheet_snapshot_t::new(snapshot.clone());
                // SAFETY: the program gave this function for this context, which was not dropped yet.
                unsafe { call(context.pointer, &raw const snapshot) }
            }
            (Callback::State(context, call), Event::State(change)) => {
                let why = change.error.as_ref().map(callsheet_error_t::new);
                let why = why.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
                // SAFETY: as above.
                unsafe { call(context.pointer, change.state.into(), why) }
            }
            // Sources tell of their own kind only.
            _ => {}
        }
    }
}

pub(crate) type Callbacks = Dispatcher<Callback>;

/// Starts the thread that runs the callbacks of one client, until they are closed.
pub(crate) fn serve(callbacks: Callbacks) -> Result<()> {
    let run = move || {
        leave_signals_to_the_host();
        while let Some(job) = block_on(callbacks.next()) {
            run(&job);
        }
    };
    let started = std::thread::Builder::new().name("callsheet-calls".into()).spawn(run);
    started.map(drop).map_err(|error| {
        Error::new(Code::Internal, "can't start the callback thread (see `ulimit -u`)").with_cause(error)
    })
}

fn run(job: &Job<Callback>) {
    if !job.is_cancelled() {
        job.callback.call(&job.event);
    }
}

/// A callback that is subscribed. It goes on until it or its client is closed; freeing this does not end it.
pub struct callsheet_subscription_t {
    client: Arc<Client>,
    /// Set at once after the program has this, because a callback may close it before its opening has returned.
    id: OnceLock<u64>,
}

impl callsheet_subscription_t {
    fn close(&self, caller: ThreadId) -> Result<impl Future<Output = Result<()>> + Send + 'static> {
        let (callbacks, id) = (self.client.shared()?.callbacks.clone(), *self.id.wait());
        Ok(async move { callbacks.cancel(id, caller, CLOSE).await })
    }
}

/// # Safety
/// `place` is NULL or may be written to.
unsafe fn clear(place: *mut *mut callsheet_subscription_t) {
    if !place.is_null() {
        // SAFETY: as the caller promises.
        unsafe { *place = std::ptr::null_mut() };
    }
}

/// Subscribes, with the subscription at `place` unless that is NULL.
///
/// # Safety
/// `place` is NULL or may be written to until the export returns.
unsafe fn subscribe(
    client: &Arc<Client>,
    source: Source,
    callback: Callback,
    place: *mut *mut callsheet_subscription_t,
) -> Result<()> {
    let callbacks = client.callbacks()?;
    if place.is_null() {
        return callbacks.subscribe(source, callback).map(drop);
    }
    let made =
        Box::into_raw(Box::new(callsheet_subscription_t { client: client.clone(), id: OnceLock::new() }));
    // SAFETY: as the caller promises; and the program frees what it gets after this export has returned.
    unsafe {
        *place = made;
        match callbacks.subscribe(source, callback) {
            Ok(id) => (*made).id.set(id).map_err(|_| invalid("subscribed twice")),
            Err(error) => {
                *place = std::ptr::null_mut();
                free(made);
                Err(error)
            }
        }
    }
}

/// Calls `closure.call` with the current snapshot of `service` and then with each new one, in order and one at a time, on
/// one thread of the client's. A slow callback sees the latest snapshot only. It may do anything, close its own
/// subscription or the client included, but must not throw or jump out.
///
/// The closure's context belongs to callsheet from here on, even if this fails: then `closure.drop` is called before it
/// returns. `subscription` may be NULL, for a callback that goes on until the client is closed.
///
/// Errors: as of `callsheet_watch_open`.
///
/// # Safety
/// `client`, `service` and `filter` are NULL or valid; `subscription` and `error` are NULL or may be written to; the
/// functions of `closure` may be called on any thread until `drop` was called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_on_change(
    client: *mut callsheet_client_t,
    service: *const c_char,
    filter: *const callsheet_filter_options_t,
    closure: callsheet_on_change_closure_t,
    subscription: *mut *mut callsheet_subscription_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    let context = Context { pointer: closure.context, drop: closure.drop };
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let context = context;
            clear(subscription);
            let client = &given("client", client)?.0;
            let call = closure.call.ok_or_else(|| invalid("closure.call is NULL"))?;
            let watch = client.core.watch_with(required("service", service)?, &read_filter(filter)?)?;
            subscribe(client, Source::Watch(watch), Callback::Change(context, call), subscription)
        })
    }
}

/// Calls `closure.call` with the current state of `registration` and then with each new one; all else as of
/// `callsheet_on_change`.
///
/// # Safety
/// `registration` is NULL or valid; `subscription` and `error` are NULL or may be written to; the functions of `closure`
/// may be called on any thread until `drop` was called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_on_state(
    registration: *mut callsheet_registration_t,
    closure: callsheet_on_state_closure_t,
    subscription: *mut *mut callsheet_subscription_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    let context = Context { pointer: closure.context, drop: closure.drop };
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let context = context;
            clear(subscription);
            let registration = given("registration", registration)?;
            let call = closure.call.ok_or_else(|| invalid("closure.call is NULL"))?;
            let states = registration.core.states()?;
            let callback = Callback::State(context, call);
            subscribe(&registration.client, Source::States(states), callback, subscription)
        })
    }
}

/// Ends a subscription. On return its callback neither runs nor will, and its context was dropped, unless this was called
/// by that callback: then the context is dropped when it returns. Closing twice is fine.
///
/// Errors: `CALLSHEET_TIMEOUT` when the callback still runs after 5 s; it is not called again, and its context is dropped
/// when it returns. `CALLSHEET_FORKED`.
///
/// # Safety
/// `subscription` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_subscription_close(
    subscription: *mut callsheet_subscription_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let subscription = given("subscription", subscription)?;
            block_on(subscription.close(std::thread::current().id())?)
        })
    }
}

/// Begins `callsheet_subscription_close`; see `callsheet_call_result`.
///
/// # Safety
/// `subscription` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_subscription_close_begin(
    subscription: *mut callsheet_subscription_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let subscription = given("subscription", subscription)?;
            let closing = subscription.close(std::thread::current().id())?;
            begin.run(&subscription.client, tag, async move { closing.await.map(|()| Answer::Done) })
        })
    }
}

/// Frees a subscription without ending it. NULL is fine.
///
/// # Safety
/// `subscription` is NULL, or was given out by a call, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_subscription_free(subscription: *mut callsheet_subscription_t) {
    // SAFETY: as the caller promises.
    unsafe { free(subscription) }
}
