//! An immutable list of a service's instances, as a Python sequence. Instances become objects when asked for; a
//! snapshot is converted once, and its successor takes over the objects of what did not change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use callsheet::Filter;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PySlice, PyTuple};

use crate::argument::text;
use crate::error::{Result, exception};
use crate::instance::{Instance, Instances};

/// A list of a service's instances, sorted by id, as it was at one moment: an immutable `Sequence`.
///
/// An instance that did not change is the same object in the next snapshot.
#[pyclass(frozen, sequence, module = "callsheet")]
pub(crate) struct Snapshot {
    core: callsheet::Snapshot,
    instances: Arc<Instances>,
    all: PyOnceLock<Py<PyTuple>>,
}

impl Snapshot {
    fn all<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyTuple>> {
        let all = self.all.get_or_try_init(py, || {
            let objects = self.core.iter().map(|core| self.instances.object(py, core));
            Ok::<_, PyErr>(PyTuple::new(py, objects.collect::<PyResult<Vec<_>>>()?)?.unbind())
        });
        Ok(all?.bind(py))
    }

    /// Takes over the objects of `previous` if it has made any: a pointer each for what did not change.
    fn follow(&self, py: Python<'_>, previous: &Snapshot) -> PyResult<()> {
        let Some(old) = previous.all.get(py) else { return Ok(()) };
        let old = old.bind(py);
        let cores = previous.core.instances();
        let mut at = 0;
        let mut objects = Vec::with_capacity(self.core.len());
        for core in self.core.iter() {
            while cores.get(at).is_some_and(|old| old.id < core.id) {
                at += 1;
            }
            match cores.get(at) {
                Some(old_core) if Arc::ptr_eq(old_core, core) => objects.push(old.get_item(at)?),
                _ => objects.push(self.instances.object(py, core)?.into_any()),
            }
        }
        // Nobody else has seen this snapshot yet.
        let _ = self.all.set(py, PyTuple::new(py, objects)?.unbind());
        Ok(())
    }
}

#[pymethods]
impl Snapshot {
    /// The service that was asked for.
    #[getter]
    fn service(&self) -> &str {
        self.core.service()
    }

    /// A counter of callsheet's own for this watched service. It only grows, whatever the registry's index does.
    #[getter]
    fn revision(&self) -> u64 {
        self.core.revision()
    }

    /// How far to trust it: `live`, `stale` (the registry is away; its last list), `disk` or `fallback`.
    #[getter]
    fn freshness(&self) -> &str {
        self.core.freshness().as_str()
    }

    /// The URL that it came from, without secrets.
    #[getter]
    fn source(&self) -> &str {
        self.core.source()
    }

    /// Seconds since the registry last vouched for this list: 0 while live.
    #[getter]
    fn age(&self) -> f64 {
        self.core.age().as_secs_f64()
    }

    /// Why it is not live.
    #[getter]
    fn last_error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.core.last_error().map(|error| exception(py, error).into_value(py).into_bound(py).into_any())
    }

    /// The instance with this id.
    #[pyo3(signature = (id, /))]
    fn get<'py>(&self, id: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, Instance>>> {
        let found = self.core.get(&text("id", id)?);
        Ok(found.map(|core| self.instances.object(id.py(), core)).transpose()?)
    }

    /// What was added, removed and changed since `previous`, whatever came between.
    #[pyo3(signature = (previous, /))]
    fn changes_since(&self, py: Python<'_>, previous: &Bound<'_, Snapshot>) -> PyResult<Changes> {
        let previous = previous.get();
        let changes = self.core.changes_since(&previous.core);
        let objects = |instances: &Arc<Instances>, cores: &[Arc<callsheet::Instance>]| {
            let objects = cores.iter().map(|core| instances.object(py, core));
            Ok::<_, PyErr>(PyTuple::new(py, objects.collect::<PyResult<Vec<_>>>()?)?.unbind())
        };
        Ok(Changes {
            added: objects(&self.instances, &changes.added)?,
            removed: objects(&previous.instances, &changes.removed)?,
            changed: objects(&self.instances, &changes.changed)?,
        })
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = index.py();
        if index.is_instance_of::<PySlice>() {
            return self.all(py)?.as_any().get_item(index);
        }
        let wrong = || {
            let kind = index.get_type().name().map(|name| name.to_string()).unwrap_or_default();
            PyTypeError::new_err(format!("snapshot indices must be integers or slices, not {kind}"))
        };
        let asked = match index.extract::<isize>() {
            Ok(asked) => asked,
            // Beyond either end, whichever.
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => isize::MAX,
            Err(_) => return Err(wrong()),
        };
        let at = if asked < 0 { asked + self.core.len() as isize } else { asked };
        let core = usize::try_from(at).ok().and_then(|at| self.core.instances().get(at));
        let core = core.ok_or_else(|| PyIndexError::new_err("snapshot index out of range"))?;
        Ok(self.instances.object(py, core)?.into_any())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.all(py)?.as_any().try_iter()
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("builtins")?.getattr("reversed")?.call1((self.all(py)?,))
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> bool {
        self.position(value).is_some()
    }

    /// The position of an equal instance.
    ///
    /// Raises:
    ///     ValueError: There is none.
    #[pyo3(signature = (value, start=0, stop=isize::MAX, /))]
    fn index(&self, value: &Bound<'_, PyAny>, start: isize, stop: isize) -> PyResult<usize> {
        let length = self.core.len() as isize;
        let from_end = |at: isize| if at < 0 { (at + length).max(0) } else { at };
        match self.position(value) {
            Some(at) if (from_end(start)..from_end(stop)).contains(&(at as isize)) => Ok(at),
            _ => Err(PyValueError::new_err("this instance is not in the snapshot")),
        }
    }

    /// 1 if an equal instance is in it, else 0: ids are unique.
    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> usize {
        usize::from(self.position(value).is_some())
    }

    fn __repr__(&self) -> String {
        let (core, count) = (&self.core, self.core.len());
        let noun = if count == 1 { "instance" } else { "instances" };
        let (service, freshness, revision) = (core.service(), core.freshness(), core.revision());
        format!("<Snapshot {service} {freshness} revision={revision} {count} {noun}>")
    }
}

