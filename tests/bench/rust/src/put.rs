//! The process that changes what others follow, led by `putter.py`, which tells it what to put where: below a prefix of
//! etcd, or as which service of another registry.

use std::io::BufRead;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Result;
use crate::modes::{monotonic, say};
use crate::put_catalog::Catalog;
use crate::put_consul::Consul;
use crate::put_etcd::Etcd;
use crate::put_local::Local;

/// Which instance is put again and again.
const CHANGING: u32 = 24;

/// What instances are put into.
pub(crate) trait Store {
    /// One that is ready to be sent.
    type Put;

    /// Instance `number` of a place, as change `n` leaves it.
    fn prepare(&self, place: &str, number: u32, n: u32) -> Result<Self::Put>;

    async fn put(&mut self, put: Self::Put) -> Result<()>;

    /// Instances number 0 to `count`, until all can be read.
    async fn seed(&mut self, place: &str, count: u32) -> Result<()>;
}

/// An instance as callsheet writes it for Consul, under an id that no other service has at the agent; `name` is what the
/// service is called there.
pub(crate) fn on_consul(name: &str, service: &str, number: u32, n: u32) -> serde_json::Value {
    let address = address(number);
    let id = format!("{address}:8080");
    serde_json::json!({
        "ID": format!("{id}~{service}"), name: service, "Address": address, "Port": 8080, "Tags": ["v2"],
        "Meta": {
            "n": n.to_string(), "team": "pay", "callsheet-id": id, "callsheet-zone": "eu-1a",
            "callsheet-version": "1.4.2", "callsheet-owner": "node-7.3f2a9c10d4b8e65f/4711-8f14e45fceea167a",
        },
        "Weights": {"Passing": 1, "Warning": 1},
    })
}

pub(crate) fn address(number: u32) -> String {
    format!("10.0.{}.{}", number / 250, number % 250 + 1)
}

/// Reads `seed COUNT PLACE…`, `put FIRST COUNT PLACE…` and `pace COUNT MICROSECONDS INSTANCES PLACE…`, each a line, until
/// its input ends.
pub(crate) fn serve(registry: &str, endpoint: &str) -> Result<()> {
    // Of one thread, so that as little as possible is between a put and its answer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // After a put, whoever follows is to have done its work, and be asleep again.
    match registry {
        "etcd" => lines(&runtime, runtime.block_on(Etcd::connect(endpoint))?, Duration::from_millis(2)),
        "consul" => lines(&runtime, runtime.block_on(Consul::connect(endpoint))?, Duration::from_millis(10)),
        "catalog" => lines(&runtime, runtime.block_on(Catalog::connect(endpoint))?, Duration::ZERO),
        "local" => lines(&runtime, Local::connect(endpoint)?, Duration::ZERO),
        _ => Err(format!("nobody knows how to put into {registry}").into()),
    }
}

fn lines(runtime: &Runtime, mut store: impl Store, pause: Duration) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        match &words[..] {
            ["seed", count, places @ ..] => {
                let count = count.parse()?;
                for place in places {
                    runtime.block_on(store.seed(place, count))?;
                }
                say("seeded")?;
            }
            ["pace", count, microseconds, instances, places @ ..] => {
                let pause = Duration::from_micros(microseconds.parse()?);
                let done = pace(&mut store, count.parse()?, pause, instances.parse()?, places);
                say(&runtime.block_on(done)?.join(" "))?;
            }
            ["put", first, count, places @ ..] => {
                let first: u32 = first.parse()?;
                let changes = first..first + count.parse::<u32>()?;
                runtime.block_on(put(&mut store, changes, places, pause))?;
            }
            _ => return Err(format!("nobody knows what {line:?} is").into()),
        }
    }
    Ok(())
}

/// Each change at one place after the other, in another order each time. Says of each place, on a line of its own, when
/// the answer to each put was there, as both clocks show it, and how long that took, in nanoseconds.
async fn put(store: &mut impl Store, changes: Range<u32>, places: &[&str], pause: Duration) -> Result<()> {
    let mut said = vec![Vec::new(); places.len()];
    let mut order: Vec<_> = (0..places.len()).collect();
    for n in changes {
        fastrand::shuffle(&mut order);
        for &at in &order {
            let put = store.prepare(places[at], CHANGING, n)?;
            let began = monotonic();
            store.put(put).await?;
            let done = monotonic();
            let of_day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
            said[at].push(format!("{done}:{of_day}:{}", done - began));
            sleep(pause).await;
        }
    }
    said.iter().try_for_each(|said| say(&said.join(" ")))
}

/// Changes number 1 to `count`, one at each pause, each of another instance as long as there are any. When the answer to
/// each was there, by the clock that processes share.
async fn pace(
    store: &mut impl Store,
    count: u32,
    pause: Duration,
    instances: u32,
    places: &[&str],
) -> Result<Vec<String>> {
    let begun = Instant::now();
    let mut answered = Vec::new();
    for n in 1..=count {
        let at = n as usize % places.len();
        let put = store.prepare(places[at], n / places.len() as u32 % instances, n)?;
        sleep_until(begun + pause * n).await;
        store.put(put).await?;
        answered.push(monotonic().to_string());
    }
    Ok(answered)
}
