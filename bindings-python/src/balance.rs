//! What a picker is opened with, as it was named in the call.

use std::str::FromStr;

use callsheet::{Policy, host};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::argument::{integer, number, seconds, text};
use crate::error::Result;
use crate::filter::Filter;

fn count(what: &str, value: &Bound<'_, PyAny>) -> Result<u32> {
    Ok(host::count(what, integer(what, value)?)?)
}

/// When an instance is not called for a while because calls to it fail: its circuit breaker, for `Client.picker`.
///
/// At most half of the instances are out at once. One that returns is on probation: if its first call fails, it is out
/// again.
///
/// Args:
///     consecutive_failures: Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never.
///         Default: 5.
///     stdev_factor: How far its success rate of an interval may be below the average, in standard deviations; it also
///         has to be 10 percentage points below, of at least four instances with enough calls. 0 to 10. Default: 1.5.
///     request_volume: Calls of an interval that make its success rate count. At least 1. Default: 20.
///     interval: Seconds over which success rates are taken. 0.1 to a day. Default: 10.
///     base_ejection_time: Seconds that it is out the first time, twice as long the second time, and so on. 0.1 to a
///         day. Default: 30.
///     max_ejection_time: Seconds that it is out at most. Up to a day. Default: 300.
///     max_ejection_percent: Instances that are out at once at most, rounded down. 0 to 50. Default: 50.
///
/// Raises:
///     InvalidArgument: A number is less than 0. `Client.picker` refuses other values that are not allowed.
#[pyclass(frozen, module = "callsheet")]
pub(crate) struct Ejection(callsheet::Ejection);

#[pymethods]
impl Ejection {
    #[new]
    #[pyo3(signature = (*, consecutive_failures=None, stdev_factor=None, request_volume=None, interval=None,
        base_ejection_time=None, max_ejection_time=None, max_ejection_percent=None))]
    fn new(
        consecutive_failures: Option<&Bound<'_, PyAny>>,
        stdev_factor: Option<&Bound<'_, PyAny>>,
        request_volume: Option<&Bound<'_, PyAny>>,
        interval: Option<&Bound<'_, PyAny>>,
        base_ejection_time: Option<&Bound<'_, PyAny>>,
        max_ejection_time: Option<&Bound<'_, PyAny>>,
        max_ejection_percent: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let mut ejection = callsheet::Ejection::new();
        if let Some(failures) = consecutive_failures {
            ejection = ejection.consecutive_failures(count("consecutive_failures", failures)?);
        }
        if let Some(factor) = stdev_factor {
            ejection = ejection.stdev_factor(number("stdev_factor", factor)?);
        }
        if let Some(calls) = request_volume {
            ejection = ejection.request_volume(count("request_volume", calls)?);
        }
        if let Some(interval) = interval {
            ejection = ejection.interval(seconds("interval", interval)?);
        }
        if let Some(time) = base_ejection_time {
            ejection = ejection.base_ejection_time(seconds("base_ejection_time", time)?);
        }
        if let Some(time) = max_ejection_time {
            ejection = ejection.max_ejection_time(seconds("max_ejection_time", time)?);
        }
        if let Some(percent) = max_ejection_percent {
            ejection = ejection.max_ejection_percent(count("max_ejection_percent", percent)?);
        }
        Ok(Ejection(ejection))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}

/// The arguments of `picker`, read once.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct PickerOptions(pub(crate) callsheet::PickerOptions);

#[pymethods]
impl PickerOptions {
    #[new]
    #[pyo3(signature = (policy, *, tags=None, zone=None, version=None, metadata=None, healthy=true, prefer_zone=None,
        subset=None, client_id=None, ejection=None, panic_threshold=None, slow_start=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of one call")]
    fn new(
        policy: &Bound<'_, PyAny>,
        tags: Option<&Bound<'_, PyAny>>,
        zone: Option<&Bound<'_, PyAny>>,
        version: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        healthy: bool,
        prefer_zone: Option<&Bound<'_, PyAny>>,
        subset: Option<&Bound<'_, PyAny>>,
        client_id: Option<&Bound<'_, PyAny>>,
        ejection: Option<&Bound<'_, PyAny>>,
        panic_threshold: Option<&Bound<'_, PyAny>>,
        slow_start: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let policy = Policy::from_str(&text("policy", policy)?)?;
        let Filter(filter) = Filter::new(tags, zone, version, metadata, healthy)?;
        let mut options = callsheet::PickerOptions::new(policy).filter(filter);
        if let Some(zone) = prefer_zone {
            options = options.prefer_zone(text("prefer_zone", zone)?);
        }
        if let Some(size) = subset {
            options = options.subset(count("subset", size)? as usize);
        }
        if let Some(id) = client_id {
            options = options.client_id(text("client_id", id)?);
        }
        if let Some(ejection) = ejection {
            options = options.ejection(of(ejection)?);
        }
        if let Some(percent) = panic_threshold {
            options = options.panic_threshold(count("panic_threshold", percent)?);
        }
        if let Some(window) = slow_start {
            options = options.slow_start(seconds("slow_start", window)?);
        }
        Ok(PickerOptions(options))
    }
}

fn of(ejection: &Bound<'_, PyAny>) -> Result<Option<callsheet::Ejection>> {
    if let Ok(wanted) = ejection.cast::<PyBool>() {
        return Ok(wanted.is_true().then(callsheet::Ejection::new));
    }
    match ejection.cast::<Ejection>() {
        Ok(ejection) => Ok(Some(ejection.get().0.clone())),
        Err(_) => {
            let kind = ejection.get_type().name()?;
            Err(PyTypeError::new_err(format!("ejection must be an Ejection or a bool, not {kind}")).into())
        }
    }
}
