//! The client: every verb with its arguments read, waited for without the GIL, and its answer converted.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use callsheet::host::{Owned, Source, block_on_within};
use callsheet::{Code, Error, OptionValue, Options};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::argument::{integer, text, texts, timeout};
use crate::balance::PickerOptions;
use crate::call::Call;
use crate::callbacks::{Callbacks, Dispatcher, Target};
use crate::error::{Failure, Result, guarded};
use crate::filter::Filter;
use crate::picker::OpenPicker;
use crate::registration::{Registration, specification};
use crate::snapshot::Snapshots;
use crate::watch::{NamesWatch, Watch};

/// A connection to one registry.
#[pyclass(frozen, weakref, module = "callsheet._callsheet")]
pub(crate) struct Client {
    pub(crate) core: callsheet::Client,
    pub(crate) snapshots: Arc<Snapshots>,
    callbacks: Owned<Callbacks>,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Nobody is left to be told; the thread that serves the callbacks ends with this. One look is enough: it is
        // the wait for a running callback that would need more.
        if let Ok(callbacks) = self.callbacks.get() {
            let closing = callbacks.close(std::thread::current().id(), Duration::ZERO);
            let _ = std::pin::pin!(closing).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[pymethods]
impl Client {
    #[new]
    fn new(url: Option<&Bound<'_, PyAny>>, options: &Bound<'_, PyDict>) -> Result<Self> {
        let mut builder = callsheet::Client::builder();
        if let Some(url) = url {
            builder = builder.url(text("url", url).map_err(as_config)?);
        }
        builder = builder.options(read_options(options)?);
        guarded(|| {
            let core = builder.connect()?;
            let callbacks = Owned::new(Callbacks::new());
            Ok(Client { core, snapshots: Arc::new(Snapshots::new()), callbacks })
        })
    }

    #[getter]
    fn source(&self) -> &str {
        self.core.source()
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// For what is checked before it begins.
    fn check_open(&self) -> Result<()> {
        self.core.stats()?;
        if self.core.is_closed() {
            return Err(Error::new(Code::Closed, "this client is closed; open a new one").into());
        }
        Ok(())
    }

    fn register(
        &self,
        service: &Bound<'_, PyAny>,
        port: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> Result<Call> {
        let (core, specification) = (self.core.clone(), specification(service, port, options)?);
        let register = async move { core.register(specification).await };
        Ok(Call::new(register, |py, handle| Bound::new(py, Registration(handle))))
    }

    fn registration(&self, id: &Bound<'_, PyAny>) -> Result<Registration> {
        let id = text("id", id)?;
        guarded(|| Ok(Registration(self.core.registration(&id)?)))
    }

    fn lookup(&self, service: &Bound<'_, PyAny>, filter: &Filter) -> Result<Call> {
        let (core, service, wanted) = (self.core.clone(), text("service", service)?, filter.0.clone());
        Ok(self.snapshot(filter, async move { core.lookup_with(&service, &wanted).await }))
    }

    fn wait_for(
        &self,
        service: &Bound<'_, PyAny>,
        count: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
        filter: &Filter,
    ) -> Result<Call> {
        let (core, service, wanted) = (self.core.clone(), text("service", service)?, filter.0.clone());
        let (count, limit) = (integer("count", count)?, timeout(limit)?);
        let enough = usize::try_from(count).map_err(|_| {
            Error::new(Code::InvalidArgument, format!("count {count} is not allowed: use 0 or more"))
        })?;
        Ok(self.snapshot(filter, async move { core.wait_for_with(&service, &wanted, enough, limit).await }))
    }

    fn watch(&self, service: &Bound<'_, PyAny>, filter: &Filter) -> Result<Watch> {
        let service = text("service", service)?;
        guarded(|| {
            let watch = self.core.watch_with(&service, &filter.0)?;
            Ok(Watch::new(self, watch, filter.0.clone()))
        })
    }

    fn picker(&self, service: &Bound<'_, PyAny>, options: &PickerOptions) -> Result<Call> {
        let (service, options) = (text("service", service)?, options.0.clone());
        let (core, instances) = (self.core.clone(), self.snapshots.instances.clone());
        let client = core.clone();
        let open = async move { core.open_picker(&service, options).await };
        Ok(Call::new(open, |py, picker| Bound::new(py, OpenPicker { core: picker, instances, client })))
    }

    fn services(&self) -> Call {
        let core = self.core.clone();
        Call::new(async move { core.services().await }, |py, names| PyList::new(py, names.iter()))
    }

    fn watch_services(&self) -> Result<NamesWatch> {
        guarded(|| Ok(NamesWatch::new(self, self.core.watch_services()?)))
    }

    fn ping(&self) -> Call {
        let core = self.core.clone();
        Call::unit(async move { core.ping().await })
    }

    /// Text or number by name, as the core itself lists them.
    fn stats<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let stats = guarded(|| Ok(self.core.stats()?))?;
        let values = PyDict::new(py);
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(stats) {
            for (name, value) in fields {
                match value {
                    serde_json::Value::String(text) => values.set_item(name, text)?,
                    number => values.set_item(name, number.as_u64())?,
                }
            }
        }
        Ok(values)
    }

    fn count_callback_failure(&self) {
        self.core.count_callback_failure();
    }

    fn dispatcher(&self) -> Result<Dispatcher> {
        Ok(Dispatcher::new(self.callbacks.get()?.clone(), self.snapshots.clone()))
    }

    /// The callback known as `token` is to be called with the snapshots of a service.
    fn subscribe(&self, service: &Bound<'_, PyAny>, filter: &Filter, token: u64) -> Result<u64> {
        let service = text("service", service)?;
        guarded(|| {
            let watch = self.core.watch_with(&service, &filter.0)?;
            let target = Target { token, filter: filter.0.clone() };
            Ok(self.callbacks.get()?.subscribe(Source::Watch(watch), target)?)
        })
    }

    /// The callback known as `token` is to be called with the states of a registration.
    fn subscribe_states(&self, registration: &Registration, token: u64) -> Result<u64> {
        guarded(|| {
            let target = Target { token, filter: callsheet::Filter::new() };
            Ok(self.callbacks.get()?.subscribe(Source::States(registration.0.states()?), target)?)
        })
    }

    /// Withdraw and end everything but the callbacks, which the dispatcher closes.
    fn close(&self) -> Call {
        let (core, snapshots) = (self.core.clone(), self.snapshots.clone());
        Call::settled(async move { core.close().await }, move |py, closed| {
            snapshots.clear();
            Ok(closed.map(|()| py.None())?)
        })
    }
}

impl Client {
    /// A call that answers with a snapshot of what `filter` lets through.
    fn snapshot(
        &self,
        filter: &Filter,
        work: impl Future<Output = callsheet::Result<callsheet::Snapshot>> + Send + 'static,
    ) -> Call {
        let (filter, snapshots) = (filter.0.clone(), self.snapshots.clone());
        Call::new(work, move |py, snapshot| snapshots.object(py, &filter, snapshot))
    }
}

/// Options are `config` when wrong, whatever is wrong with them.
fn as_config(failure: Failure) -> Failure {
    match failure {
        Failure::Core(error) if error.code() == Code::InvalidArgument => {
            Error::new(Code::Config, error.message()).into()
        }
        other => other,
    }
}

fn read_options(given: &Bound<'_, PyDict>) -> Result<Options> {
    let mut options = Options::new();
    for (name, value) in given {
        let name = text("option name", &name)?;
        match option_value(&name, &value).map_err(as_config)? {
            Some(value) => options.set(&name, value)?,
            None => {
                // A name that does not exist, or what the option takes instead, is said first.
                options.set(&name, OptionValue::List(Vec::new()))?;
                let kind = value.get_type().name()?;
                return Err(
                    PyTypeError::new_err(format!("option {name} must be a list of str, not {kind}")).into()
                );
            }
        }
    }
    Ok(options)
}

/// `None` for what no option takes.
fn option_value(name: &str, value: &Bound<'_, PyAny>) -> Result<Option<OptionValue>> {
    if value.is_instance_of::<PyBytes>() {
        return Ok(None);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Some(OptionValue::Flag(flag.is_true())));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Some(OptionValue::Text(text(name, value)?)));
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        let number = value.extract::<f64>().or_else(|error| {
            let huge = error.is_instance_of::<PyOverflowError>(value.py());
            if huge { Ok(f64::INFINITY) } else { Err(error) }
        });
        return Ok(Some(OptionValue::Number(number?)));
    }
    if value.hasattr("__fspath__")? {
        let path = value.call_method0("__fspath__")?;
        return Ok(Some(OptionValue::Text(text(name, &path)?)));
    }
    if value.try_iter().is_ok() {
        return Ok(Some(OptionValue::List(texts(name, value)?)));
    }
    Ok(None)
}

/// Close several clients at once, for at most `limit` seconds and without a word of failures: for exit.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>, clients: Vec<Bound<'_, Client>>, limit: f64) -> Result<()> {
    let limit = callsheet::host::seconds("limit", limit)?;
    guarded(|| {
        let caller = std::thread::current().id();
        let mut closing: Vec<Pin<Box<dyn Future<Output = callsheet::Result<()>> + Send>>> = Vec::new();
        for client in &clients {
            let core = client.get().core.clone();
            closing.push(Box::pin(async move { core.close().await }));
            if let Ok(callbacks) = client.get().callbacks.get().cloned() {
                closing.push(Box::pin(async move { callbacks.close(caller, limit).await }));
            }
        }
        let all = poll_fn(move |context| {
            closing.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if closing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        // Whether it was done in time makes no difference to what follows.
        let _ = py.detach(|| block_on_within(all, limit));
        Ok(())
    })
}
