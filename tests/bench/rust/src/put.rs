//! The process that changes what others follow in etcd: led by `etcd.py`, which tells it what to put.

use std::io::BufRead;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use etcd_client::{Client, Txn, TxnOp};

use crate::Result;
use crate::modes::{monotonic, say};

/// Between two puts: whoever follows has done its work, and is asleep again.
const PAUSE: Duration = Duration::from_millis(2);
/// Which instance is put again and again.
const CHANGING: u32 = 24;
/// How many operations a transaction of etcd's may have.
const OPERATIONS: u32 = 100;

fn id(number: u32) -> String {
    format!("10.0.{}.{}:8080", number / 250, number % 250 + 1)
}

/// An instance as callsheet writes it.
fn value(number: u32, n: u32) -> String {
    let id = id(number);
    let address = id.split(':').next();
    serde_json::json!({
        "id": id, "service": "billing", "address": address, "port": 8080, "scheme": "http", "tags": ["v2"],
        "metadata": {"n": n.to_string(), "team": "pay"}, "weight": 1, "zone": "eu-1a", "version": "1.4.2",
        "status": "passing", "owner": "node-7.3f2a9c10d4b8e65f/4711-8f14e45fceea167a",
    })
    .to_string()
}

/// Reads `seed PREFIX COUNT` and `put FIRST COUNT PREFIX…`, each a line, until its input ends.
pub(crate) fn serve(endpoint: &str) -> Result<()> {
    // Of one thread, so that as little as possible is between a put and its answer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut client = runtime.block_on(Client::connect([endpoint], None))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        match &words[..] {
            ["seed", prefix, count] => runtime.block_on(seed(&mut client, prefix, count.parse()?))?,
            ["put", first, count, prefixes @ ..] => {
                let first: u32 = first.parse()?;
                runtime.block_on(put(&mut client, first..first + count.parse::<u32>()?, prefixes))?;
            }
            _ => return Err(format!("nobody knows what {line:?} is").into()),
        }
    }
    Ok(())
}

/// Instances number 0 to `count`.
async fn seed(client: &mut Client, prefix: &str, count: u32) -> Result<()> {
    for first in (0..count).step_by(OPERATIONS as usize) {
        let numbers = first..count.min(first + OPERATIONS);
        let puts: Vec<_> =
            numbers.map(|n| TxnOp::put(format!("{prefix}{}", id(n)), value(n, 0), None)).collect();
        client.txn(Txn::new().and_then(puts)).await?;
    }
    say("seeded")
}

/// Each change under one prefix after the other, in another order each time. Says of each prefix, on a line of its own,
/// when the answer to each put was there, as both clocks show it, and how long that took, in nanoseconds.
async fn put(client: &mut Client, changes: Range<u32>, prefixes: &[&str]) -> Result<()> {
    let mut said = vec![Vec::new(); prefixes.len()];
    let mut order: Vec<_> = (0..prefixes.len()).collect();
    for n in changes {
        fastrand::shuffle(&mut order);
        for &at in &order {
            let (key, value) = (format!("{}{}", prefixes[at], id(CHANGING)), value(CHANGING, n));
            let began = monotonic();
            client.put(key, value, None).await?;
            let done = monotonic();
            let of_day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
            said[at].push(format!("{done}:{of_day}:{}", done - began));
            tokio::time::sleep(PAUSE).await;
        }
    }
    said.iter().try_for_each(|said| say(&said.join(" ")))
}
