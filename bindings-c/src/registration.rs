//! Registrations: the promise that runs until it is closed, and what may be asked of it.

use std::ffi::{CString, c_char};
use std::sync::{Arc, Mutex, PoisonError};

use callsheet::{RegistrationHandle, Result, Status, block_on};

use crate::boundary::{Out, answer, free, given, quiet, required, text, wait};
use crate::call::{Answer, Begin, Unclaimed, callsheet_call_t};
use crate::client::{Client, callsheet_client_t};
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::instance::callsheet_instance_t;
use crate::specification::{
    callsheet_registration_options_t, callsheet_update_options_t, changeset, registration,
};
use crate::states::{callsheet_state, state as read_state};

/// A registration that runs until it or its client is closed. Freeing this does not end it.
pub struct callsheet_registration_t {
    pub(crate) core: RegistrationHandle,
    pub(crate) client: Arc<Client>,
    /// Ids that were given out; it changes once at most.
    ids: Mutex<Vec<CString>>,
}

impl callsheet_registration_t {
    pub(crate) fn new(core: RegistrationHandle, client: Arc<Client>) -> Self {
        callsheet_registration_t { core, client, ids: Mutex::default() }
    }
}

/// Registers an instance and keeps it registered. Waits for the first try, at most the client's timeout: on return the
/// instance is registered, or `callsheet_registration_last_error` says why not yet, and it goes on trying.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`; `CALLSHEET_CONFLICT` when this client has a registration of this service and id;
/// `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`. Never because the registry is down or refuses.
///
/// # Safety
/// `client` and `options` are NULL or valid; `made` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_register(
    client: *mut callsheet_client_t,
    options: *const callsheet_registration_options_t,
    made: *mut *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("registration", made)?;
            let client = &given("client", client)?.0;
            let core = block_on(client.core.register(registration(options)?))?;
            out.fill(callsheet_registration_t::new(core, client.clone()));
            Ok(())
        })
    }
}

/// Begins `callsheet_register`; take its answer with `callsheet_call_take_registration`.
///
/// # Safety
/// `client` and `options` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_register_begin(
    client: *mut callsheet_client_t,
    options: *const callsheet_registration_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (core, registration) = (client.core.clone(), registration(options)?);
            let work = async move {
                let registered = core.register(registration).await?;
                Ok(Answer::Registration(Unclaimed::from(registered)))
            };
            begin.run(client, tag, work)
        })
    }
}

/// The registration of this client with this id.
///
/// Errors: `CALLSHEET_NOT_FOUND`; `CALLSHEET_CONFLICT` when registrations of several services have it; `CALLSHEET_CLOSED`,
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `found` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_find(
    client: *mut callsheet_client_t,
    id: *const c_char,
    found: *mut *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("registration", found)?;
            let client = &given("client", client)?.0;
            let core = client.core.registration(required("id", id)?)?;
            out.fill(callsheet_registration_t::new(core, client.clone()));
            Ok(())
        })
    }
}

/// Closes the registration of this client with this id.
///
/// Errors: as of `callsheet_registration_find` and `callsheet_registration_close`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_deregister(
    client: *mut callsheet_client_t,
    id: *const c_char,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || block_on(given("client", client)?.0.core.deregister(required("id", id)?))) }
}

/// Begins `callsheet_deregister`; see `callsheet_call_result`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_deregister_begin(
    client: *mut callsheet_client_t,
    id: *const c_char,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (core, id) = (client.core.clone(), required("id", id)?.to_owned());
            begin.run(client, tag, async move { core.deregister(&id).await.map(|()| Answer::Done) })
        })
    }
}

/// The id, which differs from the default one when that belongs to a live process of another machine. Lives as long as
/// `registration`; "" for NULL.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_id(
    registration: *mut callsheet_registration_t,
) -> *const c_char {
    quiet(c"".as_ptr(), || {
        // SAFETY: as the caller promises.
        let Some(registration) = (unsafe { registration.as_ref() }) else { return c"".as_ptr() };
        let id = c_string(registration.core.id());
        if registration.client.shared().is_err() {
            // A lock of this registration's may be held by a thread that the child does not have.
            return id.into_raw();
        }
        let mut ids = registration.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ids.iter().find(|known| **known == id) {
            return known.as_ptr();
        }
        ids.push(id);
        ids.last().map_or(c"".as_ptr(), |id| id.as_ptr())
    })
}

/// The instance as it is to be published now, to be freed with `callsheet_instance_free`; NULL for NULL.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_instance(
    registration: *mut callsheet_registration_t,
) -> *mut callsheet_instance_t {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let Some(registration) = (unsafe { registration.as_ref() }) else { return std::ptr::null_mut() };
        Box::into_raw(Box::new(callsheet_instance_t::new(&registration.core.instance())))
    })
}

/// Where it stands; closed for NULL and in a forked child.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_state(
    registration: *mut callsheet_registration_t,
) -> callsheet_state {
    let closed = callsheet_state::CALLSHEET_STATE_CLOSED;
    // SAFETY: as the caller promises.
    quiet(closed, || unsafe { registration.as_ref() }.map_or(closed, |one| one.core.state().into()))
}

