//! What a forked child may touch: nothing of its parent's. Owns the process generation, the wrapper that every
//! handle lives in, and statics that a child makes anew. A child never takes a lock that a parent's thread may hold.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// 0 until the first look; then 1 in the process that looked first, and one more in every fork below it.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Counts the forks between this process and the one that loaded the library.
pub(crate) fn generation() -> u64 {
    // The common case is one load.
    match GENERATION.load(Ordering::Relaxed) {
        0 => begin(),
        generation => generation,
    }
}

/// No `Once`: a child forked while another thread is inside one would wait for that thread for ever. Two threads that
/// come first together both leave a handler, and a fork then counts for two, which is as good as one.
#[cold]
fn begin() -> u64 {
    #[cfg(unix)]
    // SAFETY: the handler is a plain function that lives for ever and does one atomic addition, which is
    // async-signal-safe.
    unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    }
    let begun = GENERATION.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    begun.map_or_else(|generation| generation, |_| 1)
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A handle's contents. In a forked child it refuses to be used and leaks when dropped, because the threads that
/// would answer it, and perhaps the holders of its locks, exist in the parent only.
pub struct Owned<T> {
    value: ManuallyDrop<T>,
    generation: u64,
}

impl<T> Owned<T> {
    /// `value`, belonging to this process.
    pub fn new(value: T) -> Self {
        Owned { value: ManuallyDrop::new(value), generation: generation() }
    }

    /// The contents, or `forked` in a child.
    ///
    /// # Errors
    /// `forked`.
    pub fn get(&self) -> Result<&T> {
        if self.is_ours() { Ok(&self.value) } else { Err(Error::forked()) }
    }

    /// The contents, to change them, or `forked` in a child.
    pub(crate) fn get_mut(&mut self) -> Result<&mut T> {
        if self.is_ours() { Ok(&mut self.value) } else { Err(Error::forked()) }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// The contents without the look: only for what touches no lock and no other thread.
    pub(crate) fn peek(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Owned { value: self.value.clone(), generation: self.generation }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: `value` is dropped here only, and `self` is gone afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

/// A process-wide value that each process makes for itself on first use. The parent's is leaked in a child.
pub struct PerProcess<T: 'static> {
    cell: AtomicPtr<Made<T>>,
    make: fn() -> T,
}

struct Made<T> {
    generation: u64,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// One that `make` makes.
    pub const fn new(make: fn() -> T) -> Self {
        PerProcess { cell: AtomicPtr::new(std::ptr::null_mut()), make }
    }
}

impl<T: Send + Sync> Deref for PerProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let generation = generation();
        let current = self.cell.load(Ordering::Acquire);
        // SAFETY: what the cell points to comes from `Box::into_raw` below and is never freed once published.
        if let Some(made) = unsafe { current.as_ref() }
            && made.generation == generation
        {
            return &made.value;
        }
        let fresh = Box::into_raw(Box::new(Made { generation, value: (self.make)() }));
        match self.cell.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just published, and never freed.
            Ok(_) => unsafe { &(*fresh).value },
            Err(winner) => {
                // SAFETY: `fresh` lost the race, so no other thread has seen it; `winner` was published by a thread
                // of this process and is never freed.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &(*winner).value
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static NAMES: PerProcess<Mutex<Vec<u64>>> = PerProcess::new(|| Mutex::new(vec![generation()]));

    #[test]
    fn a_value_is_made_once_per_process() {
        NAMES.lock().unwrap().push(7);
        assert!(NAMES.lock().unwrap().contains(&7));
    }

    #[cfg(unix)]
    #[test]
    fn a_child_leaks_what_the_parent_owned_and_makes_its_own() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                // Only a child that wrongly drops gets here before `_exit`.
                std::process::abort();
            }
        }
        let owned = Owned::new(Loud);
        NAMES.lock().unwrap().push(8);
        // SAFETY: the child calls nothing but the code under test and `_exit`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let refused = owned.get().is_err();
            drop(owned);
            let fresh = NAMES.lock().map(|names| names.len() == 1).unwrap_or(false);
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { libc::_exit(if refused && fresh { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        std::mem::forget(owned);
        assert_eq!(status, 0);
    }
}
