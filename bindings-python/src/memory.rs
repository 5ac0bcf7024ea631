//! The registry `memory:name` from outside, for tests.

use pyo3::prelude::*;

use crate::argument::{seconds, text};
use crate::error::Result;
use crate::instance::Instance;

/// The registry that clients of `memory:name` in this process share, with the faults that real ones have.
///
/// It is made if there is none yet, and kept while anyone holds it.
#[pyclass(frozen, module = "callsheet.memory")]
pub(crate) struct Memory {
    core: callsheet::memory::Memory,
    name: String,
}

#[pymethods]
impl Memory {
    #[new]
    fn new(name: &Bound<'_, PyAny>) -> Result<Self> {
        let name = text("name", name)?;
        Ok(Memory { core: callsheet::memory::Memory::named(&name)?, name })
    }

    /// The URL of its clients.
    #[getter]
    fn url(&self) -> String {
        format!("memory:{}", self.name)
    }

    /// Every request fails with `unavailable` and every watch breaks, until switched off.
    #[pyo3(signature = (on=true))]
    fn unreachable(&self, on: bool) {
        self.core.unreachable(on);
    }

    /// Every request fails with `permission_denied`, until switched off.
    #[pyo3(signature = (on=true))]
    fn refuse(&self, on: bool) {
        self.core.refuse(on);
    }

    /// Every request takes this many seconds; 0 switches it off.
    fn slow(&self, delay: &Bound<'_, PyAny>) -> Result<()> {
        self.core.slow(seconds("delay", delay)?);
        Ok(())
    }

    /// Reads succeed and are empty, as from a cluster without a leader, until switched off.
    #[pyo3(signature = (on=true))]
    fn answer_empty(&self, on: bool) {
        self.core.answer_empty(on);
    }

    /// Watches get whole lists, as from Consul, instead of changes, as from etcd.
    #[pyo3(signature = (on=true))]
    fn answer_with_lists(&self, on: bool) {
        self.core.answer_with_lists(on);
    }

    /// Every lease runs out now.
    fn lose_leases(&self) {
        self.core.lose_leases();
    }

    /// The history up to now is forgotten: a watch that has not followed to its end must load again.
    fn compact(&self) {
        self.core.compact();
    }

    /// The same data under another cluster identity, with a revision that begins anew.
    fn change_identity(&self) {
        self.core.change_identity();
    }

    /// Everything is gone, and the identity is another: a cluster restarted on an empty disk.
    fn wipe(&self) {
        self.core.wipe();
    }

    /// Write an instance as another tool would: without an owner, and without a lease.
    ///
    /// Raises:
    ///     InvalidArgument: The instance is not valid.
    fn put(&self, instance: &Bound<'_, Instance>) -> Result<()> {
        Ok(self.core.put((*instance.get().core).clone())?)
    }

    /// Delete an instance behind its owner's back.
    fn delete(&self, service: &Bound<'_, PyAny>, id: &Bound<'_, PyAny>) -> Result<()> {
        self.core.delete(&text("service", service)?, &text("id", id)?);
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Memory {:?}>", self.name)
    }
}
