//! Outlier ejection, each instance's circuit breaker: one whose calls fail where the others' don't is not called for a
//! while. Failures in a row are Envoy's `consecutive_5xx`
//! (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier); success rates and times are
//! those of gRFC A50 (https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md), with thresholds that
//! fit ten instances and a hundred calls a second. Time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::sync::Arc;

/// Fewest instances whose rates say anything of one another: of three, one can't be this many deviations off.
const LEAST_INSTANCES: usize = 4;
/// How far below the average a success rate has to be besides: where all do well, the worst is no outlier yet.
const MARGIN: f64 = 0.1;
/// Half: more than that can't be outliers.
const MOST_PERCENT: u32 = 50;
const LONGEST_TIME: Duration = Duration::from_secs(86_400);

/// When an instance is not called for a while because its calls fail, whatever the registry says of it. At most half
/// of the instances are out at once. One that returns is on probation: if its first call fails, it is out again.
///
/// ```
/// use std::time::Duration;
/// use callsheet::Ejection;
/// let strict = Ejection::new().consecutive_failures(3).base_ejection_time(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ejection {
    pub(super) consecutive_failures: u32,
    stdev_factor: f64,
    request_volume: u32,
    pub(super) interval: Duration,
    base_ejection_time: Duration,
    max_ejection_time: Duration,
    max_ejection_percent: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Ejection {
            consecutive_failures: 5,
            stdev_factor: 1.5,
            request_volume: 20,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: MOST_PERCENT,
        }
    }
}

impl Ejection {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never. Default: 5.
    #[must_use]
    pub fn consecutive_failures(mut self, count: u32) -> Self {
        self.consecutive_failures = count;
        self
    }

    /// How far an instance's success rate of an interval may be below the average of all, in standard deviations; it
    /// also has to be 10 percentage points below, and at least four instances have to have enough calls. 0 to 10, 0 for
    /// any distance. Default: 1.5.
    #[must_use]
    pub fn stdev_factor(mut self, factor: f64) -> Self {
        self.stdev_factor = factor;
        self
    }

    /// Calls of an interval that make an instance's success rate count. At least 1. Default: 20.
    #[must_use]
    pub fn request_volume(mut self, calls: u32) -> Self {
        self.request_volume = calls;
        self
    }

    /// Time over which success rates are taken, and after which one is looked at whose time is over. 100 ms to a day.
    /// Default: 10 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an instance is out the first time; the second time it is twice as long, and so on. It is forgiven one
    /// time for each interval in which it is not out. 100 ms to a day. Default: 30 s.
    #[must_use]
    pub fn base_ejection_time(mut self, time: Duration) -> Self {
        self.base_ejection_time = time;
        self
    }

    /// How long it is out at most, however often; at least the base time. Up to a day. Default: 5 min.
    #[must_use]
    pub fn max_ejection_time(mut self, time: Duration) -> Self {
        self.max_ejection_time = time;
        self
    }

