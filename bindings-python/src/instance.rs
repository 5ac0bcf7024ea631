//! One reachable process of a service. An instance of the core is one object in Python for as long as anyone there
//! holds it, so that what did not change is the same object in the next snapshot.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use callsheet::Status;
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyMappingProxy, PyTuple, PyWeakrefMethods, PyWeakrefReference};

use crate::argument::{pairs, port, text, texts, weight};
use crate::error::Result;

/// One reachable process of a service: immutable, hashable, ordered by service and id, and it pickles.
///
/// Lookups and watches give them out; made by hand they are for tests.
#[pyclass(frozen, weakref, module = "callsheet")]
pub(crate) struct Instance {
    pub(crate) core: Arc<callsheet::Instance>,
    /// Where it is remembered, and under which number.
    known: Option<(Arc<Instances>, u64)>,
    views: PyOnceLock<Box<Views>>,
}

/// What is made when asked for: most readers look at the address and port only.
struct Views {
    tags: Py<PyTuple>,
    metadata: Py<PyMappingProxy>,
}

impl From<callsheet::Instance> for Instance {
    fn from(core: callsheet::Instance) -> Self {
        Instance { core: Arc::new(core), known: None, views: PyOnceLock::new() }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some((instances, number)) = &self.known {
            instances.forget(key(&self.core), *number);
        }
    }
}

impl Instance {
    fn views(&self, py: Python<'_>) -> PyResult<&Views> {
        let views = self.views.get_or_try_init(py, || {
            let metadata = PyDict::new(py);
            for (key, value) in &self.core.metadata {
                metadata.set_item(key, value)?;
            }
            Ok::<_, PyErr>(Box::new(Views {
                tags: PyTuple::new(py, &self.core.tags)?.unbind(),
                metadata: PyMappingProxy::new(py, metadata.as_mapping()).unbind(),
            }))
        });
        views.map(|views| &**views)
    }
}

#[pymethods]
impl Instance {
    #[new]
    #[pyo3(signature = (service, address, port, id=None, scheme=None, tags=None, metadata=None, weight=None,
                        zone=None, version=None, status=None))]
    #[expect(clippy::too_many_arguments, reason = "one per attribute, and named in Python")]
    fn new(
        service: &Bound<'_, PyAny>,
        address: &Bound<'_, PyAny>,
        port: &Bound<'_, PyAny>,
        id: Option<&Bound<'_, PyAny>>,
        scheme: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        weight: Option<&Bound<'_, PyAny>>,
        zone: Option<&Bound<'_, PyAny>>,
        version: Option<&Bound<'_, PyAny>>,
        status: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let (service, address) = (text("service", service)?, text("address", address)?);
        let mut instance = callsheet::Instance::new(service, address, self::port(port)?);
        let texts_given = [
            ("id", id, &mut instance.id),
            ("scheme", scheme, &mut instance.scheme),
            ("zone", zone, &mut instance.zone),
            ("version", version, &mut instance.version),
        ];
        for (what, value, place) in texts_given {
            if let Some(value) = value {
                *place = text(what, value)?;
            }
        }
        if let Some(tags) = tags {
            instance.tags = texts("tags", tags)?;
        }
        if let Some(metadata) = metadata {
            instance.metadata = pairs("metadata", metadata)?.into_iter().collect();
        }
        if let Some(weight) = weight {
            instance.weight = self::weight(weight)?;
        }
        if let Some(status) = status {
            instance.status = Status::from_str(&text("status", status)?)?;
        }
        Ok(instance.into())
    }

    /// Unique within the service; `address:port` unless chosen.
    #[getter]
    fn id(&self) -> &str {
        &self.core.id
    }

    /// The service it belongs to.
    #[getter]
    fn service(&self) -> &str {
        &self.core.service
    }

    /// An IP address or host name.
    #[getter]
    fn address(&self) -> &str {
        &self.core.address
    }

    /// The port that it listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.core.port
    }

    /// How to speak to it: `http` unless chosen.
    #[getter]
    fn scheme(&self) -> &str {
        &self.core.scheme
    }

    /// Labels, in the order they were given.
    #[getter]
    fn tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.views(py)?.tags.bind(py).clone())
    }

    /// Free pairs of text, as a read-only mapping; `dict` makes one that can be changed, or written as JSON.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        Ok(self.views(py)?.metadata.bind(py).clone())
    }

    /// Its share of calls relative to others, for weighted policies.
    #[getter]
    fn weight(&self) -> u32 {
        self.core.weight
    }

    /// Where it runs, such as an availability zone; empty when unknown.
    #[getter]
    fn zone(&self) -> &str {
        &self.core.zone
    }

    /// What it runs; empty when unknown.
    #[getter]
    fn version(&self) -> &str {
        &self.core.version
    }

    /// Whether to call it: `passing`, `warning`, `critical` or `draining`.
    #[getter]
    fn status(&self) -> &str {
        self.core.status.as_str()
    }

    /// `address:port`, with brackets around an IPv6 address.
    #[getter]
    fn authority(&self) -> String {
        self.core.authority()
    }

    /// `scheme://address:port`, without a trailing slash.
    #[getter]
    fn url(&self) -> String {
        self.core.url()
    }

    fn __repr__(&self) -> String {
        let core = &self.core;
        let mut about = format!("{} {}", core.service, core.authority());
        if core.id != core.authority() {
            about = format!("{about} id={:?}", core.id);
        }
        format!("<Instance {about} {}>", core.status)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.core.hash(&mut hasher);
        hasher.finish()
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operation: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast::<Instance>() else { return Ok(py.NotImplemented()) };
        let (ours, theirs) = (&*self.core, &*other.get().core);
        let equal = || Arc::ptr_eq(&self.core, &other.get().core) || ours == theirs;
        let order = (&ours.service, &ours.id).cmp(&(&theirs.service, &theirs.id));
        let answer = match operation {
            CompareOp::Eq => equal(),
            CompareOp::Ne => !equal(),
            CompareOp::Lt => order == Ordering::Less,
            CompareOp::Gt => order == Ordering::Greater,
            CompareOp::Le => order == Ordering::Less || equal(),
            CompareOp::Ge => order == Ordering::Greater || equal(),
        };
        Ok(answer.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let (core, views) = (&*slf.get().core, slf.get().views(py)?);
        // A mapping proxy does not pickle; the dict that it shows does.
        let metadata = PyDict::new(py);
        metadata.update(views.metadata.bind(py).cast()?)?;
        let arguments = (
            (&core.service, &core.address, core.port, &core.id, &core.scheme).into_pyobject(py)?,
            (&views.tags, metadata, core.weight, &core.zone, &core.version, core.status.as_str())
                .into_pyobject(py)?,
        );
        let arguments = arguments.0.into_sequence().concat(arguments.1.as_sequence())?.to_tuple()?;
        Ok((slf.get_type().into_any(), arguments))
    }
}

