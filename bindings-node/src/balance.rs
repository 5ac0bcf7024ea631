//! What a picker is opened with, as `lib/balance.js` read it.

use callsheet::host::count;
use callsheet::{Ejection, PickerOptions, Result};
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

use crate::error::milliseconds;
use crate::filter::Filter;

/// What a pick is chosen by: a text or bytes.
pub type Key = Either<String, Uint8Array>;

/// The bytes of a key.
pub(crate) fn bytes(key: &Key) -> &[u8] {
    match key {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

/// When an instance is not called for a while because calls to it fail. Times are milliseconds.
#[napi(object)]
pub struct Ejecting {
    pub consecutive_failures: Option<i64>,
    pub stdev_factor: Option<f64>,
    pub request_volume: Option<i64>,
    pub interval: Option<f64>,
    pub base_ejection_time: Option<f64>,
    pub max_ejection_time: Option<f64>,
    pub max_ejection_percent: Option<i64>,
}

impl TryFrom<Ejecting> for Ejection {
    type Error = callsheet::Error;

    fn try_from(given: Ejecting) -> Result<Self> {
        let mut ejection = Ejection::new();
        if let Some(failures) = given.consecutive_failures {
            ejection = ejection.consecutive_failures(count("consecutiveFailures", failures)?);
        }
        if let Some(factor) = given.stdev_factor {
            ejection = ejection.stdev_factor(factor);
        }
        if let Some(calls) = given.request_volume {
            ejection = ejection.request_volume(count("requestVolume", calls)?);
        }
        if let Some(interval) = given.interval {
            ejection = ejection.interval(milliseconds("interval", interval)?);
        }
        if let Some(time) = given.base_ejection_time {
            ejection = ejection.base_ejection_time(milliseconds("baseEjectionTime", time)?);
        }
        if let Some(time) = given.max_ejection_time {
            ejection = ejection.max_ejection_time(milliseconds("maxEjectionTime", time)?);
        }
        if let Some(percent) = given.max_ejection_percent {
            ejection = ejection.max_ejection_percent(count("maxEjectionPercent", percent)?);
        }
        Ok(ejection)
    }
}

/// The options of a picker. Times are milliseconds.
#[napi(object)]
pub struct Picking {
    pub policy: String,
    pub filter: Filter,
    pub prefer_zone: Option<String>,
    pub subset: Option<i64>,
    pub client_id: Option<String>,
    pub ejects: bool,
    pub ejection: Option<Ejecting>,
    pub panic_threshold: Option<i64>,
    pub slow_start: Option<f64>,
}

impl TryFrom<Picking> for PickerOptions {
    type Error = callsheet::Error;

    fn try_from(given: Picking) -> Result<Self> {
        let mut options = PickerOptions::new(given.policy.parse()?).filter(given.filter.into());
        if let Some(zone) = given.prefer_zone {
            options = options.prefer_zone(zone);
        }
        if let Some(size) = given.subset {
            options = options.subset(count("subset", size)? as usize);
        }
        if let Some(id) = given.client_id {
            options = options.client_id(id);
        }
        match given.ejection {
            _ if !given.ejects => options = options.ejection(None),
            Some(ejection) => options = options.ejection(Ejection::try_from(ejection)?),
            None => {}
        }
        if let Some(percent) = given.panic_threshold {
            options = options.panic_threshold(count("panicThreshold", percent)?);
        }
        if let Some(window) = given.slow_start {
            options = options.slow_start(milliseconds("slowStart", window)?);
        }
        Ok(options)
    }
}
