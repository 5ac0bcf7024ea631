//! What a picker is opened with: a policy, a filter, and what stands between the service's list and the policy.

use std::ffi::{CStr, c_char};

use callsheet::host::count;
use callsheet::{Ejection, PickerOptions, Policy, Result};

use crate::boundary::{duration, text};
use crate::filter::{callsheet_filter_options_t, filter as read_filter};
use crate::options::Options;

/// How a picker chooses.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_policy {
    /// Each in turn.
    CALLSHEET_POLICY_ROUND_ROBIN = 1,
    /// Any.
    CALLSHEET_POLICY_RANDOM = 2,
    /// The better of two random ones by peak EWMA of latency times calls under way: adapts to slow instances.
    CALLSHEET_POLICY_P2C = 3,
    /// Each in turn, as often as its weight says.
    CALLSHEET_POLICY_WEIGHTED = 4,
    /// The one with the fewest calls under way for its weight.
    CALLSHEET_POLICY_LEAST_OUTSTANDING = 5,
    /// The same instance for the same key, on a ring: when an instance comes or goes, only its own keys move.
    CALLSHEET_POLICY_RING_HASH = 6,
    /// The same with a table of 65,537 places: faster and more even than the ring.
    CALLSHEET_POLICY_MAGLEV = 7,
}

/// The core's policies by their numbers less one.
const POLICIES: [(Policy, &CStr); 7] = [
    (Policy::RoundRobin, c"round_robin"),
    (Policy::Random, c"random"),
    (Policy::P2c, c"p2c"),
    (Policy::Weighted, c"weighted"),
    (Policy::LeastOutstanding, c"least_outstanding"),
    (Policy::RingHash, c"ring_hash"),
    (Policy::Maglev, c"maglev"),
];

