//! Watches: iterators that block until the next snapshot, or list of names, and end when closed.

use std::sync::Arc;

use callsheet::Filter;
use callsheet::host::Owned;
use pyo3::prelude::*;

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::snapshot::{Snapshot, Snapshots};
use crate::wait::block;

/// An iterator of the snapshots of a service: the current one first, then one per change, the latest only.
///
/// It blocks between changes and ends when it or the client is closed, from any thread. Dropping it closes it.
#[pyclass(frozen, module = "callsheet")]
pub(crate) struct Watch {
    watch: Owned<Arc<callsheet::Watch>>,
    filter: Filter,
    snapshots: Arc<Snapshots>,
    /// Keeps the client alive for `connect(…).watch(…)`.
    _client: callsheet::Client,
}

impl Watch {
    pub(crate) fn new(client: &Client, watch: callsheet::Watch, filter: Filter) -> Self {
        let (snapshots, _client) = (client.snapshots.clone(), client.core.clone());
        Watch { watch: Owned::new(Arc::new(watch)), filter, snapshots, _client }
    }
}

#[pymethods]
impl Watch {
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, Snapshot>>> {
        let watch = self.watch.get()?;
        let next = block(py, async { Ok(watch.next().await) })?;
        Ok(next.map(|core| self.snapshots.object(py, &self.filter, core)).transpose()?)
    }

    /// The next snapshot for an event loop; None once ended.
    #[pyo3(name = "_next")]
    fn next(&self) -> Result<Call> {
        let (watch, snapshots, filter) =
            (self.watch.get()?.clone(), self.snapshots.clone(), self.filter.clone());
        Ok(Call::new(async move { Ok(watch.next().await) }, move |py, next| match next {
            Some(core) => Ok(snapshots.object(py, &filter, core)?.into_any()),
            None => Ok(py.None().into_bound(py)),
        }))
    }

    /// How many snapshots came and went without being read.
    #[getter]
    fn skipped(&self) -> Result<u64> {
        Ok(self.watch.get()?.skipped())
    }

    /// Whether it was closed, by itself or with its client.
    #[getter]
    fn closed(&self) -> bool {
        self.watch.get().map_or(true, |watch| watch.is_closed())
    }

    /// End it; every thread that waits for the next snapshot sees the end.
    fn close(&self) -> Result<()> {
        self.watch.get()?.close();
        Ok(())
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        // In a forked child there is nothing to end, and no reason to hide what the block raised.
        let _ = self.close();
    }

    fn __repr__(&self) -> &'static str {
        if self.closed() { "<Watch closed>" } else { "<Watch open>" }
    }
}

/// An iterator of the names of all services: the sorted list, the current one first, then one per change.
///
/// It blocks between changes and ends when it or the client is closed, from any thread.
#[pyclass(frozen, module = "callsheet")]
pub(crate) struct NamesWatch {
    watch: Owned<Arc<callsheet::NamesWatch>>,
    _client: callsheet::Client,
}

impl NamesWatch {
    pub(crate) fn new(client: &Client, watch: callsheet::NamesWatch) -> Self {
        NamesWatch { watch: Owned::new(Arc::new(watch)), _client: client.core.clone() }
    }
}

#[pymethods]
impl NamesWatch {
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Vec<String>>> {
        let watch = self.watch.get()?;
        let next = block(py, async { Ok(watch.next().await) })?;
        Ok(next.map(|names| names.to_vec()))
    }

    /// The next list for an event loop; None once ended.
    #[pyo3(name = "_next")]
    fn next(&self) -> Result<Call> {
        let watch = self.watch.get()?.clone();
        let next = async move { Ok(watch.next().await) };
        Ok(Call::new(next, |py, next| next.map(|names| names.to_vec()).into_pyobject(py)))
    }

    /// End it; every thread that waits for the next list sees the end.
    fn close(&self) -> Result<()> {
        self.watch.get()?.close();
        Ok(())
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        let _ = self.close();
    }

    fn __repr__(&self) -> &'static str {
        "<NamesWatch>"
    }
}
