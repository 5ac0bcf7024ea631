//! `consul://` and `consuls://`: registrations at one agent, with checks that it runs or that are renewed for the user, and
//! queries that wait for changes. The agent may forget, its index may lie, and an empty answer may be none; see `read`.

mod definition;
mod diagnosis;
mod elsewhere;
mod entry;
mod failure;
mod follow;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod greeting;
mod http;
mod known;
mod meta;
mod pools;
mod publication;
mod pulse;
mod read;
mod renewal;
mod roll;
mod token;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::time::Instant;

use self::elsewhere::Elsewhere;
use self::follow::{ConsulFollow, ConsulNames};
#[cfg(any(test, fuzzing))]
pub(crate) use self::fuzzing::fuzz;
use self::http::{Ask, Http};
use self::known::Known;
use self::pulse::Pulse;
use self::roll::Roll;
use self::turns::Turns;
use super::undecodable::Decoder;
use super::{Follow, FollowNames, Listing, Position, Publish, Published, Registry, route};
use crate::config::{Config, Place};
use crate::diagnosis::Finding;
use crate::error::{Error, Result};
use crate::instance::Instance;
use crate::stats::Counters;

/// How long after a break queries wait for short only: servers that come back may have another index for a while.
const UNSETTLED: Duration = Duration::from_secs(60);

/// Loads kept for the follows that go on from them.
const LOADED: usize = 1024;

pub(crate) fn open(config: &Config, counters: Arc<Counters>) -> Result<Arc<dyn Registry>> {
    let agent = config.agent.clone().ok_or_else(|| Error::config("a Consul URL without an agent"))?;
    let turns = Turns::at(&agent.place.to_string());
    let http = Arc::new(Http::new(agent, config.source(), config.timeout, turns.clone())?);
    Ok(Arc::new(ConsulRegistry(Arc::new(Consul {
        pulse: Pulse::new(http.clone()),
        roll: Roll::new(http.clone()),
        elsewhere: Elsewhere::default(),
        decoder: Decoder::new(counters),
        loaded: Mutex::default(),
        broke: Mutex::default(),
        renewals: AtomicU64::new(0),
        turns,
        http,
    }))))
}

/// What the parts of one client's registry share.
struct Consul {
    http: Arc<Http>,
    pulse: Pulse,
    turns: Arc<Turns>,
    roll: Arc<Roll>,
    elsewhere: Elsewhere,
    decoder: Decoder,
    /// What loads found, for the follow that goes on from there.
    loaded: Mutex<HashMap<String, (Position, Known)>>,
    broke: Mutex<Option<Instant>>,
    /// Renewals begun so far: each has its place in the period, far from those of others.
    renewals: AtomicU64,
}

impl Consul {
    fn loaded(&self) -> MutexGuard<'_, HashMap<String, (Position, Known)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, service: &str, position: Position, known: Known) {
        let mut loaded = self.loaded();
        // Whoever finds nothing here reads once more.
        if loaded.len() >= LOADED {
            loaded.clear();
        }
        loaded.insert(service.to_owned(), (position, known));
    }

    /// What was read of a service at `position`.
    fn recall(&self, service: &str, position: Position) -> Option<Known> {
        self.loaded().remove(service).filter(|(at, _)| *at == position).map(|(_, known)| known)
    }

    /// Following broke.
    fn broke(&self) {
        *self.broke.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn unsettled(&self) -> bool {
        let broke = *self.broke.lock().unwrap_or_else(PoisonError::into_inner);
        broke.is_some_and(|at| at.elapsed() < UNSETTLED)
    }

    /// Where in a period the next renewal has its place: steps of the golden ratio fill it evenly, however many come.
    fn phase(&self) -> f64 {
        let number = self.renewals.fetch_add(1, Ordering::Relaxed) as f64;
        (number * 0.618_033_988_749_895).fract()
    }
}

struct ConsulRegistry(Arc<Consul>);

#[async_trait]
impl Registry for ConsulRegistry {
    fn source(&self) -> &str {
        &self.0.http.source
    }

    async fn ping(&self) -> Result<()> {
        let answer = self.0.http.call(Ask::get("/v1/health/service/-", "reach the leader", "")).await?;
        read::believable(&self.0, &answer)
    }

    async fn advertised_address(&self) -> Result<String> {
        if let Place::Tcp(endpoint) = &self.0.http.agent.place
            && let Some(address) = route::towards(std::slice::from_ref(endpoint)).await
        {
            return Ok(address);
        }
        // It need not be there, nor may we have to be allowed to ask.
        if let Ok(Some(address)) = agents_own(&self.0.http).await {
            return Ok(address);
        }
        route::default().await
    }

    fn takes(&self, instance: &Instance) -> Result<()> {
        meta::check(instance)
    }

    async fn publish(&self, publish: Publish) -> Result<Published> {
        publication::publish(&self.0, publish).await
    }

    async fn load(&self, service: &str, since: Option<Position>) -> Result<Listing> {
        read::load(&self.0, service, since).await
    }

    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>> {
        Ok(Box::new(ConsulFollow::open(&self.0, service, from)))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        Ok(Box::new(ConsulNames::new(&self.0)))
    }

    fn runs_checks(&self) -> bool {
        true
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::of(&self.0).await
    }

    async fn close(&self) {
        self.let_go();
    }
}

impl ConsulRegistry {
    fn let_go(&self) {
        self.0.pulse.stop();
        self.0.roll.stop();
        self.0.http.close();
    }
}

impl Drop for ConsulRegistry {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The address that the agent tells others, unless that never leaves the machine.
async fn agents_own(http: &Http) -> Result<Option<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Own {
        member: Member,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Member {
        addr: std::net::IpAddr,
    }
    let answer = http.call(Ask::get(
        "/v1/agent/self",
        "ask the agent for its address",
        "agent_prefix \"\" { policy = \"read\" }",
    ));
    let own: Option<Own> = serde_json::from_slice(&answer.await?.body).ok();
    let address =
        own.map(|own| own.member.addr).filter(|address| !address.is_loopback() && !address.is_unspecified());
    Ok(address.map(|address| address.to_string()))
}