fn numbered(number: i32) -> Option<&'static (Policy, &'static CStr)> {
    POLICIES.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// When an instance is not called for a while because calls to it fail: its circuit breaker. At most half of the instances
/// are out at once; one that returns is out again if its first call fails. Begin with `CALLSHEET_EJECTION_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_ejection_options_t {
    /// `sizeof(callsheet_ejection_options_t)`.
    pub struct_size: usize,
    /// Whether any instance is ejected. Default: true.
    pub enabled: bool,
    /// Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never. -1: not given, as for every
    /// number here. Default: 5.
    pub consecutive_failures: i32,
    /// How far its success rate of an interval may be below the average, in standard deviations; it also has to be 10
    /// percentage points below, of at least four instances with enough calls. 0 to 10. Default: 1.5.
    pub stdev_factor: f64,
    /// Calls of an interval that make its success rate count. At least 1. Default: 20.
    pub request_volume: i32,
    /// Time over which success rates are taken, in milliseconds. 100 to a day. Default: 10,000.
    pub interval_ms: i64,
    /// How long it is out the first time, in milliseconds; twice as long the second time, and so on. 100 to a day.
    /// Default: 30,000.
    pub base_ejection_time_ms: i64,
    /// How long it is out at most, in milliseconds. Up to a day. Default: 300,000.
    pub max_ejection_time_ms: i64,
    /// Instances that are out at once at most, in percent, rounded down. 0 to 50. Default: 50.
    pub max_ejection_percent: i32,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_ejection_options_t {
    const NAMES: (&'static str, &'static str) = ("ejection", "CALLSHEET_EJECTION_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_ejection_options_t {
        struct_size: size_of::<Self>(),
        enabled: true,
        consecutive_failures: -1,
        stdev_factor: -1.0,
        request_volume: -1,
        interval_ms: -1,
        base_ejection_time_ms: -1,
        max_ejection_time_ms: -1,
        max_ejection_percent: -1,
    };
}

/// How to pick. Begin with `CALLSHEET_PICKER_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_picker_options_t {
    /// `sizeof(callsheet_picker_options_t)`.
    pub struct_size: usize,
    /// One of `CALLSHEET_POLICY_*`. Default: `CALLSHEET_POLICY_P2C`.
    pub policy: i32,
    /// Which instances to pick from. NULL: every healthy one.
    pub filter: *const callsheet_filter_options_t,
    /// Prefers instances in this zone, as long as they can take their part. NULL: none.
    pub prefer_zone: *const c_char,
    /// Picks only from so many of the instances, others in each client, so that not all clients keep connections to all
    /// instances. -1: all.
    pub subset: i32,
    /// Names this client, such as by its pod, for the same subset after a restart. NULL: random.
    pub client_id: *const c_char,
    /// When an instance is not called for a while because calls to it fail. Needs reports. NULL: the default.
    pub ejection: *const callsheet_ejection_options_t,
    /// Healthy instances, in percent, below which those that are warning, critical or ejected are used too. 0 to 100, 0 for
    /// never. -1: the default, 50.
    pub panic_threshold: i32,
    /// Time in which an instance that comes when others are known gets more and more calls until it has its whole share, in
    /// milliseconds, up to an hour. -1: the default, 0.
    pub slow_start_ms: i64,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_picker_options_t {
    const NAMES: (&'static str, &'static str) = ("options", "CALLSHEET_PICKER_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_picker_options_t {
        struct_size: size_of::<Self>(),
        policy: callsheet_policy::CALLSHEET_POLICY_P2C as i32,
        filter: std::ptr::null(),
        prefer_zone: std::ptr::null(),
        subset: -1,
        client_id: std::ptr::null(),
        ejection: std::ptr::null(),
        panic_threshold: -1,
        slow_start_ms: -1,
    };
}

/// A count that -1 stands for the absence of.
fn counted(name: &str, number: i32) -> Result<Option<u32>> {
    if number == -1 { Ok(None) } else { count(name, number.into()).map(Some) }
}

/// # Safety
/// `options` is NULL or valid.
unsafe fn ejection(options: *const callsheet_ejection_options_t) -> Result<Option<Ejection>> {
    // SAFETY: as the caller promises.
    let options = unsafe { callsheet_ejection_options_t::read(options)? };
    let mut ejection = Ejection::new();
    if let Some(failures) = counted("consecutive_failures", options.consecutive_failures)? {
        ejection = ejection.consecutive_failures(failures);
    }
    if options.stdev_factor != -1.0 {
        ejection = ejection.stdev_factor(options.stdev_factor);
    }
    if let Some(calls) = counted("request_volume", options.request_volume)? {
        ejection = ejection.request_volume(calls);
    }
    if let Some(interval) = duration("interval", options.interval_ms)? {
        ejection = ejection.interval(interval);
    }
    if let Some(time) = duration("base_ejection_time", options.base_ejection_time_ms)? {
        ejection = ejection.base_ejection_time(time);
    }
    if let Some(time) = duration("max_ejection_time", options.max_ejection_time_ms)? {
        ejection = ejection.max_ejection_time(time);
    }
    if let Some(percent) = counted("max_ejection_percent", options.max_ejection_percent)? {
        ejection = ejection.max_ejection_percent(percent);
    }
    Ok(options.enabled.then_some(ejection))
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
pub(crate) unsafe fn picker_options(options: *const callsheet_picker_options_t) -> Result<PickerOptions> {
    // SAFETY: as the caller promises.
    unsafe {
        let given = callsheet_picker_options_t::read(options)?;
        let policy = match numbered(given.policy) {
            Some((policy, _)) => *policy,
            // The core's refusal, which lists what there is.
            None => given.policy.to_string().parse()?,
        };
        let mut options =
            PickerOptions::new(policy).filter(read_filter(given.filter)?).ejection(ejection(given.ejection)?);
        if let Some(zone) = text("prefer_zone", given.prefer_zone)? {
            options = options.prefer_zone(zone);
        }
        if let Some(size) = counted("subset", given.subset)? {
            options = options.subset(size as usize);
        }
        if let Some(id) = text("client_id", given.client_id)? {
            options = options.client_id(id);
        }
        if let Some(percent) = counted("panic_threshold", given.panic_threshold)? {
            options = options.panic_threshold(percent);
        }
        if let Some(window) = duration("slow_start", given.slow_start_ms)? {
            options = options.slow_start(window);
        }
        Ok(options)
    }
}

/// The word that every language uses for a policy, such as "p2c". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_policy_name(policy: i32) -> *const c_char {
    numbered(policy).map_or(c"", |(_, name)| name).as_ptr()
}