    /// Instances that are out at once at most, in percent of those that could be called, rounded down. 0 to 50.
    /// Default: 50, so that a lone instance is always called.
    #[must_use]
    pub fn max_ejection_percent(mut self, percent: u32) -> Self {
        self.max_ejection_percent = percent;
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::invalid(format!("ejection: {what}")));
        let times = Duration::from_millis(100)..=LONGEST_TIME;
        match self {
            one if one.consecutive_failures > 1000 => wrong("consecutive_failures is 0 to 1,000"),
            one if !(0.0..=10.0).contains(&one.stdev_factor) => wrong("stdev_factor is 0 to 10"),
            one if one.request_volume == 0 => wrong("request_volume is at least 1"),
            one if !times.contains(&one.interval) => wrong("interval is 100 ms to a day"),
            one if !times.contains(&one.base_ejection_time) => wrong("base_ejection_time is 100 ms to a day"),
            one if one.max_ejection_time > LONGEST_TIME => wrong("max_ejection_time is at most a day"),
            one if one.max_ejection_percent > MOST_PERCENT => {
                wrong("max_ejection_percent is 0 to 50 percent: more than half can't be outliers")
            }
            _ => Ok(()),
        }
    }

    /// Ejects those that failed often enough in a row. Says whether there were any.
    pub(super) fn strike(&self, endpoints: &[&Arc<Endpoint>], records: &mut Records, now: Instant) -> bool {
        let limit = self.consecutive_failures;
        let struck = endpoints.iter().filter(|endpoint| limit > 0 && endpoint.tally.run() >= limit).copied();
        let struck: Vec<_> = struck.filter(|endpoint| !records.are_out(&endpoint.instance.id)).collect();
        self.eject(struck, endpoints.len(), records, now)
    }

    /// Ends an interval: ejects those whose success rate is far below the others', and lets those return whose time is
    /// over. Says whether either happened.
    pub(super) fn sweep(&self, endpoints: &[&Arc<Endpoint>], records: &mut Records, now: Instant) -> bool {
        let ejected = self.eject(self.outliers(endpoints, records), endpoints.len(), records, now);
        let mut returned = false;
        for endpoint in endpoints {
            let Some(record) = records.of.get_mut(&endpoint.instance.id) else { continue };
            match record.until {
                Some(until) if until <= now => {
                    record.until = None;
                    endpoint.tally.reset(self.consecutive_failures.saturating_sub(1));
                    tracing::info!(instance = endpoint.instance.id, "an ejected instance is called again");
                    returned = true;
                }
                Some(_) => {}
                None => record.times -= 1,
            }
        }
        records.of.retain(|_, record| record.until.is_some() || record.times > 0);
        ejected || returned
    }

    /// Those whose success rate is far below the others', the worst first. Takes the interval's calls.
    fn outliers<'a>(&self, endpoints: &[&'a Arc<Endpoint>], records: &Records) -> Vec<&'a Arc<Endpoint>> {
        let mut rates: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| !records.are_out(&endpoint.instance.id))
            .map(|endpoint| (*endpoint, endpoint.tally.take()))
            .filter(|(_, calls)| calls.all >= self.request_volume)
            .map(|(endpoint, calls)| (endpoint, 1.0 - f64::from(calls.failed) / f64::from(calls.all)))
            .collect();
        if rates.len() < LEAST_INSTANCES {
            return Vec::new();
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
        let limit = mean - (self.stdev_factor * variance.sqrt()).max(MARGIN);
        rates.retain(|(_, rate)| *rate < limit);
        rates.sort_by(|a, b| a.1.total_cmp(&b.1));
        rates.into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    /// Ejects as many of `outliers`, in order, as may be out of `all`.
    fn eject(&self, outliers: Vec<&Arc<Endpoint>>, all: usize, records: &mut Records, now: Instant) -> bool {
        let room = (all * self.max_ejection_percent as usize / 100).saturating_sub(records.out());
        for endpoint in outliers.iter().take(room) {
            let record = records.of.entry(endpoint.instance.id.clone()).or_default();
            record.times += 1;
            let time = (self.base_ejection_time * record.times)
                .min(self.base_ejection_time.max(self.max_ejection_time));
            record.until = Some(now + time);
            records.ejections += 1;
            tracing::warn!(
                service = endpoint.instance.service,
                instance = endpoint.instance.id,
                "calls fail more than those to others: ejected for {time:?}"
            );
        }
        !outliers.is_empty() && room > 0
    }
}

/// What is remembered of the few instances that were ejected of late.
#[derive(Default)]
pub(super) struct Records {
    of: HashMap<String, Record>,
    /// How often any instance was ejected.
    ejections: u64,
}

#[derive(Default)]
struct Record {
    /// Until when it is out, if it is.
    until: Option<Instant>,
    /// How often it was, less what was forgiven.
    times: u32,
}

impl Records {
    pub(super) fn are_out(&self, id: &str) -> bool {
        !self.of.is_empty() && self.of.get(id).is_some_and(|record| record.until.is_some())
    }

    pub(super) fn ejections(&self) -> u64 {
        self.ejections
    }

