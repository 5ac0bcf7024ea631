//! What changed between two snapshots, found by comparing.

use callsheet::Changes;

use crate::boundary::{free, quiet};
use crate::instance::callsheet_instance_t;
use crate::snapshot::callsheet_snapshot_t;

/// What became of an instance between two snapshots.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_change {
    /// Its id is new.
    CALLSHEET_CHANGE_ADDED = 1,
    /// Its id is gone; this is how it was.
    CALLSHEET_CHANGE_REMOVED = 2,
    /// Its id stayed but it says something else now; this is how it is.
    CALLSHEET_CHANGE_CHANGED = 3,
}

/// The difference between two snapshots, each list sorted by id.
pub struct callsheet_changes_t(Changes);

impl callsheet_changes_t {
    fn list(&self, change: i32) -> &[std::sync::Arc<callsheet::Instance>] {
        match change {
            1 => &self.0.added,
            2 => &self.0.removed,
            3 => &self.0.changed,
            _ => &[],
        }
    }
}

/// What became of the instances of `previous` in `snapshot`. A `previous` of NULL had none. NULL when `snapshot` is.
///
/// # Safety
/// `snapshot` and `previous` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_snapshot_changes_since(
    snapshot: *const callsheet_snapshot_t,
    previous: *const callsheet_snapshot_t,
) -> *mut callsheet_changes_t {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let (snapshot, previous) = unsafe { (snapshot.as_ref(), previous.as_ref()) };
        let Some(snapshot) = snapshot else { return std::ptr::null_mut() };
        let changes = match previous {
            Some(previous) => snapshot.core.changes_since(&previous.core),
            None => {
                let mut changes = Changes::default();
                changes.added = snapshot.core.instances().to_vec();
                changes
            }
        };
        Box::into_raw(Box::new(callsheet_changes_t(changes)))
    })
}

/// How many instances there are of this kind of change; 0 for NULL.
///
/// # Safety
/// `changes` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_changes_len(changes: *const callsheet_changes_t, change: i32) -> usize {
    // SAFETY: as the caller promises.
    quiet(0, || unsafe { changes.as_ref() }.map_or(0, |changes| changes.list(change).len()))
}

/// The instance at `index` of this kind of change. Lives as long as `changes`; NULL beyond the last.
///
/// # Safety
/// `changes` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_changes_get(
    changes: *const callsheet_changes_t,
    change: i32,
    index: usize,
) -> *const callsheet_instance_t {
    quiet(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        let instance = unsafe { changes.as_ref() }.and_then(|changes| changes.list(change).get(index));
        instance.map_or(std::ptr::null(), |instance| std::ptr::from_ref(callsheet_instance_t::of(instance)))
    })
}

/// Frees changes, and with them their instances. NULL is fine.
///
/// # Safety
/// `changes` is NULL, or was given out by a call and not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_changes_free(changes: *mut callsheet_changes_t) {
    // SAFETY: as the caller promises.
    unsafe { free(changes) }
}
