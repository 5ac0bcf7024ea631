//! Snapshots: immutable lists of instances, which live until they are freed.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use callsheet::{Freshness, Snapshot};

use crate::boundary::{free, quiet, required};
use crate::error::{c_string, callsheet_error_t};
use crate::instance::callsheet_instance_t;

/// How far a snapshot can be trusted to show the registry as it is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_freshness {
    /// The registry vouches for it.
    CALLSHEET_FRESHNESS_LIVE = 1,
    /// The registry is unreachable or refuses; this is the last list it gave.
    CALLSHEET_FRESHNESS_STALE = 2,
    /// The list that was saved on disk, read at a cold start.
    CALLSHEET_FRESHNESS_DISK = 3,
    /// From one of the fallback registries.
    CALLSHEET_FRESHNESS_FALLBACK = 4,
}

impl From<Freshness> for callsheet_freshness {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Live => Self::CALLSHEET_FRESHNESS_LIVE,
            Freshness::Disk => Self::CALLSHEET_FRESHNESS_DISK,
            Freshness::Fallback => Self::CALLSHEET_FRESHNESS_FALLBACK,
            // What a later version may add is not live.
            _ => Self::CALLSHEET_FRESHNESS_STALE,
        }
    }
}

/// An immutable, versioned list of a service's instances, sorted by id. Any number of threads may read it.
pub struct callsheet_snapshot_t {
    pub(crate) core: Snapshot,
    service: OnceLock<CString>,
    source: OnceLock<CString>,
    last_error: OnceLock<callsheet_error_t>,
}

impl callsheet_snapshot_t {
    pub(crate) fn new(core: Snapshot) -> Self {
        let (service, source, last_error) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        callsheet_snapshot_t { core, service, source, last_error }
    }
}

/// What `read` reads of a snapshot; `otherwise` for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid for as long as what is read of it.
unsafe fn of<'a, T: Copy>(
    snapshot: *const callsheet_snapshot_t,
    otherwise: T,
    read: impl FnOnce(&'a callsheet_snapshot_t) -> Option<T>,
) -> T {
    // SAFETY: as the caller promises.
    quiet(otherwise, || unsafe { snapshot.as_ref() }.and_then(read).unwrap_or(otherwise))
}

/// How many instances there are; 0 for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_len(snapshot: *const callsheet_snapshot_t) -> usize {
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, 0, |snapshot| Some(snapshot.core.len())) }
}

/// The instance at `index`, in order of id. Lives as long as `snapshot`; NULL beyond the last.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_get(
    snapshot: *const callsheet_snapshot_t,
    index: usize,
) -> *const callsheet_instance_t {
    let get = |snapshot: &callsheet_snapshot_t| {
        snapshot
            .core
            .instances()
            .get(index)
            .map(|instance| std::ptr::from_ref(callsheet_instance_t::of(instance)))
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, std::ptr::null(), get) }
}

/// The instance with this id. Lives as long as `snapshot`; NULL when there is none.
///
/// # Safety
/// `snapshot` is NULL or valid; `id` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_find(
    snapshot: *const callsheet_snapshot_t,
    id: *const c_char,
) -> *const callsheet_instance_t {
    let find = |snapshot: &callsheet_snapshot_t| {
        // SAFETY: as the caller promises.
        let id = unsafe { required("id", id) }.ok()?;
        snapshot.core.get(id).map(|instance| std::ptr::from_ref(callsheet_instance_t::of(instance)))
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, std::ptr::null(), find) }
}

/// The service that was asked for. Lives as long as `snapshot`; "" for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_service(snapshot: *const callsheet_snapshot_t) -> *const c_char {
    let read = |snapshot: &callsheet_snapshot_t| {
        Some(snapshot.service.get_or_init(|| c_string(snapshot.core.service())).as_ptr())
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, c"".as_ptr(), read) }
}

/// callsheet's own counter of this watched service, which only grows. Equal revisions of one client, service and filter
/// mean the same list. 0 for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_revision(snapshot: *const callsheet_snapshot_t) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, 0, |snapshot| Some(snapshot.core.revision())) }
}

/// How far to trust it; stale for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_freshness(
    snapshot: *const callsheet_snapshot_t,
) -> callsheet_freshness {
    let stale = callsheet_freshness::CALLSHEET_FRESHNESS_STALE;
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, stale, |snapshot| Some(snapshot.core.freshness().into())) }
}

/// The URL that it came from, without secrets. Lives as long as `snapshot`; "" for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_source(snapshot: *const callsheet_snapshot_t) -> *const c_char {
    let read = |snapshot: &callsheet_snapshot_t| {
        Some(snapshot.source.get_or_init(|| c_string(snapshot.core.source())).as_ptr())
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, c"".as_ptr(), read) }
}

/// Milliseconds since the registry last vouched for this list: 0 for a live snapshot, for others the time since contact
/// was lost. 0 for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_age_ms(snapshot: *const callsheet_snapshot_t) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, 0, |snapshot| u64::try_from(snapshot.core.age().as_millis()).ok()) }
}

/// Why it is not live, or NULL. Lives as long as `snapshot` and is not freed.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_last_error(
    snapshot: *const callsheet_snapshot_t,
) -> *const callsheet_error_t {
    let read = |snapshot: &callsheet_snapshot_t| {
        let error = snapshot.core.last_error()?;
        Some(std::ptr::from_ref(snapshot.last_error.get_or_init(|| callsheet_error_t::new(error))))
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, std::ptr::null(), read) }
}

/// The same snapshot once more, to be freed on its own: for keeping one that a callback was called with. Copies no
/// instance. NULL for NULL.
///
/// # Safety
/// `snapshot` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_clone(
    snapshot: *const callsheet_snapshot_t,
) -> *mut callsheet_snapshot_t {
    let clone = |snapshot: &callsheet_snapshot_t| {
        Some(Box::into_raw(Box::new(callsheet_snapshot_t::new(snapshot.core.clone()))))
    };
    // SAFETY: as the caller promises.
    unsafe { of(snapshot, std::ptr::null_mut(), clone) }
}

/// Frees a snapshot, and with it its instances and texts. NULL is fine.
///
/// # Safety
/// `snapshot` is NULL, or was given out by a call and not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_free(snapshot: *mut callsheet_snapshot_t) {
    // SAFETY: as the caller promises.
    unsafe { free(snapshot) }
}

/// The word that every language uses for a freshness, such as "live". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_freshness_name(freshness: i32) -> *const c_char {
    let name = match freshness {
        1 => c"live",
        2 => c"stale",
        3 => c"disk",
        4 => c"fallback",
        _ => c"",
    };
    name.as_ptr()
}
