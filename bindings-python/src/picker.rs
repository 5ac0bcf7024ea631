//! Pickers and picks. A pick costs one object and nothing else: what it shows is made when asked for.

use std::sync::Arc;

use callsheet::Outcome;
use pyo3::exceptions::{PyBaseException, PyException, PyStopIteration, PyTypeError};
use pyo3::prelude::*;

use crate::argument::{self, seconds};
use crate::call::Call;
use crate::error::{Result, guarded};
use crate::instance::{Instance, Instances};

/// A picker that was opened, to be made a `Picker` of.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct OpenPicker {
    pub(crate) core: callsheet::Picker,
    pub(crate) instances: Arc<Instances>,
    pub(crate) client: callsheet::Client,
}

/// What `callsheet.Picker` and `callsheet.aio.Picker` are made of.
#[pyclass(frozen, subclass, module = "callsheet._callsheet")]
pub(crate) struct Picker {
    core: callsheet::Picker,
    instances: Arc<Instances>,
    client: callsheet::Client,
}

#[pymethods]
impl Picker {
    #[new]
    fn new(opened: &OpenPicker) -> Self {
        let OpenPicker { core, instances, client } = opened;
        Picker { core: core.clone(), instances: instances.clone(), client: client.clone() }
    }

    /// The service's name.
    #[getter]
    fn service(&self) -> &str {
        self.core.service()
    }

    /// The policy it was opened with.
    #[getter]
    fn policy(&self) -> &'static str {
        self.core.policy().as_str()
    }

    /// Pick one instance to call. Without a timeout it never waits and does no I/O.
    ///
    /// Report how the call went by leaving a `with` block of the pick, or with `Pick.done`.
    ///
    /// Args:
    ///     timeout: Seconds to wait for an instance to come.
    ///     key: Such as a user or a file: ``ring_hash`` and ``maglev`` give the same instance for the same key, in
    ///         every process and language that sees the same instances; without one they pick any. Means nothing to
    ///         the other policies.
    ///
    /// Raises:
    ///     NoInstances: There is none, or none came.
    ///     Closed: The client is closed.
    #[pyo3(signature = (timeout=None, *, key=None))]
    fn pick<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        // How to wait is the subclass's to say.
        if timeout.is_some() {
            return Ok(slf.call_method1("_wait", (Self::picking(slf, timeout, key)?,))?);
        }
        let picker = &slf.get().core;
        let picked = match key {
            None => guarded(|| Ok(picker.pick()?))?,
            Some(key) => {
                let key = argument::key(key)?;
                guarded(|| Ok(picker.pick_key(&key)?))?
            }
        };
        Ok(Bound::new(slf.py(), Pick::of(slf, picked))?.into_any())
    }

    /// A first instance, waited for as long as one request may take unless a timeout says otherwise.
    #[pyo3(signature = (limit, key=None))]
    fn picking<'py>(
        slf: &Bound<'py, Self>,
        limit: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
    ) -> Result<Call> {
        let (core, picker) = (slf.get().core.clone(), slf.clone().unbind());
        let limit = limit.map_or(Ok(slf.get().client.timeout()), |limit| seconds("timeout", limit))?;
        let key = key.map(argument::key).transpose()?;
        let pick = async move {
            match key {
                None => core.pick_within(limit).await,
                Some(key) => core.pick_key_within(&key, limit).await,
            }
        };
        Ok(Call::new(pick, move |py, picked| Bound::new(py, Pick::of(picker.bind(py), picked))))
    }

    /// Another instance than those whose ids are in `tried`, where there is another.
    #[pyo3(signature = (tried, key=None))]
    fn pick_other(slf: &Bound<'_, Self>, tried: Vec<String>, key: Option<&Bound<'_, PyAny>>) -> Result<Pick> {
        let key = key.map(argument::key).transpose()?;
        let picked = guarded(|| match &key {
            None => Ok(slf.get().core.pick_other(&tried)?),
            Some(key) => Ok(slf.get().core.pick_key_other(key, &tried)?),
        })?;
        Ok(Pick::of(slf, picked))
    }

    /// The ids of the instances that are ejected now, because calls to them failed; see `Ejection`.
    #[getter]
    fn ejected(&self) -> Result<Vec<String>> {
        guarded(|| Ok(self.core.ejected()?.iter().map(|instance| instance.id.clone()).collect()))
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        let (service, policy, count) = (self.core.service(), self.core.policy(), self.core.len());
        let noun = if count == 1 { "instance" } else { "instances" };
        format!("<Picker {service} {policy} {count} {noun}>")
    }
}

