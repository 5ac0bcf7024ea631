//! Following one service, or the names of all: a query that waits, answered when something changed. What comes back is a
//! whole list, of which only the differences go up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use super::Consul;
use super::http::{Answer, Ask};
use super::known::Known;
use super::pulse::Listener;
use super::read;
use super::turns::Follower;
use crate::error::{Code, Error, Result};
use crate::registry::{Follow, FollowNames, Position, Update};

/// Beats after which somebody is told that the registry is alive.
const ALIVE: u64 = 3;
/// Between two tries of the names after one that failed at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Before the next query after an answer without a change: the index of a service that is not there moves with others'.
const CALM: Duration = Duration::from_millis(100);

/// A query that fails sooner than this is asked once more, after a while.
const SOON: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(200);

/// A query under way.
type Query = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// A query that goes on from an index, however often whoever waits for it gives up.
struct Waiting {
    consul: Arc<Consul>,
    listener: Listener,
    index: u64,
    query: Option<Query>,
    alive: u64,
    missed: u64,
    /// The last answer changed nothing.
    calm: bool,
    /// Nothing was answered yet: others may be about to follow more services than there are turns.
    first: bool,
    _follower: Follower,
}

/// What came of waiting.
enum News {
    Answer(Answer),
    Alive,
    /// The index went back: what it counted is no more, or was never so far at who answers now.
    Reload,
}

impl Waiting {
    fn new(consul: Arc<Consul>, index: u64) -> Self {
        let (listener, follower) = (consul.pulse.listen(), consul.turns.follower());
        let missed = listener.beats.borrow().missed;
        Waiting {
            consul,
            listener,
            missed,
            index,
            query: None,
            alive: 0,
            calm: false,
            first: true,
            _follower: follower,
        }
    }

    /// The next news. Cancel-safe: the query goes on.
    async fn next(&mut self, ask: impl Fn(&Consul) -> Ask) -> Result<News> {
        loop {
            let query = self.query.get_or_insert_with(|| {
                Box::pin(query(self.consul.clone(), ask(&self.consul), self.index, self.calm, self.first))
            });
            tokio::select! {
                answer = query.as_mut() => {
                    self.query = None;
                    self.first = false;
                    let answer = answer?;
                    read::believable(&self.consul, &answer)?;
                    let before = std::mem::replace(&mut self.index, answer.index.max(1));
                    return Ok(if self.index < before { News::Reload } else { News::Answer(answer) });
                }
                changed = self.listener.beats.changed() => {
                    let beat = match changed {
                        Ok(()) => self.listener.beats.borrow_and_update().clone(),
                        Err(_) => return Err(Error::closed("client")),
                    };
                    if let Some(error) = beat.failed {
                        self.query = None;
                        return Err(error);
                    }
                    if beat.missed > self.missed {
                        self.missed = beat.missed;
                        self.query = None;
                    }
                    if beat.number >= self.alive + ALIVE {
                        self.alive = beat.number;
                        return Ok(News::Alive);
                    }
                }
            }
        }
    }
}

async fn query(consul: Arc<Consul>, ask: Ask, index: u64, calm: bool, brief: bool) -> Result<Answer> {
    if calm {
        sleep(CALM).await;
    }
    match consul.turns.next(brief || consul.unsettled()).await {
        Some(turn) => {
            let wait = format!("{}ms", turn.wait.as_millis());
            let ask = read::followed(&consul, ask).with("index", index.to_string()).with("wait", wait);
            let began = Instant::now();
            match consul.http.wait(ask.clone(), turn.wait).await {
                // An agent that takes no more connections for a moment ends one at once; one that is down refuses the next.
                Err(error) if error.code() == Code::Unavailable && began.elapsed() < SOON => {
                    sleep(AGAIN).await;
                    consul.http.wait(ask, turn.wait).await
                }
                answered => answered,
            }
        }
        // From the leader, as what it says may be of before the index.
        None => consul.http.call(read::of_leader(ask)).await,
    }
}

pub(super) struct ConsulFollow {
    service: String,
    known: Option<Known>,
    waiting: Waiting,
}

impl ConsulFollow {
    pub(super) fn open(consul: &Arc<Consul>, service: &str, from: Position) -> Self {
        ConsulFollow {
            service: service.to_owned(),
            known: consul.recall(service, from),
            waiting: Waiting::new(consul.clone(), from.index),
        }
    }