/// Why it is not registered, or why the last update did not reach the registry, to be freed; NULL when nothing is wrong.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_last_error(
    registration: *mut callsheet_registration_t,
) -> *mut callsheet_error_t {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let error = unsafe { registration.as_ref() }.and_then(|registration| registration.core.last_error());
        error.map_or(std::ptr::null_mut(), |error| Box::into_raw(Box::new(callsheet_error_t::new(&error))))
    })
}

/// A sign of life for a heartbeat check. Never waits.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_beat(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || given("registration", registration)?.core.beat()) }
}

fn status(number: i32) -> Result<Status> {
    match number {
        1 => Ok(Status::Passing),
        2 => Ok(Status::Warning),
        3 => Ok(Status::Critical),
        4 => Ok(Status::Draining),
        // The core's refusal, which lists what there is.
        _ => number.to_string().parse(),
    }
}

/// Publishes what `hold` held back, and waits until it is registered, at most `timeout_ms` milliseconds; a negative one has
/// no end. The timeout ends the wait, not the registration.
///
/// Errors: `CALLSHEET_TIMEOUT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_ready(
    registration: *mut callsheet_registration_t,
    timeout_ms: i64,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let limit = wait(timeout_ms);
            block_on(core.ready(limit))
        })
    }
}

/// Begins `callsheet_registration_ready`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_ready_begin(
    registration: *mut callsheet_registration_t,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let limit = wait(timeout_ms);
            let core = registration.core.clone();
            begin.run(
                &registration.client,
                tag,
                async move { core.ready(limit).await.map(|()| Answer::Done) },
            )
        })
    }
}

/// Waits until `state`, one of `CALLSHEET_STATE_*`, is reached, at most `timeout_ms` milliseconds; a negative one has no end.
/// Already being in it is success.
///
/// Errors: `CALLSHEET_TIMEOUT`, with the last error as its cause; `CALLSHEET_CLOSED` when it can never be reached;
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_wait(
    registration: *mut callsheet_registration_t,
    state: i32,
    timeout_ms: i64,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let (state, limit) = (read_state(state)?, wait(timeout_ms));
            block_on(core.wait(state, limit))
        })
    }
}

/// Begins `callsheet_registration_wait`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_wait_begin(
    registration: *mut callsheet_registration_t,
    state: i32,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let (state, limit) = (read_state(state)?, wait(timeout_ms));
            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move {
                core.wait(state, limit).await.map(|()| Answer::Done)
            })
        })
    }
}

/// Changes tags, metadata or weight without a gap. Returns when the registry has it, or after the first try that failed:
/// then `callsheet_registration_last_error` says why, and it goes on trying.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, and nothing is changed; `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` and `changes` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_update(
    registration: *mut callsheet_registration_t,
    changes: *const callsheet_update_options_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let changes = changeset(changes)?;
            block_on(core.update(changes))
        })
    }
}

/// Begins `callsheet_registration_update`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` and `changes` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_update_begin(
    registration: *mut callsheet_registration_t,
    changes: *const callsheet_update_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let changes = changeset(changes)?;
            let core = registration.core.clone();
            begin.run(
                &registration.client,
                tag,
                async move { core.update(changes).await.map(|()| Answer::Done) },
            )
        })
    }
}

/// Sets the status, one of `CALLSHEET_STATUS_*`, by hand; passing gives it back to the check. A failing check still wins
/// over a better one. `note` says why and may be NULL.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` and `note` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_set_status(
    registration: *mut callsheet_registration_t,
    status: i32,
    note: *const c_char,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let (status, note) = (self::status(status)?, text("note", note)?.unwrap_or_default().to_owned());
            block_on(core.set_status(status, &note))
        })
    }
}

/// Begins `callsheet_registration_set_status`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` and `note` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_set_status_begin(
    registration: *mut callsheet_registration_t,
    status: i32,
    note: *const c_char,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let (status, note) = (self::status(status)?, text("note", note)?.unwrap_or_default().to_owned());
            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move {
                core.set_status(status, &note).await.map(|()| Answer::Done)
            })
        })
    }
}

/// Says draining: pickers, watches and lookups skip it from now on, while it finishes its calls.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_drain(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;

            block_on(core.drain())
        })
    }
}

/// Begins `callsheet_registration_drain`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_drain_begin(
    registration: *mut callsheet_registration_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;

            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move { core.drain().await.map(|()| Answer::Done) })
        })
    }
}

/// Withdraws the instance if it is still this registration's, then waits out the drain. Closing twice is fine.
///
/// Errors: `CALLSHEET_TIMEOUT` when the registry could not be told within 5 s; the instance then goes with its TTL.
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_close(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;

            block_on(core.close())
        })
    }
}

/// Begins `callsheet_registration_close`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_close_begin(
    registration: *mut callsheet_registration_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;

            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move { core.close().await.map(|()| Answer::Done) })
        })
    }
}

/// Frees a registration without ending it. NULL is fine.
///
/// # Safety
/// `registration` is NULL, or was given out by a call, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_free(registration: *mut callsheet_registration_t) {
    // SAFETY: as the caller promises.
    unsafe { free(registration) }
}