impl Snapshot {
    /// Ids are unique and sorted, so that one comparison of instances is enough.
    fn position(&self, value: &Bound<'_, PyAny>) -> Option<usize> {
        let value = value.cast::<Instance>().ok()?;
        let wanted = &value.get().core;
        let found = self.core.instances().binary_search_by(|core| core.id.cmp(&wanted.id));
        found.ok().filter(|at| self.core.instances()[*at] == *wanted)
    }
}

/// What became of the instances of an earlier snapshot, each a tuple sorted by id. False when nothing did.
#[pyclass(frozen, get_all, module = "callsheet")]
pub(crate) struct Changes {
    /// Instances whose ids are new.
    added: Py<PyTuple>,
    /// Instances whose ids are gone, as they were.
    removed: Py<PyTuple>,
    /// Instances that stayed but say something else now, as they are.
    changed: Py<PyTuple>,
}

#[pymethods]
impl Changes {
    fn __bool__(&self, py: Python<'_>) -> bool {
        [&self.added, &self.removed, &self.changed].iter().any(|list| !list.bind(py).is_empty())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let [added, removed, changed] =
            [&self.added, &self.removed, &self.changed].map(|list| list.bind(py).len());
        format!("<Changes added={added} removed={removed} changed={changed}>")
    }
}

/// Time after which a snapshot that nobody asked for again is let go, as the core does with the service.
const IDLE: Duration = Duration::from_secs(300);
/// Time between two looks for such.
const SWEEP: Duration = Duration::from_secs(60);
/// Most snapshots that are kept; beyond that the half that was asked for longest ago is let go, which costs converting it
/// anew.
const MOST: usize = 4096;

/// The latest snapshot of each service and filter that a client has given out.
pub(crate) struct Snapshots {
    pub(crate) instances: Arc<Instances>,
    latest: Mutex<Latest>,
}

struct Latest {
    services: HashMap<String, HashMap<Filter, Entry>>,
    count: usize,
    swept: Instant,
}

struct Entry {
    snapshot: Py<Snapshot>,
    used: Instant,
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        let latest = Latest { services: HashMap::new(), count: 0, swept: Instant::now() };
        Snapshots { instances: Arc::default(), latest: Mutex::new(latest) }
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The object for `core`, which was asked for with `filter`.
    pub(crate) fn object<'py>(
        &self,
        py: Python<'py>,
        filter: &Filter,
        core: callsheet::Snapshot,
    ) -> PyResult<Bound<'py, Snapshot>> {
        let previous = self.lock().entry(core.service(), filter).map(|entry| {
            entry.used = Instant::now();
            entry.snapshot.clone_ref(py).into_bound(py)
        });
        if let Some(previous) = &previous
            && previous.get().core.is_same(&core)
        {
            return Ok(previous.clone());
        }
        let object = Snapshot { core, instances: self.instances.clone(), all: PyOnceLock::new() };
        if let Some(previous) = &previous {
            object.follow(py, previous.get())?;
        }
        let object = Bound::new(py, object)?;
        let gone = self.lock().put(filter, &object);
        drop(gone);
        Ok(object)
    }

    /// Lets go of everything, at the latest when the client is closed.
    pub(crate) fn clear(&self) {
        let services = {
            let mut latest = self.lock();
            latest.count = 0;
            std::mem::take(&mut latest.services)
        };
        drop(services);
    }
}

impl Latest {
    fn entry(&mut self, service: &str, filter: &Filter) -> Option<&mut Entry> {
        self.services.get_mut(service)?.get_mut(filter)
    }

    /// Remembers `object` as the latest. What it returns is to be dropped after the lock is released, for a destructor
    /// may come back here.
    fn put(&mut self, filter: &Filter, object: &Bound<'_, Snapshot>) -> Vec<Entry> {
        let mut gone = self.sweep();
        let core = &object.get().core;
        let entry = Entry { snapshot: object.clone().unbind(), used: Instant::now() };
        match self.entry(core.service(), filter) {
            // The reader of a watch may be slower than a lookup was.
            Some(known) if known.snapshot.get().core.revision() > core.revision() => gone.push(entry),
            Some(known) => gone.push(std::mem::replace(known, entry)),
            None => {
                self.services.entry(core.service().to_owned()).or_default().insert(filter.clone(), entry);
                self.count += 1;
            }
        }
        gone
    }

    fn sweep(&mut self) -> Vec<Entry> {
        if self.count >= MOST {
            let mut uses: Vec<_> =
                self.services.values().flat_map(HashMap::values).map(|entry| entry.used).collect();
            let middle = *uses.select_nth_unstable(MOST / 2).1;
            return self.let_go(|entry| entry.used <= middle);
        }
        if self.swept.elapsed() < SWEEP {
            return Vec::new();
        }
        self.swept = Instant::now();
        self.let_go(|entry| entry.used.elapsed() >= IDLE)
    }

    fn let_go(&mut self, unused: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut gone = Vec::new();
        self.services.retain(|_, entries| {
            gone.extend(entries.extract_if(|_, entry| unused(entry)).map(|(_, entry)| entry));
            !entries.is_empty()
        });
        self.count -= gone.len();
        gone
    }
}
