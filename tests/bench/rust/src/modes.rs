//! The process that `bench.py` follows, weighs and counts: each step is said, then waits for a line.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use callsheet::{Client, Registration, Watch, block_on};
use rustix::time::{ClockId, clock_gettime};

use crate::Result;

const WATCHES: usize = 300;
const SPARED: usize = 500;

/// The instance that changes while arrivals are noted.
pub(crate) const CHANGED: &str = "10.0.0.25:8080";

/// Nanoseconds of the clock that processes share.
pub(crate) fn monotonic() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

pub(crate) fn say(said: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{said}")?;
    out.flush()?;
    Ok(())
}

/// Answers each line of the input until it ends.
pub(crate) fn each_line(mut answer: impl FnMut() -> Result<String>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        line?;
        say(&answer()?)?;
    }
    Ok(())
}

pub(crate) fn step(said: &str) -> Result<()> {
    say(said)?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Says when each change was there.
pub(crate) fn follow(url: &str, service: &str) -> Result<()> {
    let client = Client::connect(url)?;
    block_on(client.wait_for(service, 1, Duration::from_secs(10)))?;
    let subscription = client.on_change(service, |snapshot| {
        let at = monotonic();
        for instance in &snapshot {
            let body = instance.metadata.get("n").map_or("", |body| body);
            say(&format!("{at} {body}")).expect("somebody reads this");
        }
    })?;
    step("ready")?;
    drop(subscription);
    block_on(client.close())?;
    Ok(())
}

/// When which change was there.
#[derive(Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Vec<String>>>);

impl Arrivals {
    pub(crate) fn note(&self, change: Option<&String>) {
        let at = monotonic();
        let noted = format!("{}:{at}", change.map_or("0", |change| change));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }

    /// Says for each line what was noted since the last one; once the first list is there.
    pub(crate) fn tell(&self) -> Result<()> {
        while self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        say("ready")?;
        each_line(
            || Ok(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).join(" ")),
        )
    }
}

/// Notes when each change was there, of so many other services too.
pub(crate) fn arrive(url: &str, service: &str, others: usize) -> Result<()> {
    let client = Client::connect(url)?;
    let arrivals = Arrivals::default();
    let mut subscriptions = Vec::new();
    for followed in (0..others).map(|n| format!("service-{n}")).chain([service.to_owned()]) {
        let noting = arrivals.clone();
        subscriptions.push(client.on_change(&followed, move |snapshot| {
            noting.note(snapshot.get(CHANGED).and_then(|instance| instance.metadata.get("n")));
        })?);
        block_on(client.lookup(&followed))?;
    }
    arrivals.tell()?;
    drop(subscriptions);
    block_on(client.close())?;
    Ok(())
}

/// Says how long each way from nothing to the first list took.
pub(crate) fn first(url: &str, service: &str) -> Result<()> {
    each_line(|| {
        let began = Instant::now();
        let client = Client::connect(url)?;
        let snapshot = block_on(client.lookup(service))?;
        let read: usize = snapshot.iter().map(|instance| instance.id.len()).sum();
        let took = began.elapsed();
        block_on(client.close())?;
        Ok(format!("{} {read}", took.as_secs_f64() * 1e3))
    })
}

/// Says how long lookups take that are refused because the breaker is open.
pub(crate) fn spared(url: &str, service: &str) -> Result<()> {
    let client = Client::connect(url)?;
    let lookup = |n: usize| {
        let began = Instant::now();
        let failed = block_on(client.lookup(&format!("{service}-{n}"))).is_err();
        assert!(failed, "the registry is there");
        began.elapsed()
    };
    let mut asked = 0;
    while client.stats()?.breaker_open == 0 {
        lookup(asked);
        asked += 1;
    }
    let mut took = Vec::new();
    for n in asked..asked + SPARED {
        took.push(format!("{:.4}", lookup(n).as_secs_f64() * 1e3));
    }
    say(&took.join(" "))?;
    block_on(client.close())?;
    Ok(())
}

/// Keeps so many registrations.
pub(crate) fn register(url: &str, count: u16) -> Result<()> {
    let client = Client::connect(url)?;
    for port in 1..=count {
        block_on(client.register(Registration::new("many").address("10.0.0.1").port(port)))?;
    }
    step("registered")?;
    // So many may take longer than a client has for that; their server ends with them.
    _ = block_on(client.close());
    Ok(())
}

/// Follows so many services and does nothing.
pub(crate) fn idle(url: &str, count: usize) -> Result<()> {
    let client = Client::connect(url)?;
    let watches =
        (0..count).map(|n| client.watch(&format!("service-{n}"))).collect::<Result<Vec<Watch>, _>>()?;
    for watch in &watches {
        block_on(watch.next()).ok_or("the watch ended")?;
    }
    step("idle")?;
    block_on(client.close())?;
    Ok(())
}

/// What many instances weigh, and what a change of one makes anew.
pub(crate) fn hold(url: &str, service: &str) -> Result<()> {
    let client = Client::connect(url)?;
    block_on(client.lookup("nobody"))?;
    step("empty")?;
    let held = block_on(client.lookup(service))?;
    step(&held.len().to_string())?;
    let watch = client.watch(service)?;
    let next = || block_on(watch.next()).ok_or("the watch ended");
    let before = next()?;
    say("watching")?;
    let mut fresh = 0;
    while fresh == 0 {
        fresh = next()?.iter().zip(&before).filter(|(new, old)| !Arc::ptr_eq(new, old)).count();
    }
    step(&fresh.to_string())?;
    block_on(client.close())?;
    Ok(())
}

/// Many services followed at once.
pub(crate) fn watches(url: &str) -> Result<()> {
    let client = Client::connect(url)?;
    block_on(client.lookup("nobody"))?;
    step("before")?;
    let mut all: Vec<Watch> = Vec::new();
    for n in 0..WATCHES {
        let watch = client.watch(&format!("service-{n}"))?;
        block_on(watch.next()).ok_or("the watch ended")?;
        all.push(watch);
    }
    step("after")?;
    block_on(client.close())?;
    Ok(())
}
