//! The crate etcd-client used bare, beside which callsheet in Rust is printed: it reads a prefix, watches from there on,
//! decodes and keeps a map. It mends nothing that breaks.

use std::collections::HashMap;
use std::time::Instant;

use etcd_client::{Client, EventType, GetOptions, KeyValue, WatchOptions};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::modes::{Arrivals, CHANGED, each_line, step};
use crate::{Error, Result};

#[derive(Deserialize)]
#[expect(dead_code, reason = "a program would read them")]
struct Instance {
    id: String,
    service: String,
    address: String,
    port: u16,
    scheme: String,
    tags: Vec<String>,
    metadata: HashMap<String, String>,
    weight: u32,
    zone: String,
    version: String,
    status: String,
}

/// By what follows the prefix.
type Instances = HashMap<String, Instance>;

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Before its connection is.
fn end(runtime: &Runtime, following: JoinHandle<()>) {
    following.abort();
    _ = runtime.block_on(following);
}

fn id(prefix: &str, kv: &KeyValue) -> Result<String> {
    Ok(kv.key_str()?.strip_prefix(prefix).unwrap_or_default().to_owned())
}

/// What is there, and as of when.
async fn list(client: &Client, prefix: &str) -> Result<(Instances, i64)> {
    let mut kv = client.kv_client().max_decoding_message_size(64 << 20);
    let answer = kv.get(prefix, Some(GetOptions::new().with_prefix())).await?;
    let mut instances = Instances::new();
    for kv in answer.kvs() {
        instances.insert(id(prefix, kv)?, serde_json::from_slice(kv.value())?);
    }
    Ok((instances, answer.header().ok_or("an answer without a header")?.revision()))
}

/// Calls back with each change that is in the map.
async fn follow(client: Client, prefix: String, changed: impl Fn(&Instances)) -> Result<()> {
    let (mut instances, revision) = list(&client, &prefix).await?;
    changed(&instances);
    let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1);
    let mut stream = client.watch_client().watch(prefix.as_str(), Some(options)).await?;
    while let Some(response) = stream.message().await? {
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            let id = id(&prefix, kv)?;
            match event.event_type() {
                EventType::Put => _ = instances.insert(id, serde_json::from_slice(kv.value())?),
                EventType::Delete => _ = instances.remove(&id),
            }
        }
        changed(&instances);
    }
    Err("the watch ended".into())
}

/// Notes when each change was there.
pub(crate) fn arrive(endpoint: &str, prefix: &str) -> Result<()> {
    let runtime = runtime()?;
    let arrivals = Arrivals::default();
    let client = runtime.block_on(Client::connect([endpoint], None))?;
    let noting = arrivals.clone();
    let following = follow(client, prefix.to_owned(), move |instances| {
        noting.note(instances.get(CHANGED).and_then(|instance| instance.metadata.get("n")));
    });
    let following = runtime.spawn(async { following.await.expect("nothing breaks here") });
    arrivals.tell()?;
    end(&runtime, following);
    Ok(())
}

/// Says how long each way from nothing to the first list took.
pub(crate) fn first(endpoint: &str, prefix: &str) -> Result<()> {
    let runtime = runtime()?;
    each_line(|| {
        let began = Instant::now();
        let (client, instances) = runtime.block_on(async {
            let client = Client::connect([endpoint], None).await?;
            let (instances, _) = list(&client, prefix).await?;
            Ok::<_, Error>((client, instances))
        })?;
        let read: usize = instances.values().map(|instance| instance.id.len()).sum();
        let took = began.elapsed();
        drop((client, instances));
        Ok(format!("{} {read}", took.as_secs_f64() * 1e3))
    })
}

/// What many instances weigh.
pub(crate) fn hold(endpoint: &str, prefix: &str) -> Result<()> {
    let runtime = runtime()?;
    let client = runtime.block_on(async {
        let client = Client::connect([endpoint], None).await?;
        list(&client, "/nobody/").await?;
        Ok::<_, Error>(client)
    })?;
    step("empty")?;
    let (filled, count) = std::sync::mpsc::channel();
    let following = follow(client, prefix.to_owned(), move |instances| _ = filled.send(instances.len()));
    let following = runtime.spawn(async { following.await.expect("nothing breaks here") });
    step(&count.recv()?.to_string())?;
    end(&runtime, following);
    Ok(())
}
