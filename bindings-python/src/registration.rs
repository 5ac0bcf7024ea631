//! A running registration, and what a program says of itself to get one.

use std::str::FromStr;

use callsheet::{Changeset, RegistrationHandle, State, Status};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::argument::{pairs, port, seconds, text, texts, timeout, weight};
use crate::call::Call;
use crate::check::Check;
use crate::error::{Result, exception, guarded};
use crate::instance::Instance;

/// What to register, from the arguments of `Client.register`.
pub(crate) fn specification(
    service: &Bound<'_, PyAny>,
    port_: &Bound<'_, PyAny>,
    options: &Bound<'_, PyDict>,
) -> Result<callsheet::Registration> {
    let mut registration = callsheet::Registration::new(text("service", service)?).port(port(port_)?);
    for (name, value) in options {
        let name: String = name.extract()?;
        registration = match name.as_str() {
            "address" => registration.address(text("address", &value)?),
            "id" => registration.id(text("id", &value)?),
            "scheme" => registration.scheme(text("scheme", &value)?),
            "zone" => registration.zone(text("zone", &value)?),
            "version" => registration.version(text("version", &value)?),
            "tags" => texts("tags", &value)?.into_iter().fold(registration, |made, tag| made.tag(tag)),
            "metadata" => pairs("metadata", &value)?
                .into_iter()
                .fold(registration, |made, (key, value)| made.metadata(key, value)),
            "weight" => registration.weight(weight(&value)?),
            "ttl" => registration.ttl(seconds("ttl", &value)?),
            "drain" => registration.drain(seconds("drain", &value)?),
            "check" => registration.check(value.cast::<Check>().map_err(PyErr::from)?.get().0.clone()),
            "ready" => registration.hold(!value.is_truthy()?),
            "wait_for_port" => registration.wait_for_port(value.is_truthy()?),
            _ => {
                let message = format!("register() got an unexpected keyword argument '{name}'");
                return Err(PyTypeError::new_err(message).into());
            }
        };
    }
    Ok(registration)
}

/// A registration that runs until it is closed.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Registration(pub(crate) RegistrationHandle);

#[pymethods]
impl Registration {
    #[getter]
    fn id(&self) -> String {
        self.0.id()
    }

    #[getter]
    fn instance(&self) -> Instance {
        self.0.instance().into()
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.0.state().as_str()
    }

    #[getter]
    fn last_error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.last_error().map(|error| exception(py, &error).into_value(py).into_bound(py).into_any())
    }

    fn ready(&self, limit: Option<&Bound<'_, PyAny>>) -> Result<Call> {
        let (core, limit) = (self.0.clone(), timeout(limit)?);
        Ok(Call::unit(async move { core.ready(limit).await }))
    }

    fn wait(&self, state: &Bound<'_, PyAny>, limit: Option<&Bound<'_, PyAny>>) -> Result<Call> {
        let (wanted, limit) = (State::from_str(&text("state", state)?)?, timeout(limit)?);
        let core = self.0.clone();
        Ok(Call::unit(async move { core.wait(wanted, limit).await }))
    }

    fn update(
        &self,
        metadata: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyAny>>,
        weight: Option<&Bound<'_, PyAny>>,
    ) -> Result<Call> {
        let mut changes = Changeset::new();
        if let Some(metadata) = metadata {
            changes = changes.metadata(pairs("metadata", metadata)?);
        }
        if let Some(tags) = tags {
            changes = changes.tags(texts("tags", tags)?);
        }
        if let Some(weight) = weight {
            changes = changes.weight(self::weight(weight)?);
        }
        let core = self.0.clone();
        Ok(Call::unit(async move { core.update(changes).await }))
    }

    fn beat(&self) -> Result<()> {
        guarded(|| Ok(self.0.beat()?))
    }

    fn set_status(&self, status: &Bound<'_, PyAny>, note: &Bound<'_, PyAny>) -> Result<Call> {
        let (wanted, note) = (Status::from_str(&text("status", status)?)?, text("note", note)?);
        let core = self.0.clone();
        Ok(Call::unit(async move { core.set_status(wanted, &note).await }))
    }

    fn drain(&self) -> Call {
        let core = self.0.clone();
        Call::unit(async move { core.drain().await })
    }

    fn close(&self) -> Call {
        let core = self.0.clone();
        Call::unit(async move { core.close().await })
    }
}
