//! Pickers: load balancers over the instances of a service.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use callsheet::host::Untaken;
use callsheet::{Picker, Result, block_on};

use crate::balance::{callsheet_picker_options_t, picker_options};
use crate::boundary::{Out, answer, elements, free, given, quiet, required, wait, writable};
use crate::call::{Answer, Begin, callsheet_call_t};
use crate::client::{Client, callsheet_client_t};
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::names::callsheet_names_t;
use crate::options::texts;
use crate::pick::callsheet_pick_t;

/// Time after which a pick that was not reported stops counting.
const PICK_EXPIRY: Duration = Duration::from_secs(60);

/// A load balancer over the current snapshot of a service. Any number of threads may use it.
pub struct callsheet_picker_t {
    core: Picker,
    client: Arc<Client>,
    service: CString,
}

impl callsheet_picker_t {
    pub(crate) fn new(core: Picker, client: Arc<Client>) -> Result<Self> {
        core.expire_picks(PICK_EXPIRY)?;
        let service = c_string(core.service());
        Ok(callsheet_picker_t { core, client, service })
    }
}

/// A load balancer over the instances of `service`; `options` may be NULL. Waits for the first load, at most the client's
/// timeout; a registry that is down leaves the picker empty until it is back.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client`, `service` and `options` are NULL or valid; `picker` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_open(
    client: *mut callsheet_client_t,
    service: *const c_char,
    options: *const callsheet_picker_options_t,
    picker: *mut *mut callsheet_picker_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("picker", picker)?;
            let client = &given("client", client)?.0;
            let (service, options) = (required("service", service)?, picker_options(options)?);
            let core = block_on(client.core.open_picker(service, options))?;
            out.fill(callsheet_picker_t::new(core, client.clone())?);
            Ok(())
        })
    }
}

/// Begins `callsheet_picker_open`; take its answer with `callsheet_call_take_picker`.
///
/// # Safety
/// `client`, `service` and `options` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_open_begin(
    client: *mut callsheet_client_t,
    service: *const c_char,
    options: *const callsheet_picker_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let options = picker_options(options)?;
            let (core, service) = (client.core.clone(), required("service", service)?.to_owned());
            let work = async move { core.open_picker(&service, options).await.map(Answer::Picker) };
            begin.run(client, tag, work)
        })
    }
}

/// Picks one instance to call, into `pick`. Never waits and does no I/O. Report how the call went with
/// `callsheet_pick_done`.
///
/// Errors, which leave `pick` cleared: `CALLSHEET_NO_INSTANCES`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `picker` is NULL or valid; `pick` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick(
    picker: *mut callsheet_picker_t,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { picked(pick, error, || given("picker", picker)?.core.pick()) }
}

/// `callsheet_pick` of another instance than those with the `tried_len` ids in `tried`, where there is another: for trying
/// again.
///
/// Errors: as of `callsheet_pick`.
///
/// # Safety
/// `picker` is NULL or valid; `tried` is NULL or has `tried_len` elements; `pick` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_other(
    picker: *mut callsheet_picker_t,
    tried: *const *const c_char,
    tried_len: usize,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        picked(pick, error, || given("picker", picker)?.core.pick_other(&texts("tried", tried, tried_len)?))
    }
}

/// `callsheet_pick` that waits for an instance to come, at most `timeout_ms` milliseconds; a negative one has no end.
///
/// Errors: as of `callsheet_pick`; `CALLSHEET_NO_INSTANCES` when none came.
///
/// # Safety
/// `picker` is NULL or valid; `pick` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_within(
    picker: *mut callsheet_picker_t,
    timeout_ms: i64,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { picked(pick, error, || block_on(given("picker", picker)?.core.pick_within(wait(timeout_ms)))) }
}

/// Begins `callsheet_pick_within`; take its answer with `callsheet_call_take_pick`.
///
/// # Safety
/// `picker` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_within_begin(
    picker: *mut callsheet_picker_t,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let picker = given("picker", picker)?;
            let core = picker.core.clone();
            let work = async move {
                core.pick_within(wait(timeout_ms)).await.map(|pick| Answer::Pick(Untaken::new(pick)))
            };
            begin.run(&picker.client, tag, work)
        })
    }
}

