//! Marks: a number that a program keeps with an instance and is told of once the instance is gone, for those that keep an
//! object of their own for each, such as a binding of a language with a garbage collector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use callsheet::host::PerProcess;

use crate::boundary::quiet;
use crate::instance::callsheet_instance_t;

/// Marks of instances that are gone. As many at most as the program gave out and did not take back.
static RELEASED: PerProcess<Mutex<Vec<u64>>> = PerProcess::new(Mutex::default);

/// The mark of one instance; 0 is none. Dropping it releases it.
#[derive(Default)]
pub(crate) struct Mark(AtomicU64);

impl Drop for Mark {
    fn drop(&mut self) {
        let mark = *self.0.get_mut();
        if mark != 0 {
            RELEASED.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        }
    }
}

/// What `callsheet_instance_set_mark` marked `instance` with; 0 for one that is not marked, and for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_mark(instance: *const callsheet_instance_t) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { instance.as_ref() }.map_or(0, |instance| instance.mark.0.load(Ordering::Acquire))
}

/// Marks an instance of a snapshot or pick, unless it is marked, and gives the mark that it has now. An instance that did
/// not change is the same one, with its mark, in every snapshot and pick of the process. Once it is in none of them its mark
/// is given back by `callsheet_marks_released`. 0 for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_set_mark(
    instance: *const callsheet_instance_t,
    mark: u64,
) -> u64 {
    // SAFETY: as the caller promises.
    let Some(instance) = (unsafe { instance.as_ref() }) else { return 0 };
    match instance.mark.0.compare_exchange(0, mark, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => mark,
        Err(present) => present,
    }
}

/// Gives back at most `len` marks of instances that are gone, each once, and says how many. Those that mark instances have
/// to ask from time to time.
///
/// # Safety
/// `marks` is NULL, or as many as `len` may be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_marks_released(marks: *mut u64, len: usize) -> usize {
    quiet(0, || {
        if marks.is_null() {
            return 0;
        }
        let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = released.len().min(len);
        for (at, mark) in released.drain(..count).enumerate() {
            // SAFETY: `at` is below `len`.
            unsafe { marks.add(at).write(mark) };
        }
        count
    })
}
