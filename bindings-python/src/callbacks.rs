//! The core's dispatcher, for the Python thread that serves it. The core knows callbacks by a number only: the
//! functions stay in Python, so that no thread of the core's ever holds or drops a Python object.

use std::sync::{Arc, Mutex, MutexGuard};

use callsheet::Filter;
use callsheet::host::{self, Event, Owned};
use pyo3::prelude::*;

use crate::argument::number;
use crate::call::Call;
use crate::error::Result;
use crate::snapshot::Snapshots;
use crate::wait::block;

/// What the core keeps of a callback.
pub(crate) struct Target {
    /// The number under which the package has the function.
    pub(crate) token: u64,
    /// With what the service was asked for: snapshots are converted once for each filter.
    pub(crate) filter: Filter,
}

pub(crate) type Callbacks = host::Dispatcher<Target>;

/// Hands out callbacks to run, to the one thread that calls `next`.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Dispatcher {
    callbacks: Owned<Callbacks>,
    snapshots: Arc<Snapshots>,
}

impl Dispatcher {
    pub(crate) fn new(callbacks: Callbacks, snapshots: Arc<Snapshots>) -> Self {
        Dispatcher { callbacks: Owned::new(callbacks), snapshots }
    }
}

#[pymethods]
impl Dispatcher {
    /// The next callback to run; None once closed. One at a time is to be asked for.
    fn next(&self) -> Result<Call> {
        let (callbacks, snapshots) = (self.callbacks.get()?.clone(), self.snapshots.clone());
        Ok(Call::new(async move { Ok(callbacks.next().await) }, |py, next| match next {
            Some(job) => {
                let job = Job { token: job.callback.token, job: Mutex::new(Some(job)), snapshots };
                Ok(Bound::new(py, job)?.into_any())
            }
            None => Ok(py.None().into_bound(py)),
        }))
    }

    /// End one subscription; wait for its callback if it runs on another thread.
    fn cancel(&self, id: u64, limit: &Bound<'_, PyAny>) -> Result<()> {
        let callbacks = self.callbacks.get()?;
        let within = host::seconds("timeout", number("timeout", limit)?)?;
        block(limit.py(), callbacks.cancel(id, std::thread::current().id(), within))
    }

    /// End all of them.
    fn close(&self, limit: &Bound<'_, PyAny>) -> Result<()> {
        let callbacks = self.callbacks.get()?;
        let within = host::seconds("timeout", number("timeout", limit)?)?;
        block(limit.py(), callbacks.close(std::thread::current().id(), within))
    }
}

/// A callback to run now.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Job {
    #[pyo3(get)]
    token: u64,
    job: Mutex<Option<host::Job<Target>>>,
    snapshots: Arc<Snapshots>,
}

impl Job {
    fn lock(&self) -> MutexGuard<'_, Option<host::Job<Target>>> {
        self.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[pymethods]
impl Job {
    /// Whether its subscription has ended meanwhile: then it is not to be called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.lock().as_ref().is_none_or(host::Job::is_cancelled)
    }

    /// What to call it with: a snapshot, or the name of a state.
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let said = self.lock().as_ref().map(|job| (job.event.clone(), job.callback.clone()));
        match said {
            Some((Event::Snapshot(core), target)) => {
                Ok(self.snapshots.object(py, &target.filter, core)?.into_any())
            }
            Some((Event::State(change), _)) => Ok(change.state.as_str().into_pyobject(py)?.into_any()),
            _ => Ok(py.None().into_bound(py)),
        }
    }

    /// Say that the callback has returned.
    fn finish(&self) {
        let job = self.lock().take();
        drop(job);
    }
}
