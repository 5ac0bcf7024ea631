//! The registry `memory:name` from outside, for tests: the faults that real registries have.

use std::ffi::c_char;
use std::time::Duration;

use callsheet::host::{check_port, check_weight};
use callsheet::memory::Memory;
use callsheet::{Instance, Result};

use crate::boundary::{Out, answer, free, given, quiet, required, text};
use crate::error::{callsheet_code, callsheet_error_t};
use crate::options::{Options, pairs, texts};
use crate::specification::callsheet_registration_options_t;

/// The registry that clients of `memory:name` in this process share, with the faults that real ones have. It is made if
/// there is none yet, and kept while anyone holds it.
pub struct callsheet_memory_t(Memory);

/// The registry of this name.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT` when no URL could have this name.
///
/// # Safety
/// `name` is NULL or valid; `memory` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_open(
    name: *const c_char,
    memory: *mut *mut callsheet_memory_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("memory", memory)?;
            out.fill(callsheet_memory_t(Memory::named(required("name", name)?)?));
            Ok(())
        })
    }
}

/// # Safety
/// `memory` is NULL or valid.
unsafe fn with(memory: *mut callsheet_memory_t, fault: impl FnOnce(&Memory)) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { memory.as_ref() }.map_or((), |memory| fault(&memory.0)));
}

/// Every request fails with `CALLSHEET_UNAVAILABLE` and every watch breaks, until switched off. NULL is fine, here and below.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_unreachable(memory: *mut callsheet_memory_t, on: bool) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, |memory| memory.unreachable(on)) }
}

/// Every request fails with `CALLSHEET_PERMISSION_DENIED`, until switched off.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_refuse(memory: *mut callsheet_memory_t, on: bool) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, |memory| memory.refuse(on)) }
}

/// Reads succeed and are empty, as from a cluster without a leader, until switched off.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_answer_empty(memory: *mut callsheet_memory_t, on: bool) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, |memory| memory.answer_empty(on)) }
}

/// Watches get whole lists, as from Consul, instead of changes, as from etcd.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_answer_with_lists(memory: *mut callsheet_memory_t, on: bool) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, |memory| memory.answer_with_lists(on)) }
}

/// Every request takes this many milliseconds; 0 or less switches it off.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_slow(memory: *mut callsheet_memory_t, delay_ms: i64) {
    let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0));
    // SAFETY: as the caller promises.
    unsafe { with(memory, |memory| memory.slow(delay)) }
}

/// Every lease runs out now.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_lose_leases(memory: *mut callsheet_memory_t) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, Memory::lose_leases) }
}

/// The history up to now is forgotten: a watch that has not followed to its end must load again.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_compact(memory: *mut callsheet_memory_t) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, Memory::compact) }
}

/// The same data under another cluster identity, with a revision that begins anew.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_change_identity(memory: *mut callsheet_memory_t) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, Memory::change_identity) }
}

/// Everything is gone, and the identity is another: a cluster restarted on an empty disk.
///
/// # Safety
/// `memory` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_wipe(memory: *mut callsheet_memory_t) {
    // SAFETY: as the caller promises.
    unsafe { with(memory, Memory::wipe) }
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
unsafe fn instance(options: *const callsheet_registration_options_t) -> Result<Instance> {
    // SAFETY: as the caller promises.
    unsafe {
        given("options", options)?;
        let options = Options::read(options)?;
        let (service, address) =
            (required("service", options.service)?, required("address", options.address)?);
        let mut instance = Instance::new(service, address, check_port(options.port)?);
        if let Some(id) = text("id", options.id)? {
            instance.id = id.to_owned();
        }
        if let Some(scheme) = text("scheme", options.scheme)? {
            instance.scheme = scheme.to_owned();
        }
        instance.tags = texts("tags", options.tags, options.tags_len)?;
        instance.metadata = pairs("metadata", options.metadata, options.metadata_len)?;
        instance.weight = check_weight(options.weight)?;
        instance.zone = text("zone", options.zone)?.unwrap_or_default().to_owned();
        instance.version = text("version", options.version)?.unwrap_or_default().to_owned();
        Ok(instance)
    }
}

/// Writes an instance as another tool would: without an owner, and without a lease. Of `options`, what describes the
/// instance is used; `address` has to be set.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`.
///
/// # Safety
/// `memory` and `options` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_put(
    memory: *mut callsheet_memory_t,
    options: *const callsheet_registration_options_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || given("memory", memory)?.0.put(instance(options)?)) }
}

/// Deletes an instance behind its owner's back.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`.
///
/// # Safety
/// `memory`, `service` and `id` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_delete(
    memory: *mut callsheet_memory_t,
    service: *const c_char,
    id: *const c_char,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            given("memory", memory)?.0.delete(required("service", service)?, required("id", id)?);
            Ok(())
        })
    }
}

/// Lets go of the registry. NULL is fine.
///
/// # Safety
/// `memory` is NULL, or came from `callsheet_memory_open` and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_memory_free(memory: *mut callsheet_memory_t) {
    // SAFETY: as the caller promises.
    unsafe { free(memory) }
}
