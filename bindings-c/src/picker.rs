//! Pickers: load balancers over the instances of a service.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::time::Duration;

use callsheet::host::Untaken;
use callsheet::{Filter, Picker, Policy, Result, block_on};

use crate::boundary::{Out, answer, free, given, quiet, required, wait, writable};
use crate::call::{Answer, Begin, callsheet_call_t};
use crate::client::{Client, callsheet_client_t};
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::filter::{callsheet_filter_options_t, filter as read_filter};
use crate::options::{Options, texts};
use crate::pick::callsheet_pick_t;

/// Time after which a pick that was not reported stops counting.
const PICK_EXPIRY: Duration = Duration::from_secs(60);

/// How a picker chooses.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_policy {
    /// Each in turn.
    CALLSHEET_POLICY_ROUND_ROBIN = 1,
    /// Any.
    CALLSHEET_POLICY_RANDOM = 2,
    /// The better of two random ones by peak EWMA of latency times calls under way: adapts to slow instances.
    CALLSHEET_POLICY_P2C = 3,
}

/// How to pick. Begin with `CALLSHEET_PICKER_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_picker_options_t {
    /// `sizeof(callsheet_picker_options_t)`.
    pub struct_size: usize,
    /// One of `CALLSHEET_POLICY_*`. Default: `CALLSHEET_POLICY_P2C`.
    pub policy: i32,
    /// Which instances to pick from. NULL: every healthy one.
    pub filter: *const callsheet_filter_options_t,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_picker_options_t {
    const NAMES: (&'static str, &'static str) = ("options", "CALLSHEET_PICKER_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_picker_options_t {
        struct_size: size_of::<Self>(),
        policy: callsheet_policy::CALLSHEET_POLICY_P2C as i32,
        filter: std::ptr::null(),
    };
}

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

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
unsafe fn options(options: *const callsheet_picker_options_t) -> Result<(Policy, Filter)> {
    // SAFETY: as the caller promises.
    let (options, filter) = unsafe {
        let options = callsheet_picker_options_t::read(options)?;
        (options, read_filter(options.filter)?)
    };
    let policy = match options.policy {
        1 => Policy::RoundRobin,
        2 => Policy::Random,
        3 => Policy::P2c,
        // The core's refusal, which lists what there is.
        number => number.to_string().parse()?,
    };
    Ok((policy, filter))
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
            let (service, (policy, filter)) = (required("service", service)?, self::options(options)?);
            let core = block_on(client.core.picker_with(service, policy, &filter))?;
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
            let (policy, filter) = self::options(options)?;
            let (core, service) = (client.core.clone(), required("service", service)?.to_owned());
            let work = async move { core.picker_with(&service, policy, &filter).await.map(Answer::Picker) };
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

/// The word that every language uses for a policy, such as "p2c". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_policy_name(policy: i32) -> *const c_char {
    let name = match policy {
        1 => c"round_robin",
        2 => c"random",
        3 => c"p2c",
        _ => c"",
    };
    name.as_ptr()
}
