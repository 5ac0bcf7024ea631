//! The process that `languages.py` follows, weighs and counts: each step is said, then waits for a line.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use callsheet::{Client, Watch, block_on};

use crate::Result;

const WATCHES: usize = 300;

fn say(said: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{said}")?;
    out.flush()?;
    Ok(())
}

fn step(said: &str) -> Result<()> {
    say(said)?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Says when each change was there.
pub(crate) fn follow(url: &str) -> Result<()> {
    let client = Client::connect(url)?;
    block_on(client.wait_for("billing", 1, Duration::from_secs(10)))?;
    let subscription = client.on_change("billing", |snapshot| {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |at| at.as_nanos());
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

/// What many instances weigh, and what a change of one makes anew.
pub(crate) fn hold(url: &str) -> Result<()> {
    let client = Client::connect(url)?;
    block_on(client.lookup("nobody"))?;
    step("empty")?;
    let held = block_on(client.lookup("billing"))?;
    step(&held.len().to_string())?;
    let watch = client.watch("billing")?;
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