fn key(core: &Arc<callsheet::Instance>) -> usize {
    Arc::as_ptr(core) as usize
}

/// The instances of a client that Python holds.
///
/// An entry lives as long as its object, whose `core` keeps the address from being used again. The lock is held
/// without letting go of the GIL and without creating or dropping objects, so neither a fork nor a destructor can
/// meet it locked.
#[derive(Default)]
pub(crate) struct Instances(Mutex<Known>);

#[derive(Default)]
struct Known {
    objects: HashMap<usize, (u64, Py<PyWeakrefReference>)>,
    /// Tells an object from its successor at the same address.
    last: u64,
}

impl Instances {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The object for `core`: the one there is, or a new one.
    pub(crate) fn object<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        core: &Arc<callsheet::Instance>,
    ) -> PyResult<Bound<'py, Instance>> {
        let number = {
            let mut known = self.lock();
            if let Some(object) = known.get(py, core) {
                return Ok(object.cast_into::<Instance>()?);
            }
            known.last += 1;
            known.last
        };
        let known = Some((self.clone(), number));
        let object = Bound::new(py, Instance { core: core.clone(), known, views: PyOnceLock::new() })?;
        let reference = PyWeakrefReference::new(object.as_any())?.unbind();
        let replaced = {
            let mut known = self.lock();
            // Making an object can run the garbage collector, and with it code that asks for the same one.
            match known.get(py, core) {
                Some(earlier) => Err(earlier),
                None => Ok(known.objects.insert(key(core), (number, reference))),
            }
        };
        match replaced {
            Ok(_) => Ok(object),
            Err(earlier) => Ok(earlier.cast_into::<Instance>()?),
        }
    }

    fn forget(&self, key: usize, number: u64) {
        let forgotten = {
            let mut known = self.lock();
            match known.objects.get(&key) {
                Some((current, _)) if *current == number => known.objects.remove(&key),
                _ => None,
            }
        };
        drop(forgotten);
    }
}

impl Known {
    fn get<'py>(&self, py: Python<'py>, core: &Arc<callsheet::Instance>) -> Option<Bound<'py, PyAny>> {
        self.objects.get(&key(core)).and_then(|(_, reference)| reference.bind(py).upgrade())
    }
}