    pub(super) fn out(&self) -> usize {
        self.of.values().filter(|record| record.until.is_some()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.of.remove(id);
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        self.of.retain(|id, _| stays(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::endpoint::endpoints;

    struct Scene {
        endpoints: Vec<Arc<Endpoint>>,
        records: Records,
        ejection: Ejection,
        now: Instant,
    }

    impl Scene {
        fn new(count: u16) -> Self {
            let (records, ejection) = Default::default();
            let endpoints = endpoints(count);
            endpoints.iter().for_each(|endpoint| endpoint.tally.count());
            Scene { endpoints, records, ejection, now: Instant::now() }
        }

        fn calls(&self, to: usize, well: u32, failed: u32) {
            // The failures first: not so many in a row are left.
            (0..failed).for_each(|_| self.endpoints[to].count(true));
            (0..well).for_each(|_| self.endpoints[to].count(false));
        }

        fn strike(&mut self) -> Vec<usize> {
            let all: Vec<_> = self.endpoints.iter().collect();
            self.ejection.strike(&all, &mut self.records, self.now);
            self.out()
        }

        fn sweep(&mut self) -> Vec<usize> {
            self.now += self.ejection.interval;
            let all: Vec<_> = self.endpoints.iter().collect();
            self.ejection.sweep(&all, &mut self.records, self.now);
            self.out()
        }

        fn out(&self) -> Vec<usize> {
            let is_out = |&at: &usize| self.records.are_out(&self.endpoints[at].instance.id);
            (0..self.endpoints.len()).filter(is_out).collect()
        }
    }

    #[test]
    fn five_failures_in_a_row_eject_and_four_do_not() {
        let mut scene = Scene::new(10);
        scene.calls(3, 0, 4);
        assert!(scene.strike().is_empty());
        scene.calls(3, 1, 0);
        scene.calls(3, 0, 4);
        assert!(scene.strike().is_empty(), "a success between them");
        scene.calls(3, 0, 1);
        assert_eq!(scene.strike(), [3]);
    }

    #[test]
    fn at_most_half_are_ejected() {
        for (count, most) in [(1, 0), (2, 1), (3, 1), (10, 5)] {
            let mut scene = Scene::new(count);
            (0..count.into()).for_each(|to| scene.calls(to, 0, 5));
            assert_eq!(scene.strike().len(), most, "of {count}");
            assert_eq!(scene.strike().len(), most);
        }
    }

    #[test]
    fn times_grow_up_to_the_longest_and_are_forgiven() {
        let mut scene = Scene::new(10);
        let out_for = |scene: &mut Scene| {
            scene.calls(0, 0, 5);
            assert_eq!(scene.strike(), [0]);
            let began = scene.now;
            while !scene.sweep().is_empty() {}
            (scene.now - began).as_secs()
        };
        assert_eq!([out_for(&mut scene), out_for(&mut scene), out_for(&mut scene)], [30, 60, 90]);
        assert_eq!((3..14).map(|_| out_for(&mut scene)).max(), Some(300));
        (0..13).for_each(|_| drop(scene.sweep()));
        assert_eq!(out_for(&mut scene), 60, "fourteen times, thirteen of them forgiven");
    }

    #[test]
    fn one_that_returns_is_on_probation() {
        let mut scene = Scene::new(10);
        scene.calls(0, 0, 5);
        scene.strike();
        while !scene.sweep().is_empty() {}
        scene.calls(0, 0, 1);
        assert_eq!(scene.strike(), [0]);
        while !scene.sweep().is_empty() {}
        scene.calls(0, 1, 0);
        scene.calls(0, 0, 4);
        assert!(scene.strike().is_empty(), "a first call that goes well ends it");
    }

    #[test]
    fn one_of_ten_that_fails_half_its_calls_is_an_outlier() {
        for count in [4, 5, 10, 100] {
            let mut scene = Scene::new(count);
            (1..count.into()).for_each(|to| scene.calls(to, 99, 1));
            scene.calls(0, 50, 50);
            assert_eq!(scene.sweep(), [0], "of {count}");
        }
    }

    #[test]
    fn the_worst_of_those_that_do_well_is_no_outlier() {
        let mut scene = Scene::new(10);
        (1..10).for_each(|to| scene.calls(to, 100, 0));
        scene.calls(0, 92, 8);
        assert!(scene.sweep().is_empty());
    }

    #[test]
    fn a_failure_of_all_ejects_nobody() {
        let mut scene = Scene::new(10);
        (0..10).for_each(|to| scene.calls(to, 50 + to as u32, 50));
        assert!(scene.sweep().is_empty());
    }

    #[test]
    fn few_calls_or_few_instances_say_nothing() {
        let mut scene = Scene::new(10);
        (1..10).for_each(|to| scene.calls(to, 100, 0));
        scene.calls(0, 10, 9);
        assert!(scene.sweep().is_empty(), "nineteen calls");
        let mut scene = Scene::new(3);
        (1..3).for_each(|to| scene.calls(to, 100, 0));
        scene.calls(0, 10, 90);
        assert!(scene.sweep().is_empty(), "three instances");
    }

    #[test]
    fn bounds_are_told() {
        let wrong = [
            Ejection::new().consecutive_failures(1001),
            Ejection::new().stdev_factor(f64::NAN),
            Ejection::new().request_volume(0),
            Ejection::new().interval(Duration::ZERO),
            Ejection::new().base_ejection_time(Duration::from_secs(86_401)),
            Ejection::new().max_ejection_time(Duration::MAX),
            Ejection::new().max_ejection_percent(51),
        ];
        for one in wrong {
            one.validate().unwrap_err();
        }
        Ejection::new().validate().unwrap();
    }
}
