//! Listens, says who it is to all who connect, and is registered meanwhile.

use std::error::Error;
use std::time::Duration;

use callsheet::{Client, Code, Registration, RegistrationHandle};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::words::{now, say};

#[derive(Deserialize)]
pub(crate) struct Command {
    slot: String,
    service: String,
    address: String,
    port: u16,
    id: String,
    ttl: u64,
    n: u64,
}

pub(crate) struct Provider {
    id: String,
    registration: RegistrationHandle,
    serving: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start(client: &Client, command: Command) -> Result<Self, Box<dyn Error>> {
        let Command { slot, service, address, port, id, ttl, n } = command;
        let registration = Registration::new(service)
            .address(&address)
            .port(port)
            .id(&id)
            .ttl(Duration::from_secs(ttl))
            .metadata("n", n.to_string())
            .wait_for_port(true)
            .drain(Duration::from_millis(500));
        let registration = client.register(registration).await?;
        let states = registration.states()?;
        tokio::spawn(async move {
            while let Some(change) = states.next().await {
                say(json!({ "slot": slot, "state": change.state.as_str() }));
            }
        });
        let listener = TcpListener::bind((address.as_str(), port)).await?;
        say(json!({ "listens": id, "at": now() }));
        Ok(Provider { serving: tokio::spawn(serve(listener, id.clone())), id, registration })
    }

    /// Withdraws, lets calls arrive that are on their way, and listens no more.
    pub(crate) async fn end(self) -> Result<(), Box<dyn Error>> {
        match self.registration.close().await {
            // The registry could not be told; it goes with its TTL.
            Err(error) if error.code() != Code::Timeout => return Err(error.into()),
            _ => {}
        }
        say(json!({ "leaves": self.id, "at": now() }));
        self.serving.abort();
        Ok(())
    }
}

async fn serve(listener: TcpListener, id: String) {
    loop {
        if let Ok((mut connection, _)) = listener.accept().await {
            // Who called may have been killed meanwhile.
            let _ = connection.write_all(format!("{id}\n").as_bytes()).await;
        }
    }
}
