//! `local:`: the processes of one machine find each other through a SQLite file, without a server. Each process has one
//! thread per file (`actor`); this is the async face of it. Nothing here blocks, and `open` touches no disk.

mod actor;
mod clock;
mod database;
mod diagnosis;
mod events;
mod fault;
mod follow;
mod gate;
mod mailbox;
mod news;
mod owner_file;
mod pace;
mod place;
mod publication;
mod reading;
mod reaper;
mod request;
mod rows;
mod transaction;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::follow::{LocalFollow, LocalNames};
use self::mailbox::{Hold, Lease, Settings};
use self::place::Place;
use self::publication::LocalPublication;
use self::request::{Answer, Key, Read, Request, Write};
use super::undecodable::Decoder;
use super::{Follow, FollowNames, Listing, Position, Publish, Published, Registry};
use crate::codec;
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::Result;
use crate::fork::Owned;
use crate::stats::Counters;

/// The registry of a `local:` URL.
pub(crate) fn open(config: &Config, counters: Arc<Counters>) -> Result<Arc<dyn Registry>> {
    Ok(Arc::new(Local::new(config, counters, Settings::default())))
}

struct Local {
    source: String,
    place: Place,
    settings: Settings,
    decoder: Decoder,
    /// The thread, from the first use on.
    hold: Owned<Mutex<Option<Hold>>>,
}

impl Local {
    fn new(config: &Config, counters: Arc<Counters>, settings: Settings) -> Self {
        gate::watch_forks();
        let place = Place::new(config.url.path.as_deref());
        let source = match &config.url.path {
            Some(_) => config.source().to_owned(),
            None => format!("local://{}", place.database().display()),
        };
        Local { source, place, settings, decoder: Decoder::new(counters), hold: Owned::new(Mutex::default()) }
    }

    fn lease(&self) -> Result<Arc<Lease>> {
        let mut hold = self.hold.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        match &*hold {
            Some(hold) if hold.lease().is_open() => Ok(hold.lease().clone()),
            _ => Ok(hold.insert(Hold::new(Lease::of(&self.place, &self.settings)?)).lease().clone()),
        }
    }
}

#[async_trait]
impl Registry for Local {
    fn source(&self) -> &str {
        &self.source
    }

    async fn ping(&self) -> Result<()> {
        self.lease()?.ask(|reply| Request::Read(Read::Ping { reply })).await
    }

    async fn advertised_address(&self) -> Result<String> {
        Ok("127.0.0.1".to_owned())
    }

    async fn publish(&self, publish: Publish) -> Result<Published> {
        let lease = self.lease()?;
        let instance = &publish.record.instance;
        let key = Key { service: instance.service.clone(), id: instance.id.clone() };
        let body = codec::encode(&publish.record);
        let owner = publish.record.owner.clone();
        let ttl = publish.ttl.as_millis() as u64;
        let claim = publish.claim;
        let answer = lease.ask(|reply| {
            Request::Write(Write::Publish(request::Publish { key, body, owner, ttl, claim, reply }))
        });
        match answer.await? {
            Answer::Ours(claimed) => Ok(Published::Ours(Box::new(LocalPublication::new(claimed, lease)))),
            Answer::Held(rival) => Ok(Published::Held(rival.into())),
        }
    }

    async fn load(&self, service: &str, since: Option<Position>) -> Result<Listing> {
        let name = service.to_owned();
        let loaded = self.lease()?.ask(|reply| Request::Read(Read::Load { service: name, reply })).await?;
        let position = Position { epoch: loaded.head.birth, index: loaded.head.revision };
        let decode = |(id, body): &(String, Option<Vec<u8>>)| {
            self.decoder.decode(service, id, body.as_deref().unwrap_or_default())
        };
        Ok(Listing {
            records: loaded.rows.iter().filter_map(decode).collect(),
            position,
            // A file that was made anew is empty because everybody has yet to come back.
            proven: since.is_none_or(|since| since.epoch == position.epoch),
        })
    }

    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>> {
        let lease = self.lease()?;
        let name = service.to_owned();
        let slot = lease.ask(|reply| Request::Read(Read::Follow { service: name, from, reply })).await?;
        Ok(Box::new(LocalFollow::new(slot, lease, self.decoder.clone(), service.to_owned())))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        let lease = self.lease()?;
        let names = lease.ask(|reply| Request::Read(Read::Names { reply })).await?;
        Ok(Box::new(LocalNames::new(names, lease)))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::of(self).await
    }

    async fn close(&self) {
        let Ok(hold) = self.hold.get() else { return };
        let hold = hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hold) = hold {
            hold.release().await;
        }
    }
}
