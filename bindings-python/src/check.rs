//! How the health of an instance is decided, as the functions that name each way.

use pyo3::prelude::*;

use crate::argument::{port, seconds, text};
use crate::error::Result;

/// How an instance's health is decided: by `ttl`, `heartbeat`, `tcp`, `http` or `grpc`, for `Client.register`.
#[pyclass(frozen, module = "callsheet")]
pub(crate) struct Check(pub(crate) callsheet::Check);

#[pymethods]
impl Check {
    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}

fn timed(
    mut check: callsheet::Check,
    interval: Option<&Bound<'_, PyAny>>,
    timeout: Option<&Bound<'_, PyAny>>,
    deregister_critical_after: Option<&Bound<'_, PyAny>>,
) -> Result<Check> {
    if let Some(interval) = interval {
        check = check.interval(seconds("interval", interval)?);
    }
    if let Some(timeout) = timeout {
        check = check.timeout(seconds("timeout", timeout)?);
    }
    if let Some(after) = deregister_critical_after {
        check = check.deregister_critical_after(seconds("deregister_critical_after", after)?);
    }
    Ok(Check(check))
}

/// Healthy while this process lives and renews. The default.
///
/// Args:
///     deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
///         removes it. Only Consul does. Default: 60 with `ttl`, else 600.
///
/// Raises:
///     InvalidArgument: An argument is not allowed.
#[pyfunction]
#[pyo3(signature = (*, deregister_critical_after=None))]
pub(crate) fn ttl(deregister_critical_after: Option<&Bound<'_, PyAny>>) -> Result<Check> {
    timed(callsheet::Check::ttl(), None, None, deregister_critical_after)
}

/// Healthy while the program calls `Registration.beat` often enough: a deadlocked program goes critical.
///
/// Args:
///     interval: Seconds that may pass between two beats.
///     deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
///         removes it. Only Consul does. Default: 60 with `ttl`, else 600.
///
/// Raises:
///     InvalidArgument: An argument is not allowed.
#[pyfunction]
#[pyo3(signature = (interval, *, deregister_critical_after=None))]
pub(crate) fn heartbeat(
    interval: &Bound<'_, PyAny>,
    deregister_critical_after: Option<&Bound<'_, PyAny>>,
) -> Result<Check> {
    let check = callsheet::Check::heartbeat(seconds("interval", interval)?);
    timed(check, None, None, deregister_critical_after)
}

/// Healthy while a port accepts connections: the instance's own, or another address and port.
///
/// Args:
///     interval: Seconds between two runs, at least 0.1. Default: 5.
///     timeout: Seconds that one run may take. Default: 2.
///     address: Where to connect instead; needs `port`.
///     port: Where to connect instead; needs `address`.
///     deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
///         removes it. Only Consul does. Default: 60 with `ttl`, else 600.
///
/// Raises:
///     InvalidArgument: An argument is not allowed.
#[pyfunction]
#[pyo3(signature = (*, interval=None, timeout=None, address=None, port=None, deregister_critical_after=None))]
pub(crate) fn tcp(
    interval: Option<&Bound<'_, PyAny>>,
    timeout: Option<&Bound<'_, PyAny>>,
    address: Option<&Bound<'_, PyAny>>,
    port: Option<&Bound<'_, PyAny>>,
    deregister_critical_after: Option<&Bound<'_, PyAny>>,
) -> Result<Check> {
    let check = match (address, port) {
        (None, None) => callsheet::Check::tcp(),
        (Some(address), Some(port)) => {
            callsheet::Check::tcp_target(text("address", address)?, self::port(port)?)
        }
        _ => {
            let message = "a tcp check takes address and port together, or neither";
            return Err(callsheet::Error::new(callsheet::Code::InvalidArgument, message).into());
        }
    };
    timed(check, interval, timeout, deregister_critical_after)
}

/// Healthy while a GET is answered with a status of 200 to 299.
///
/// Args:
///     target: A path on the instance, such as `/health`, or a whole `http://` URL.
///     interval: Seconds between two runs, at least 0.1. Default: 5.
///     timeout: Seconds that one run may take. Default: 2.
///     deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
///         removes it. Only Consul does. Default: 60 with `ttl`, else 600.
///
/// Raises:
///     InvalidArgument: An argument is not allowed.
#[pyfunction]
#[pyo3(signature = (target, *, interval=None, timeout=None, deregister_critical_after=None))]
pub(crate) fn http(
    target: &Bound<'_, PyAny>,
    interval: Option<&Bound<'_, PyAny>>,
    timeout: Option<&Bound<'_, PyAny>>,
    deregister_critical_after: Option<&Bound<'_, PyAny>>,
) -> Result<Check> {
    timed(callsheet::Check::http(text("target", target)?), interval, timeout, deregister_critical_after)
}

/// Healthy while a gRPC server says of itself that it is `SERVING`, in the gRPC health protocol and without TLS.
///
/// Args:
///     target: `host:port`, `host:port/service`, or `/service` on the instance itself. Default: the instance's own
///         server as a whole.
///     interval: Seconds between two runs, at least 0.1. Default: 5.
///     timeout: Seconds that one run may take. Default: 2.
///     deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
///         removes it. Only Consul does. Default: 60 with `ttl`, else 600.
///
/// Raises:
///     InvalidArgument: An argument is not allowed.
#[pyfunction]
#[pyo3(signature = (target=None, *, interval=None, timeout=None, deregister_critical_after=None))]
pub(crate) fn grpc(
    target: Option<&Bound<'_, PyAny>>,
    interval: Option<&Bound<'_, PyAny>>,
    timeout: Option<&Bound<'_, PyAny>>,
    deregister_critical_after: Option<&Bound<'_, PyAny>>,
) -> Result<Check> {
    let check = match target {
        Some(target) => callsheet::Check::grpc_target(text("target", target)?),
        None => callsheet::Check::grpc(),
    };
    timed(check, interval, timeout, deregister_critical_after)
}
