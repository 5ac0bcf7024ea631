//! Calls whom the picker names, twenty times a second.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use callsheet::{Client, Instance, Picker, Policy};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::words::{now, say};

const PAUSE: Duration = Duration::from_millis(50);
/// Calls between two reports of how many there were.
const REPORT: u64 = 20;

pub(crate) struct Caller {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Caller {
    pub(crate) async fn start(client: &Client, service: &str) -> callsheet::Result<Self> {
        let picker = client.picker(service, Policy::P2c).await?;
        let (stop, stopped) = oneshot::channel();
        Ok(Caller { stop, task: tokio::spawn(work(picker, stopped)) })
    }

    pub(crate) async fn end(self) {
        drop(self.stop);
        // It has nothing to give back.
        let _ = self.task.await;
    }
}

async fn work(picker: Picker, mut stopped: oneshot::Receiver<()>) {
    let mut calls = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = sleep(PAUSE) => {}
        }
        calls += 1;
        call(&picker).await;
        if calls % REPORT == 0 {
            say(json!({ "calls": calls }));
        }
    }
    say(json!({ "calls": calls }));
}

async fn call(picker: &Picker) {
    let tried = Mutex::new(Vec::new());
    let began = now();
    let result = picker
        .call(2, |instance| {
            tried.lock().expect("nobody panics").push(instance.id.clone());
            async move {
                let began = now();
                ask(&instance).await.inspect_err(|error| {
                    let why = error.to_string();
                    say(json!({ "attempt": instance.id, "began": began, "ended": now(), "why": why }));
                })
            }
        })
        .await;
    if let Err(error) = result {
        let tried = tried.into_inner().expect("nobody panics");
        say(json!({ "call": tried, "began": began, "ended": now(), "why": error.to_string() }));
    }
}

async fn ask(instance: &Instance) -> io::Result<()> {
    let mut connection = TcpStream::connect((instance.address.as_str(), instance.port)).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    match answer.trim() {
        "" => Err(io::Error::other("cut off")),
        who if who == instance.id => Ok(()),
        who => Err(io::Error::other(format!("answered by {who}"))),
    }
}
