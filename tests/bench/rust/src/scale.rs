//! The process that `scale.py` weighs and counts: one client with many instances, services or registrations. Each step is
//! said, then waits for a line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callsheet::{Client, Policy, Registration, Snapshot, State, Watch, block_on};

use crate::Result;
use crate::modes::{Arrivals, say, step};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Notes the change of each instance that is not in the last snapshot. Compares objects: to look into all of them would cost
/// more than callsheet does.
fn noting(arrivals: &Arrivals) -> impl FnMut(Snapshot) + Send + use<> {
    let (arrivals, mut last) = (arrivals.clone(), None::<Snapshot>);
    move |snapshot| {
        let before = last.as_ref().map(Snapshot::instances).unwrap_or_default();
        for (at, instance) in snapshot.iter().enumerate() {
            if !before.get(at).is_some_and(|before| Arc::ptr_eq(before, instance)) {
                arrivals.note(instance.metadata.get("n"));
            }
        }
        last = Some(snapshot);
    }
}

/// Follows one service of `count` instances, with a picker too.
pub(crate) fn instances(url: &str, service: &str, count: usize) -> Result<()> {
    let client = Client::connect(url)?;
    step("empty")?;
    let began = Instant::now();
    block_on(client.wait_for(service, count, PATIENCE))?;
    let took = milliseconds(began);
    let arrivals = Arrivals::default();
    let subscription = client.on_change(service, noting(&arrivals))?;
    let picker = block_on(client.picker(service, Policy::P2c))?;
    while picker.len() < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    step(&took.to_string())?;
    arrivals.tell()?;
    drop((subscription, picker));
    block_on(client.close())?;
    Ok(())
}

/// Follows `count` services.
pub(crate) fn services(url: &str, count: usize) -> Result<()> {
    let client = Client::connect(url)?;
    step("empty")?;
    let arrivals = Arrivals::default();
    let names: Vec<_> = (0..count).map(|n| format!("service-{n}")).collect();
    let began = Instant::now();
    let watches = names.iter().map(|name| client.watch(name)).collect::<Result<Vec<Watch>, _>>()?;
    for watch in &watches {
        block_on(watch.next()).ok_or("the watch ended")?;
    }
    let took = milliseconds(began);
    let subscriptions =
        names.iter().map(|name| client.on_change(name, noting(&arrivals))).collect::<Result<Vec<_>, _>>()?;
    drop(watches);
    step(&took.to_string())?;
    arrivals.tell()?;
    drop(subscriptions);
    block_on(client.close())?;
    Ok(())
}

/// Keeps `count` registrations, of one service.
pub(crate) fn registrations(url: &str, count: u16) -> Result<()> {
    let client = Client::connect(url)?;
    step("empty")?;
    let began = Instant::now();
    let mut all = Vec::new();
    for port in 1..=count {
        let registration = Registration::new("many").address("10.0.0.1").port(port);
        all.push(block_on(client.register(registration))?);
    }
    for registered in &all {
        block_on(registered.wait(State::Registered, PATIENCE))?;
    }
    step(&milliseconds(began).to_string())?;
    let began = Instant::now();
    let closed = block_on(client.close());
    say(&format!("{} {}", milliseconds(began), closed.is_ok()))
}
