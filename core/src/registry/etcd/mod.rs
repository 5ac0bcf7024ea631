//! `etcd://` and `etcds://`: one connection to the endpoint in use, one watch stream, and leases that registrations share.
//! The rules that keep it true are those of the protocol: resume after the last revision, read again after a compaction.

mod diagnosis;
mod dial;
mod failure;
mod follow;
mod fragments;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod hub;
mod keys;
mod lease;
mod publication;
mod session;
mod sessions;
mod stream;
mod watcher;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::GetOptions;

use self::follow::{EtcdFollow, EtcdNames};
#[cfg(any(test, fuzzing))]
pub(crate) use self::fuzzing::fuzz;
use self::hub::Hub;
use self::keys::Keys;
use self::lease::Leases;
use self::sessions::Sessions;
use super::undecodable::Decoder;
use super::{Follow, FollowNames, Listing, Position, Publish, Published, Registry, route};
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::{Error, Result};
use crate::stats::Counters;
use crate::tls;

pub(crate) fn open(config: &Config, counters: Arc<Counters>) -> Result<Arc<dyn Registry>> {
    let remote = config.remote.clone().ok_or_else(|| Error::config("an etcd URL without endpoints"))?;
    if let Some(files) = &remote.tls {
        // Said now rather than by the first connection.
        tls::client(files, &[])?;
        for endpoint in &remote.endpoints {
            tls::server_name(files, &endpoint.host)?;
        }
    }
    let keys = Keys::new(&remote.prefix);
    let sessions = Arc::new(Sessions::new(remote, config.source(), config.timeout));
    Ok(Arc::new(EtcdRegistry(Arc::new(Etcd {
        hub: Hub::new(sessions.clone()),
        leases: Leases::new(sessions.clone()),
        decoder: Decoder::new(counters),
        keys,
        sessions,
    }))))
}

/// What the parts of one client's registry share.
struct Etcd {
    keys: Keys,
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    leases: Leases,
    decoder: Decoder,
}

struct EtcdRegistry(Arc<Etcd>);

#[async_trait]
impl Registry for EtcdRegistry {
    fn source(&self) -> &str {
        &self.0.sessions.source
    }

    async fn ping(&self) -> Result<()> {
        self.0.sessions.ask_now();
        let key = self.0.keys.all();
        let what = format!("read {key}");
        let asked = self.0.sessions.call(&what, |mut client| async move {
            client.get(key, Some(GetOptions::new().with_keys_only())).await
        });
        asked.await.map(drop)
    }

    async fn advertised_address(&self) -> Result<String> {
        match route::towards(&self.0.sessions.remote.endpoints).await {
            Some(address) => Ok(address),
            None => route::default().await,
        }
    }

    async fn publish(&self, publish: Publish) -> Result<Published> {
        publication::publish(&self.0, publish).await
    }

    async fn load(&self, service: &str, since: Option<Position>) -> Result<Listing> {
        follow::load(&self.0, service, since).await
    }

    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>> {
        Ok(Box::new(EtcdFollow::open(&self.0, service, from)))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        Ok(Box::new(EtcdNames::new(self.0.clone())))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::of(&self.0).await
    }

    async fn close(&self) {
        self.0.leases.settle().await;
        self.let_go();
    }
}

impl EtcdRegistry {
    fn let_go(&self) {
        self.0.hub.close();
        self.0.leases.close();
        self.0.sessions.close();
    }
}

impl Drop for EtcdRegistry {
    fn drop(&mut self) {
        self.let_go();
    }
}
