//! `dns://resolver:53/suffix`: services as SRV records, or as addresses with a port that the URL names. DNS is asked again
//! when its answer has run out. It has no list of its names, no history, and an empty answer of it proves nothing.

mod answer;
mod ask;
#[cfg(any(test, fuzzing))]
mod fuzzing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use self::answer::Answer;
use self::ask::Resolvers;
#[cfg(any(test, fuzzing))]
pub(crate) use self::fuzzing::fuzz;
use super::{Follow, FollowNames, Listing, Position, Record, Registry, Update};
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::{Code, Error, Result};
use crate::instance::Instance;

/// Between two questions about a service at least: servers such as Consul's give answers that may not be kept at all.
const LEAST: Duration = Duration::from_secs(1);
/// The same at most.
const MOST: Duration = Duration::from_secs(24 * 3600);
/// Loads kept for the follows that go on from them.
const LOADED: usize = 1024;

pub(crate) fn open(config: &Config) -> Result<Arc<dyn Registry>> {
    let suffix = config.url.name.clone();
    let resolvers = Resolvers::new(config.url.endpoints.clone(), config.source(), config.timeout);
    Ok(Arc::new(DnsRegistry(Arc::new(Zone {
        resolvers,
        suffix,
        port: config.port,
        loaded: Mutex::default(),
    }))))
}

struct DnsRegistry(Arc<Zone>);

/// Where the services are.
struct Zone {
    resolvers: Resolvers,
    suffix: String,
    /// Of what has addresses only.
    port: Option<u16>,
    /// What loads found, and when they did, for the follow that goes on from there.
    loaded: Mutex<HashMap<String, (Answer, Instant)>>,
}

impl Zone {
    /// The instances of a service, and for how long that is so.
    async fn ask(&self, service: &str) -> Result<Answer> {
        let dot = if self.suffix.is_empty() { "" } else { "." };
        let plain = format!("{service}{dot}{}.", self.suffix);
        let formal = format!("_{service}._tcp{dot}{}.", self.suffix);
        let mut answer = self.resolvers.services(service, &plain).await?;
        if answer.instances.is_empty() {
            // As RFC 2782 writes it.
            answer = self.resolvers.services(service, &formal).await?.or(answer);
        }
        if answer.instances.is_empty() {
            let addresses = self.resolvers.addresses(&plain).await?;
            match self.port {
                Some(port) => answer = Answer::of_addresses(service, addresses, port).or(answer),
                None if addresses.is_empty() => {}
                None => {
                    let why = format!(
                        "{plain} has addresses in {} but no SRV records, so its port is not known: add ?port=… to the URL",
                        self.resolvers.source
                    );
                    return Err(Error::new(Code::Protocol, why));
                }
            }
        }
        Ok(answer)
    }
}

fn listing(answer: &Answer) -> Listing {
    let record = |instance: &Instance| Record::unowned(instance.clone());
    Listing {
        records: answer.instances.iter().map(record).collect(),
        position: Position { epoch: 0, index: 0 },
        proven: false,
    }
}

#[async_trait]
impl Registry for DnsRegistry {
    fn source(&self) -> &str {
        &self.0.resolvers.source
    }

    async fn ping(&self) -> Result<()> {
        // Whatever it answers, it is there.
        self.0.ask("callsheet").await.map(drop)
    }

    fn writable(&self) -> Result<()> {
        Err(Error::invalid(format!("nothing can be registered in {}: DNS is read only", self.source())))
    }

    async fn load(&self, service: &str, _: Option<Position>) -> Result<Listing> {
        let answer = self.0.ask(service).await?;
        let listing = listing(&answer);
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever finds nothing here asks at once.
        if loaded.len() >= LOADED {
            loaded.clear();
        }
        loaded.insert(service.to_owned(), (answer, Instant::now()));
        Ok(listing)
    }

    async fn follow(&self, service: &str, _: Position) -> Result<Box<dyn Follow>> {
        let loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
        let (told, at) = loaded.unwrap_or_else(|| (Answer::default(), Instant::now()));
        let due = at + told.ttl.clamp(LEAST, MOST);
        Ok(Box::new(Changes { zone: self.0.clone(), service: service.to_owned(), told, due }))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        let why =
            format!("{} can't list services: DNS answers for names that are asked for only", self.source());
        Err(Error::new(Code::Unavailable, why))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        let suffix = if self.0.suffix.is_empty() { "none" } else { &self.0.suffix };
        vec![
            Finding::ok("dns", "resolvers", self.0.resolvers.named()),
            Finding::ok("dns", "suffix", suffix),
            match self.0.port {
                Some(port) => Finding::ok("dns", "port", format!("{port}, where there are no SRV records")),
                None => Finding::ok("dns", "port", "that of SRV records"),
            },
        ]
    }
}

struct Changes {
    zone: Arc<Zone>,
    service: String,
    told: Answer,
    /// When the last answer has run out.
    due: Instant,
}

#[async_trait]
impl Follow for Changes {
    async fn next(&mut self) -> Result<Update> {
        sleep_until(self.due).await;
        let answer = self.zone.ask(&self.service).await?;
        self.due = Instant::now() + answer.ttl.clamp(LEAST, MOST);
        if answer.instances == self.told.instances {
            return Ok(Update::Alive);
        }
        self.told = answer;
        Ok(Update::List(listing(&self.told)))
    }
}
