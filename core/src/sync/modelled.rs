//! The stand-ins, over loom's locks and atomics, for what loom lacks: an `Arc` with a `Weak`, `OnceLock`, `ArcSwap`.
//! Each takes the steps of the original on memory that loom watches, but for `ArcSwap`, whose insides are taken for right.

use std::ops::Deref;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Condvar;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// `std::sync::Arc` with its counts, except that the value stays for as long as a [`Weak`] does.
pub(crate) struct Arc<T>(std::sync::Arc<Counted<T>>);

pub(crate) struct Weak<T>(std::sync::Arc<Counted<T>>);

struct Counted<T> {
    strong: AtomicUsize,
    value: T,
}

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Arc(std::sync::Arc::new(Counted { strong: AtomicUsize::new(1), value }))
    }

    pub(crate) fn downgrade(this: &Self) -> Weak<T> {
        Weak(this.0.clone())
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        this.0.strong.load(Ordering::Relaxed)
    }

    pub(crate) fn as_ptr(this: &Self) -> *const T {
        &this.0.value
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.0.strong.fetch_add(1, Ordering::Relaxed);
        Arc(self.0.clone())
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        let before = self.0.strong.fetch_sub(1, Ordering::Release);
        assert!(before > 0, "dropped more often than held");
        if before == 1 {
            fence(Ordering::Acquire);
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Weak<T> {
    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        let more = |count| (count > 0).then_some(count + 1);
        let held = self.0.strong.fetch_update(Ordering::Acquire, Ordering::Relaxed, more);
        held.is_ok().then(|| Arc(self.0.clone()))
    }

    pub(crate) fn strong_count(&self) -> usize {
        self.0.strong.load(Ordering::Relaxed)
    }
}

/// `std::sync::OnceLock`, as far as it is set and read.
pub(crate) struct OnceLock<T> {
    set: AtomicBool,
    cell: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        OnceLock { set: AtomicBool::new(false), cell: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.set.load(Ordering::Acquire) { self.cell.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.cell.set(value)?;
        self.set.store(true, Ordering::Release);
        Ok(())
    }
}

/// `arc_swap::ArcSwap` as what it promises: a load gives one of the values that were stored, whole, and holds it.
pub(crate) struct ArcSwap<T>(Mutex<std::sync::Arc<T>>);

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        ArcSwap(Mutex::new(std::sync::Arc::new(value)))
    }

    fn lock(&self) -> MutexGuard<'_, std::sync::Arc<T>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn load(&self) -> std::sync::Arc<T> {
        self.lock().clone()
    }

    pub(crate) fn store(&self, value: std::sync::Arc<T>) {
        let before = std::mem::replace(&mut *self.lock(), value);
        // Outside the lock, as outside the swap.
        drop(before);
    }
}

/// Wakes the thread of a model that waits for it, and stays rung until then. Loom's own wakes for nothing as well, which
/// is one more branch at every wait than three threads can bear.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.heard.notify_one();
    }

    pub(crate) fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.heard.wait(rung).unwrap();
        }
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.ring();
    }
}

/// `future` on a thread of a model. Never woken, it is a deadlock that loom reports.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let bell = std::sync::Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => bell.wait(),
        }
    }
}
