//! How the health of an instance is decided, as the functions of `lib/check.js` name each way.

use callsheet::Result;
use callsheet::host::check_port;
use napi_derive::napi;

use crate::error::{invalid, milliseconds};

/// A check: its kind and what that takes. Times are milliseconds.
#[napi(object)]
pub struct Check {
    pub kind: String,
    pub interval: Option<f64>,
    pub timeout: Option<f64>,
    pub deregister_critical_after: Option<f64>,
    pub target: Option<String>,
    pub address: Option<String>,
    pub port: Option<i64>,
}

impl TryFrom<Check> for callsheet::Check {
    type Error = callsheet::Error;

    fn try_from(given: Check) -> Result<Self> {
        let interval = given.interval.map(|interval| milliseconds("interval", interval)).transpose()?;
        let mut check = match (&*given.kind, given.target, given.address, given.port) {
            ("heartbeat", ..) => callsheet::Check::heartbeat(interval.unwrap_or_default()),
            ("http", target, ..) => callsheet::Check::http(target.unwrap_or_default()),
            ("grpc", Some(target), ..) => callsheet::Check::grpc_target(target),
            ("grpc", None, ..) => callsheet::Check::grpc(),
            ("tcp", _, Some(address), Some(port)) => callsheet::Check::tcp_target(address, check_port(port)?),
            ("tcp", _, None, None) => callsheet::Check::tcp(),
            ("tcp", ..) => return Err(invalid("a tcp check takes address and port together, or neither")),
            _ => callsheet::Check::ttl(),
        };
        if let Some(interval) = interval {
            check = check.interval(interval);
        }
        if let Some(timeout) = given.timeout {
            check = check.timeout(milliseconds("timeout", timeout)?);
        }
        if let Some(after) = given.deregister_critical_after {
            check = check.deregister_critical_after(milliseconds("deregisterCriticalAfter", after)?);
        }
        Ok(check)
    }
}