/// `callsheet_pick` for a key of `key_len` bytes, such as a user or a file: `CALLSHEET_POLICY_RING_HASH` and
/// `CALLSHEET_POLICY_MAGLEV` give the same instance for the same key, in every process and language that sees the same
/// instances; without a key they pick any. To the other policies a key means nothing.
///
/// Errors: as of `callsheet_pick`.
///
/// # Safety
/// `picker` is NULL or valid; `key` is NULL or has `key_len` bytes; `pick` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_key(
    picker: *mut callsheet_picker_t,
    key: *const c_void,
    key_len: usize,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { picked(pick, error, || given("picker", picker)?.core.pick_key(bytes(key, key_len)?)) }
}

/// `callsheet_pick_other` for a key: the same one for the same key and the same `tried`.
///
/// Errors: as of `callsheet_pick`.
///
/// # Safety
/// As of `callsheet_pick_key` and `callsheet_pick_other`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_key_other(
    picker: *mut callsheet_picker_t,
    key: *const c_void,
    key_len: usize,
    tried: *const *const c_char,
    tried_len: usize,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        picked(pick, error, || {
            let tried = texts("tried", tried, tried_len)?;
            given("picker", picker)?.core.pick_key_other(bytes(key, key_len)?, &tried)
        })
    }
}

/// `callsheet_pick_within` for a key, as of `callsheet_pick_key`.
///
/// Errors: as of `callsheet_pick_within`.
///
/// # Safety
/// As of `callsheet_pick_key`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_key_within(
    picker: *mut callsheet_picker_t,
    key: *const c_void,
    key_len: usize,
    timeout_ms: i64,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        picked(pick, error, || {
            let core = &given("picker", picker)?.core;
            block_on(core.pick_key_within(bytes(key, key_len)?, wait(timeout_ms)))
        })
    }
}

/// Begins `callsheet_pick_key_within`; take its answer with `callsheet_call_take_pick`.
///
/// # Safety
/// `picker` is NULL or valid; `key` is NULL or has `key_len` bytes; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_key_within_begin(
    picker: *mut callsheet_picker_t,
    key: *const c_void,
    key_len: usize,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let picker = given("picker", picker)?;
            let (core, key) = (picker.core.clone(), bytes(key, key_len)?.to_owned());
            let work = async move {
                let pick = core.pick_key_within(key, wait(timeout_ms)).await;
                pick.map(|pick| Answer::Pick(Untaken::new(pick)))
            };
            begin.run(&picker.client, tag, work)
        })
    }
}

/// # Safety
/// `key` is NULL or has `count` bytes.
unsafe fn bytes<'a>(key: *const c_void, count: usize) -> Result<&'a [u8]> {
    // SAFETY: as the caller promises.
    unsafe { elements("key", key.cast(), count) }
}

/// The ids of the instances that are ejected now, because calls to them failed.
///
/// Errors: `CALLSHEET_FORKED`.
///
/// # Safety
/// `picker` is NULL or valid; `names` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_ejected(
    picker: *mut callsheet_picker_t,
    names: *mut *mut callsheet_names_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("names", names)?;
            let ejected = given("picker", picker)?.core.ejected()?;
            let ids: Vec<_> = ejected.iter().map(|instance| instance.id.clone()).collect();
            out.fill(callsheet_names_t::new(&ids));
            Ok(())
        })
    }
}

/// # Safety
/// `pick` and `error` are NULL or may be written to.
#[inline]
unsafe fn picked(
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
    choose: impl FnOnce() -> Result<callsheet::Pick>,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let pick = writable("pick", pick)?;
            match choose() {
                Ok(core) => {
                    pick.write(callsheet_pick_t::new(core));
                    Ok(())
                }
                Err(error) => {
                    pick.write(callsheet_pick_t::NONE);
                    Err(error)
                }
            }
        })
    }
}

/// How many instances it picks from now; 0 for NULL.
///
/// # Safety
/// `picker` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_len(picker: *mut callsheet_picker_t) -> usize {
    // SAFETY: as the caller promises.
    quiet(0, || unsafe { picker.as_ref() }.map_or(0, |picker| picker.core.len()))
}

/// The service's name. Lives as long as `picker`; "" for NULL.
///
/// # Safety
/// `picker` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_service(picker: *mut callsheet_picker_t) -> *const c_char {
    // SAFETY: as the caller promises.
    quiet(c"".as_ptr(), || unsafe { picker.as_ref() }.map_or(c"".as_ptr(), |picker| picker.service.as_ptr()))
}

/// Frees a picker. NULL is fine. Its picks stay valid until they are reported.
///
/// # Safety
/// `picker` is NULL, or was given out by a call, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_picker_free(picker: *mut callsheet_picker_t) {
    // SAFETY: as the caller promises.
    unsafe { free(picker) }
}
