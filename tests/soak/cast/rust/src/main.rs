//! Watchers, a caller or a provider in Rust: callsheet-soak URL. What they read and say is told in blocking.py: `watch`,
//! `call` and `serve`, each once.

mod caller;
mod provider;
mod words;

use std::env;
use std::error::Error;
use std::io;
use std::thread;

use callsheet::{Client, Filter, Watch};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use caller::Caller;
use provider::Provider;
use words::say;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Watch {
        number: u64,
        watcher: String,
        service: String,
        healthy: bool,
    },
    Call {
        number: u64,
        service: String,
    },
    Serve {
        number: u64,
        #[serde(flatten)]
        provider: provider::Command,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&env::args().nth(1).ok_or("no URL")?)?;
    let mut lines = lines();
    let mut following = JoinSet::new();
    let mut callers = Vec::new();
    let mut providers = Vec::new();
    while let Some(line) = lines.recv().await {
        let number = match serde_json::from_str(&line)? {
            Command::Watch { number, watcher, service, healthy } => {
                let watch = client.watch_with(&service, &Filter::new().healthy(healthy))?;
                following.spawn(follow(watcher, watch));
                number
            }
            Command::Call { number, service } => {
                callers.push(Caller::start(&client, &service).await?);
                number
            }
            Command::Serve { number, provider } => {
                providers.push(Provider::start(&client, provider).await?);
                number
            }
        };
        say(json!({ "did": number }));
    }
    for caller in callers {
        caller.end().await;
    }
    for provider in providers {
        provider.end().await?;
    }
    client.close().await?;
    following.join_all().await;
    Ok(())
}

/// The lines of the standard input. A thread reads them, as reading can't be awaited.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn follow(watcher: String, watch: Watch) {
    while let Some(snapshot) = watch.next().await {
        let instances: Vec<String> = snapshot
            .iter()
            .map(|i| {
                format!("{} {} {}", i.id, i.metadata.get("n").map_or("", String::as_str), i.status.as_str())
            })
            .collect();
        say(json!({
            "saw": watcher,
            "revision": snapshot.revision(),
            "freshness": snapshot.freshness().as_str(),
            "instances": instances,
        }));
    }
}