    async fn update(&mut self) -> Result<Update> {
        let service = self.service.clone();
        let answer = match self.waiting.next(|consul| read::service(consul, &service)).await? {
            News::Alive => return Ok(Update::Alive),
            News::Reload => return Ok(Update::Reload),
            News::Answer(answer) => answer,
        };
        // What was known is not, so there is nothing to compare with.
        let Some(known) = &mut self.known else { return Ok(Update::Reload) };
        let consul = self.waiting.consul.clone();
        let empty = known.is_empty();
        let changes = read::changes(&consul, &service, known, &answer)?;
        if known.is_empty() && !empty {
            let listing = read::load(&consul, &service, Some(read::position(&answer))).await?;
            self.known = consul.recall(&service, listing.position);
            return Ok(Update::List(listing));
        }
        self.waiting.calm = changes.is_empty();
        if changes.is_empty() {
            return Ok(Update::Alive);
        }
        Ok(Update::Changes { changes, position: read::position(&answer) })
    }
}

#[async_trait]
impl Follow for ConsulFollow {
    async fn next(&mut self) -> Result<Update> {
        let update = self.update().await;
        // What nothing proves is looked at again soon: rights that come back move no index.
        if match &update {
            Err(_) | Ok(Update::Reload) => true,
            Ok(Update::List(listing)) => !listing.proven && listing.records.is_empty(),
            Ok(_) => false,
        } {
            self.waiting.consul.broke();
        }
        update
    }
}

/// Which services there are.
pub(super) struct ConsulNames {
    consul: Arc<Consul>,
    waiting: Option<Waiting>,
    told: Option<Vec<String>>,
    due: Instant,
}

fn catalog(_: &Consul) -> Ask {
    Ask::get("/v1/catalog/services", "list the services", "service_prefix \"\" { policy = \"read\" }")
}

/// The names in an answer, those that can be looked up.
async fn names(consul: &Consul, answer: &Answer) -> Result<Vec<String>> {
    let wrong = |why: &dyn std::fmt::Display| {
        let what = format!("can't list the services in {}: {why}", consul.http.source);
        Error::new(Code::Protocol, what)
    };
    let found: std::collections::BTreeMap<String, serde::de::IgnoredAny> =
        serde_json::from_slice(&answer.body).map_err(|error| wrong(&error))?;
    // The servers are a service themselves, so that there is always one.
    if found.is_empty() {
        let what = "list the services";
        read::not_hidden(consul, what, "").await?;
        if answer.filtered {
            return Err(read::hidden(consul, what, "service_prefix \"\" { policy = \"read\" }"));
        }
    }
    let usable = |name: &String| crate::instance::check_service(name).is_ok();
    Ok(found.into_keys().filter(usable).collect())
}

impl ConsulNames {
    pub(super) fn new(consul: &Arc<Consul>) -> Self {
        ConsulNames { consul: consul.clone(), waiting: None, told: None, due: Instant::now() }
    }

    async fn answer(&mut self) -> Result<Option<Answer>> {
        let Some(waiting) = &mut self.waiting else {
            sleep_until(self.due).await;
            self.due = Instant::now() + PAUSE;
            let answer = self.consul.http.call(read::of_leader(catalog(&self.consul))).await?;
            read::believable(&self.consul, &answer)?;
            self.waiting = Some(Waiting::new(self.consul.clone(), answer.index.max(1)));
            return Ok(Some(answer));
        };
        match waiting.next(catalog).await {
            Ok(News::Answer(answer)) => Ok(Some(answer)),
            Ok(News::Alive) => Ok(None),
            Ok(News::Reload) => {
                self.waiting = None;
                Ok(None)
            }
            Err(error) => {
                self.waiting = None;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl FollowNames for ConsulNames {
    async fn next(&mut self) -> Result<Vec<String>> {
        loop {
            let answer = self.answer().await.inspect_err(|_| self.consul.broke())?;
            let Some(answer) = answer else { continue };
            let names = names(&self.consul, &answer).await?;
            let calm = self.told.as_ref() == Some(&names);
            if let Some(waiting) = &mut self.waiting {
                waiting.calm = calm;
            }
            if !calm {
                self.told = Some(names.clone());
                return Ok(names);
            }
        }
    }
}
