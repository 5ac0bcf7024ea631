//! The day that every policy has: the service, its callers, and what goes wrong.

use std::time::Duration;

use callsheet::Instance;

/// Instances; the last of them joins late.
pub(crate) const INSTANCES: usize = 20;
/// Calls that one works on at once; others wait for their turn.
pub(crate) const WORKERS: usize = 2;
/// Mean of the time that a call needs, exponentially distributed.
pub(crate) const WORK: f64 = 0.020;
/// Programs that call, each with a picker of its own.
pub(crate) const CALLERS: usize = 10;
/// Different keys of calls.
pub(crate) const KEYS: u32 = 10_000;
/// When a caller gives up on a call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
pub(crate) const WHOLE: Duration = Duration::from_secs(90);
/// Calls that begin before this are not counted.
pub(crate) const WARM: Duration = Duration::from_secs(15);
/// Of what all instances together can do, how much is called.
pub(crate) const LOAD: f64 = 0.8;

const SLOW: usize = 4;
const SLOWER: f64 = 10.0;
const FAILING: usize = 9;
const FAILURES: f64 = 0.5;
/// A failure takes less time than an answer.
const FAILURE_WORK: f64 = 0.1;
const COLD: usize = INSTANCES - 1;
/// When the last one joins.
pub(crate) const JOINS: Duration = Duration::from_secs(30);
/// How much longer its first calls take, and until when they still do.
const COLDER: f64 = 5.0;
const WARMING: Duration = Duration::from_secs(15);

/// Calls per second of all callers together.
pub(crate) fn rate() -> f64 {
    let one = WORKERS as f64 / WORK;
    LOAD * one * (INSTANCES as f64 - 1.0 + 1.0 / SLOWER)
}

/// What one call to an instance does.
pub(crate) struct Work {
    pub(crate) takes: Duration,
    pub(crate) fails: bool,
}

pub(crate) fn work(of: usize, now: Duration, random: &mut fastrand::Rng) -> Work {
    let fails = of == FAILING && random.f64() < FAILURES;
    let warmth = now.saturating_sub(JOINS).as_secs_f64() / WARMING.as_secs_f64();
    let factor = match of {
        SLOW => SLOWER,
        FAILING if fails => FAILURE_WORK,
        COLD if warmth < 1.0 => COLDER + (1.0 - COLDER) * warmth,
        _ => 1.0,
    };
    Work { takes: exponential(WORK * factor, random), fails }
}

/// A time with this mean, in seconds.
pub(crate) fn exponential(mean: f64, random: &mut fastrand::Rng) -> Duration {
    Duration::from_secs_f64(-mean * (1.0 - random.f64()).ln())
}

/// The instance of this index.
pub(crate) fn instance(index: usize) -> Instance {
    let mut instance = Instance::new("billing", format!("10.0.{}.{}", index / 250, index % 250), 8080);
    // Lists are sorted by id.
    instance.id = format!("i{index:05}");
    instance
}

/// The index of the instance with this id.
pub(crate) fn index(id: &str) -> usize {
    id[1..].parse().unwrap_or_default()
}