/// One picked instance, from the choice until the report.
///
/// As a context manager it reports success, time and exceptions at the end of the block; one that is dropped without
/// a report counts as a call that went well.
#[pyclass(module = "callsheet")]
pub(crate) struct Pick {
    /// Until the report.
    open: Option<callsheet::Pick>,
    /// After it.
    instance: Option<Arc<callsheet::Instance>>,
    picker: Py<Picker>,
}

impl Pick {
    fn of(picker: &Bound<'_, Picker>, picked: callsheet::Pick) -> Self {
        Pick { open: Some(picked), instance: None, picker: picker.clone().unbind() }
    }

    fn instance(&self) -> &Arc<callsheet::Instance> {
        match (&self.open, &self.instance) {
            (Some(pick), _) => pick.instance(),
            (None, Some(instance)) => instance,
            (None, None) => unreachable!("report keeps the instance"),
        }
    }

    #[inline]
    fn report(&mut self, outcome: Outcome) {
        if let Some(pick) = self.open.take() {
            self.instance = Some(pick.instance().clone());
            pick.done(outcome);
        }
    }
}

/// What an exception says of the call that raised it: who stops a call by Ctrl-C, cancellation or the end of a
/// generator says nothing of the instance, and all those are no `Exception`.
fn outcome(kind: &Bound<'_, PyAny>) -> PyResult<Outcome> {
    let failure = kind.cast::<pyo3::types::PyType>()?.is_subclass_of::<PyException>()?;
    Ok(if failure { Outcome::Failed } else { Outcome::Cancelled })
}

#[pymethods]
impl Pick {
    /// The instance's id.
    #[getter]
    fn id(&self) -> &str {
        &self.instance().id
    }

    /// An IP address or host name.
    #[getter]
    fn address(&self) -> &str {
        &self.instance().address
    }

    /// The port that it listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.instance().port
    }

    /// `scheme://address:port`, without a trailing slash.
    #[getter]
    fn url(&self) -> String {
        self.instance().url()
    }

    /// The instance.
    #[getter(instance)]
    fn instance_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Instance>> {
        self.picker.get().instances.object(py, self.instance())
    }

    /// Report how the call went; only the first report counts.
    ///
    /// Args:
    ///     ok: Whether it went well.
    ///     error: The exception that it failed with, if any. One that is no `Exception`, such as a cancellation, says
    ///         nothing about the instance.
    #[pyo3(signature = (ok=true, error=None))]
    fn done(&mut self, ok: bool, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let outcome = match error {
            Some(error) if !error.is_instance_of::<PyBaseException>() => {
                let kind = error.get_type().name()?;
                return Err(PyTypeError::new_err(format!("error must be an exception, not {kind}")));
            }
            Some(error) => outcome(error.get_type().as_any())?,
            None => Outcome::from(ok),
        };
        self.report(outcome);
        Ok(())
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __exit__(
        &mut self,
        kind: Option<&Bound<'_, PyAny>>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let outcome = kind.map_or(Ok(Outcome::Ok), outcome)?;
        self.report(outcome);
        Ok(())
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Reported {
        Reported(Some(slf.clone().unbind()))
    }

    fn __aexit__(
        &mut self,
        kind: Option<&Bound<'_, PyAny>>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Reported> {
        self.__exit__(kind, error, traceback)?;
        Ok(Reported(None))
    }

    fn __repr__(&self) -> String {
        let (instance, state) = (self.instance(), if self.open.is_some() { "under way" } else { "done" });
        format!("<Pick {} {} {state}>", instance.service, instance.id)
    }
}

/// What `async with` awaits of a pick: there is nothing to wait for.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Reported(Option<Py<Pick>>);

#[pymethods]
impl Reported {
    fn __await__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        let value = self.0.as_ref().map(|pick| pick.clone_ref(py));
        Err(PyStopIteration::new_err((value,)))
    }
}
