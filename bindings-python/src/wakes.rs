//! What of one event loop's calls has news. The core's threads put numbers in and ring once until the loop has looked;
//! they touch no Python object and never wait for the GIL.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use callsheet::host::{Outbox, Owned};
use pyo3::prelude::*;

use crate::error::Result;

/// The numbers of calls that have news. A loop watches `fileno` for them, or a thread calls `wait`.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Wakes {
    numbers: Owned<Arc<Outbox<u64>>>,
    bell: Owned<Arc<Bell>>,
    next: AtomicU64,
}

/// How the loop hears that there is something to take.
enum Bell {
    /// A byte in a descriptor.
    #[cfg(unix)]
    Descriptor { loops: std::os::unix::net::UnixStream, ours: std::os::unix::net::UnixStream },
    /// A thread that waits.
    Thread { heard: Mutex<Heard>, changed: Condvar },
}

#[derive(Default)]
struct Heard {
    rung: bool,
    /// Rung, and the loop has not looked since.
    unheard: bool,
    ended: bool,
}

/// How often a loop that was called and does not look is called again, which is how one that was closed is noticed.
const AGAIN: Duration = Duration::from_secs(1);

impl Bell {
    fn thread() -> Self {
        Bell::Thread { heard: Mutex::default(), changed: Condvar::new() }
    }

    #[cfg(unix)]
    fn descriptor() -> PyResult<Self> {
        let (loops, ours) = std::os::unix::net::UnixStream::pair()?;
        loops.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        Ok(Bell::Descriptor { loops, ours })
    }

    #[cfg(not(unix))]
    fn descriptor() -> PyResult<Self> {
        Err(pyo3::exceptions::PyNotImplementedError::new_err(
            "this system's event loops watch no descriptors of ours",
        ))
    }

    fn ring(&self) {
        match self {
            #[cfg(unix)]
            Bell::Descriptor { ours, .. } => {
                use std::io::Write;
                // A byte for each look of the loop's, so that there is always room; a full one is rung already.
                let _ = (&*ours).write(&[0]);
            }
            Bell::Thread { heard, changed } => {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                (heard.rung, heard.unheard) = (true, true);
                changed.notify_all();
            }
        }
    }

    fn end(&self) {
        if let Bell::Thread { heard, changed } = self {
            heard.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            changed.notify_all();
        }
    }

    /// Before the numbers are taken, so that what comes later rings again.
    fn heard(&self) {
        match self {
            #[cfg(unix)]
            Bell::Descriptor { loops, .. } => {
                use std::io::Read;
                // Empty when the loop looks without having been rung for.
                let _ = (&*loops).read(&mut [0; 64]);
            }
            Bell::Thread { heard, .. } => {
                heard.lock().unwrap_or_else(PoisonError::into_inner).unheard = false;
            }
        }
    }

    fn fileno(&self) -> Option<i32> {
        match self {
            #[cfg(unix)]
            Bell::Descriptor { loops, .. } => Some(std::os::fd::AsRawFd::as_raw_fd(loops)),
            Bell::Thread { .. } => None,
        }
    }

    fn wait(&self) -> bool {
        match self {
            #[cfg(unix)]
            Bell::Descriptor { .. } => false,
            Bell::Thread { heard, changed } => {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                while !heard.rung && !heard.ended {
                    if !heard.unheard {
                        heard = changed.wait(heard).unwrap_or_else(PoisonError::into_inner);
                        continue;
                    }
                    let (guard, waited) =
                        changed.wait_timeout(heard, AGAIN).unwrap_or_else(PoisonError::into_inner);
                    heard = guard;
                    if waited.timed_out() {
                        break;
                    }
                }
                let ended = std::mem::take(&mut heard.ended);
                // What rang is for the thread that comes after this one, if one does.
                heard.rung &= ended;
                !ended
            }
        }
    }
}

/// Puts its number in, once until its call is polled again.
pub(crate) struct News {
    pub(crate) number: u64,
    queued: AtomicBool,
    numbers: Owned<Arc<Outbox<u64>>>,
}

impl News {
    /// What a call is polled with.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        self.queued.store(false, Ordering::Release);
        Waker::from(self.clone())
    }
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        if let Ok(numbers) = self.numbers.get()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            numbers.push(self.number);
        }
    }
}

impl Wakes {
    pub(crate) fn news(&self) -> Arc<News> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(News { number, queued: AtomicBool::new(false), numbers: self.numbers.clone() })
    }
}

#[pymethods]
impl Wakes {
    /// For a loop that watches a descriptor, or for a thread that waits.
    ///
    /// Raises:
    ///     NotImplementedError: A descriptor is asked for where the system has none that a loop could watch.
    #[new]
    fn new(descriptor: bool) -> PyResult<Self> {
        let bell = if descriptor { Bell::descriptor()? } else { Bell::thread() };
        let bell = Arc::new(bell);
        let rung = bell.clone();
        let numbers = Owned::new(Outbox::new(move || rung.ring()));
        Ok(Wakes { numbers, bell: Owned::new(bell), next: AtomicU64::new(1) })
    }

    /// What the loop is to watch for reading; None for a thread.
    fn fileno(&self) -> Result<Option<i32>> {
        Ok(self.bell.get()?.fileno())
    }

    /// The numbers that came since the last look.
    fn take(&self) -> Result<Vec<u64>> {
        self.bell.get()?.heard();
        Ok(self.numbers.get()?.take())
    }

    /// Block this thread until there is something to take, without the GIL. False once ended.
    fn wait(&self, py: Python<'_>) -> Result<bool> {
        let bell = self.bell.get()?;
        Ok(py.detach(|| bell.wait()))
    }

    /// The thread that waits has nothing to wait for any more.
    fn end(&self) {
        if let Ok(bell) = self.bell.get() {
            bell.end();
        }
    }
}
