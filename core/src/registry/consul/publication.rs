//! One instance kept at an agent: who may take its id from whom, its registration, its status, and its withdrawal. The agent
//! compares nothing, so everything is looked at just before it is changed, and the roll finds what changed in between.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Consul;
use super::definition::{self, by_hand_id, check_id};
use super::entry::CheckState;
use super::http::{Ask, encoded};
use super::meta;
use super::renewal::Renewed;
use super::roll::{Absence, Listed};
use crate::error::{Code, Error, Result};
use crate::health::Check;
use crate::instance::{Instance, Status};
use crate::registry::{
    Claim, Holder, Loss, Owner, Publication, Publish, Published, Record, fnv1a, random_u64,
};

/// How a reason for maintenance begins that is ours; any other is an operator's, and theirs to end.
const REASON: &str = "callsheet: ";
/// Between two looks at the holder of an id that is wanted.
const LOOK: Duration = Duration::from_secs(1);

/// The rule that lets an instance be registered, renewed and withdrawn.
pub(super) fn write_rule(service: &str) -> String {
    format!("service {service:?} {{ policy = \"write\" }}")
}

/// What the agent has under an id.
struct Found {
    service: String,
    owner: Option<Owner>,
    /// Names this state of the id.
    version: u64,
    /// Its owner did not renew in time, or its own check fails.
    dead: bool,
    /// In maintenance by our hand, and whether there is a check for a status set by hand.
    drained: bool,
    by_hand: bool,
    /// How the main check is run, if there is one.
    kind: Option<String>,
    /// All other checks but maintenance.
    others: Vec<String>,
}

impl Found {
    /// Whether it may be replaced without asking: our own of before, or that of an owner who is dead.
    fn is_free(&self, record: &Record) -> bool {
        self.owner.is_some() && (self.dead || self.owner == record.owner)
    }
}

/// An agent's answer about one service.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service<'a> {
    #[serde(borrow, default)]
    service: Cow<'a, str>,
    #[serde(borrow, default)]
    meta: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow, default)]
    content_hash: Cow<'a, str>,
}

impl Service<'_> {
    fn owner(&self) -> Option<Owner> {
        meta::owner(self.meta.iter().flatten().map(|(key, value)| (&**key, &**value)))
    }
}

/// Asks the agent about `id` in order to do something to it, and reads what it answers if it knows it.
async fn ask<T>(
    consul: &Consul,
    record: &Record,
    id: &str,
    verb: &str,
    read: impl FnOnce(Service<'_>) -> T,
) -> Result<Option<T>> {
    let Instance { service: name, id: own, .. } = &record.instance;
    let what = format!("{verb} {name}/{own}");
    let ask = Ask::get(format!("/v1/agent/service/{}", encoded(id)), what, write_rule(name));
    let Some(answer) = consul.http.find(ask).await? else { return Ok(None) };
    let service = serde_json::from_slice(&answer.body).map_err(|error| no_service(consul, error))?;
    Ok(Some(read(service)))
}

fn no_service(consul: &Consul, error: serde_json::Error) -> Error {
    let what = format!("what {} answers is no service: is it an agent of Consul?", consul.http.source);
    Error::new(Code::Protocol, what).with_cause(error)
}

/// Whether the agent has `id` by our hand.
async fn has_ours(consul: &Consul, record: &Record, id: &str, verb: &str) -> Result<bool> {
    let owner = ask(consul, record, id, verb, |service| service.owner()).await?;
    Ok(owner.is_some_and(|owner| owner.is_some() && owner == record.owner))
}

/// What the agent has under `id`, if anything, and how it is.
async fn look(consul: &Consul, record: &Record, id: &str) -> Result<Option<Found>> {
    let found = ask(consul, record, id, "register", |service| {
        (service.owner(), fnv1a(service.content_hash.as_bytes()), service.service.into_owned())
    });
    let Some((owner, version, service)) = found.await? else { return Ok(None) };
    let name = &record.instance.service;
    let what = format!("register {name}/{}", record.instance.id);
    let ask = filtered(Ask::get("/v1/agent/checks", what, write_rule(name)), "ServiceID", id);
    let answer = consul.http.call(ask).await?;
    let checks: HashMap<String, CheckState<'_>> =
        serde_json::from_slice(&answer.body).map_err(|error| no_service(consul, error))?;
    let main = checks.get(&check_id(id));
    let maintenance = format!("_service_maintenance:{id}");
    let others = checks
        .iter()
        .filter(|(other, check)| check.service == id && **other != maintenance && **other != check_id(id));
    Ok(Some(Found {
        owner,
        version,
        service,
        // Critical without these words is one that its owner called so, or an agent that has just come back.
        dead: main.is_some_and(|check| check.status == "critical" && check.output.starts_with("TTL expired")),
        drained: checks.get(&maintenance).is_some_and(|check| check.notes.starts_with(REASON)),
        by_hand: checks.contains_key(&by_hand_id(id)),
        kind: main.map(|check| check.kind.clone().into_owned()),
        others: others.map(|(other, _)| other.clone()).collect(),
    }))
}

/// Asks only for what has this id, as far as Consul's filters can write it.
pub(super) fn filtered(ask: Ask, selector: &str, id: &str) -> Ask {
    // Between backticks nothing has a meaning, and there is no way to have one there. Between quotes it is the same.
    match (id.contains('`'), id.contains(['"', '\\'])) {
        (false, _) => ask.with("filter", format!("{selector} == `{id}`")),
        (true, false) => ask.with("filter", format!("{selector} == \"{id}\"")),
        (true, true) => ask,
    }
}

/// An id as the paths of Consul can hold it: from some version on they are decoded twice, and dots lead elsewhere.
fn addressable(id: &str) -> String {
    if !id.contains('%') && !matches!(id, "." | "..") {
        return id.to_owned();
    }
    // What looks the same without the signs is not the same.
    format!("{}~{:08x}", id.replace('%', "_"), fnv1a(id.as_bytes()) as u32)
}

/// Under which id the agent is to know an instance: its own, unless another service has that.
async fn id_at_agent(consul: &Consul, record: &Record) -> Result<(String, Option<Found>)> {
    let (service, id) = (&record.instance.service, &record.instance.id);
    let own = addressable(id);
    let longer = format!("{service}:{own}");
    if !consul.roll.has_elsewhere(&own, service) {
        match look(consul, record, &own).await? {
            Some(found) if found.service != *service && !found.dead => {}
            found => return Ok((own, found)),
        }
    }
    let found = look(consul, record, &longer).await?;
    Ok((longer, found))
}

pub(super) async fn publish(consul: &Arc<Consul>, publish: Publish) -> Result<Published> {
    let Publish { record, ttl, check, claim } = publish;
    let (id, found) = id_at_agent(consul, &record).await?;
    match &found {
        Some(found) if found.is_free(&record) || claim == Claim::Replace(found.version) => {}
        Some(found) => {
            let (owner, version) = (found.owner.clone(), found.version);
            return Ok(Published::Held(holder(consul, record, id, owner, version, ttl)));
        }
        None if claim == Claim::IfFree => {
            if let Some(owner) = consul.elsewhere.owner(consul, &record, &id).await {
                // Whoever may take it, may do so at its own agent.
                return Ok(Published::Held(holder(consul, record, id, Some(owner), 0, ttl)));
            }
        }
        None => {}
    }
    let place = Place { consul: consul.clone(), id, check, ttl };
    let (drained, by_hand) = match found {
        None => {
            place.register(&record).await?;
            (false, false)
        }
        Some(found) if found.owner == record.owner => {
            place.register(&record).await?;
            (found.drained, found.by_hand)
        }
        Some(found) => {
            place.take_over(&record, &found).await?;
            (found.drained, false)
        }
    };
    let checks = place.renewed_checks(&record, by_hand);
    let renewed =
        Arc::new(Renewed { http: consul.http.clone(), ttl, told: Mutex::new((checks, record.clone())) });
    let owner = record.owner.clone();
    let listed = consul.roll.add(&place.id, &record.instance.service, owner, ttl);
    let (over, receiver) = watch::channel(None);
    let mut publication = ConsulPublication {
        place,
        record,
        renewed,
        listed,
        over: receiver,
        drained,
        by_hand,
        tasks: JoinSet::new(),
    };
    publication.tell_status().await?;
    let (renewed, phase) = (publication.renewed.clone(), consul.phase());
    publication.tasks.spawn(async move { renewed.run(phase, &over).await });
    Ok(Published::Ours(Box::new(publication)))
}

/// Resolves once nobody alive has the id any more.
fn holder(
    consul: &Arc<Consul>,
    record: Arc<Record>,
    id: String,
    owner: Option<Owner>,
    version: u64,
    ttl: Duration,
) -> Holder {
    let consul = consul.clone();
    let pause = (ttl / 3).min(LOOK);
    let released = Box::pin(async move {
        loop {
            // Those of one id, of which there may be many on a machine, do not look in step.
            sleep(pause.mul_f64(0.5 + (random_u64() % 1024) as f64 / 1024.0)).await;
            let found = match look(&consul, &record, &id).await {
                Ok(found) => found,
                Err(error) if error.code() == Code::Closed => return,
                Err(_) => continue,
            };
            match found {
                Some(found) if !found.is_free(&record) => {}
                Some(_) => return,
                None if consul.elsewhere.owner(&consul, &record, &id).await.is_some() => {}
                None => return,
            }
        }
    });
    Holder { owner, version, released }
}

/// Where and how an instance is registered.
struct Place {
    consul: Arc<Consul>,
    id: String,
    check: Check,
    ttl: Duration,
}

impl Place {
    fn agent_runs_it(&self) -> bool {
        self.check.kind.by_agent()
    }

    fn ask(&self, record: &Record, path: &str, verb: &str) -> Ask {
        let instance = &record.instance;
        Ask::put(path, format!("{verb} {}/{}", instance.service, instance.id), write_rule(&instance.service))
    }

    async fn register(&self, record: &Record) -> Result<()> {
        let body = definition::service(record, &self.id, &self.check, self.ttl);
        let ask = self.ask(record, "/v1/agent/service/register", "register").body(body);
        self.consul.http.call(ask).await.map(drop)
    }

    /// The same for an id that somebody else had, whose checks say nothing of us. A registration replaces a check only by one
    /// that is run alike. What an operator ordered stays.
    async fn take_over(&self, record: &Record, found: &Found) -> Result<()> {
        if found.kind.as_ref().is_some_and(|kind| *kind != definition::kind(&self.check)) {
            self.take_off(record, &check_id(&self.id)).await?;
        }
        self.register(record).await?;
        for other in &found.others {
            self.take_off(record, other).await?;
        }
        Ok(())
    }

    async fn take_off(&self, record: &Record, check: &str) -> Result<()> {
        let path = format!("/v1/agent/check/deregister/{}", encoded(check));
        self.consul.http.find(self.ask(record, &path, "take a check off")).await.map(drop)
    }

    /// Takes our checks off the instance of another tool, who has the id now: nobody renews them any more, and its instance
    /// would not pass, and be removed, by them.
    async fn take_checks_off(&self, record: &Record) -> Result<()> {
        for check in [check_id(&self.id), by_hand_id(&self.id)] {
            self.take_off(record, &check).await?;
        }
        Ok(())
    }

    /// The checks that run out unless they are renewed.
    fn renewed_checks(&self, record: &Record, by_hand: bool) -> Vec<String> {
        match self.agent_runs_it() {
            false => vec![check_id(&self.id)],
            true if by_hand || is_by_hand(record) => vec![by_hand_id(&self.id)],
            true => Vec::new(),
        }
    }
}

/// Whether a status needs a check of its own beside one that the agent runs.
fn is_by_hand(record: &Record) -> bool {
    matches!(record.instance.status, Status::Warning | Status::Critical)
}

struct ConsulPublication {
    place: Place,
    record: Arc<Record>,
    renewed: Arc<Renewed>,
    listed: Listed,
    over: watch::Receiver<Option<Error>>,
    /// The instance is in maintenance by our hand.
    drained: bool,
    /// There is a check for a status set by hand.
    by_hand: bool,
    tasks: JoinSet<()>,
}

impl ConsulPublication {
    /// Makes the checks say the record's status. Also where the registration has just said it: an agent that is restarted
    /// knows of a check what it was told by renewals, and else takes it for critical.
    async fn tell_status(&mut self) -> Result<()> {
        let (record, place) = (self.record.clone(), &self.place);
        let http = &place.consul.http;
        if place.agent_runs_it() {
            let wanted = is_by_hand(&record);
            if wanted && !self.by_hand {
                let body = definition::by_hand(&record, &place.id, place.ttl);
                http.call(place.ask(&record, "/v1/agent/check/register", "set the status of").body(body))
                    .await?;
                self.by_hand = true;
            }
            if !wanted && self.by_hand {
                self.renewed.told.lock().await.0.clear();
                let path = format!("/v1/agent/check/deregister/{}", encoded(&by_hand_id(&place.id)));
                http.call(place.ask(&record, &path, "set the status of")).await?;
                self.by_hand = false;
            }
        }
        let checks = place.renewed_checks(&record, self.by_hand);
        *self.renewed.told.lock().await = (checks, record.clone());
        self.renewed.once().await.map_err(|failed| failed.unwrap_or_else(|error| error))?;
        let wanted = record.instance.status == Status::Draining;
        if wanted != self.drained {
            let path = format!("/v1/agent/service/maintenance/{}", encoded(&place.id));
            let ask = place.ask(&record, &path, "drain").with("enable", wanted.to_string());
            let reason =
                format!("{REASON}{}", if record.note.is_empty() { "draining" } else { &record.note });
            http.call(ask.with("reason", reason)).await?;
            self.drained = wanted;
        }
        Ok(())
    }

    fn lost_to(&self, why: &str) -> Error {
        let instance = &self.record.instance;
        let source = &self.place.consul.http.source;
        Error::new(
            Code::Unavailable,
            format!("the agent of {source} lost {}/{}: {why}", instance.service, instance.id),
        )
    }

    /// What the roll found means.
    async fn absent(&self, absence: Option<Absence>) -> Loss {
        match absence {
            Some(Absence::Replaced) => self.taker().await,
            Some(Absence::Silent(error)) => Loss::Gone(error),
            Some(Absence::Forgotten) | None => {
                Loss::Gone(self.lost_to("somebody deregistered it, or the agent lost its disk"))
            }
        }
    }

    /// Who has the id now that it is no longer ours.
    async fn taker(&self) -> Loss {
        let Place { consul, id, ttl, .. } = &self.place;
        let found = look(consul, &self.record, id).await;
        if let Ok(Some(Found { owner: None, .. })) = &found
            && let Err(error) = self.place.take_checks_off(&self.record).await
        {
            tracing::warn!(%error, "another tool has the id of a registration now, and our check is still on it");
        }
        match found {
            Ok(Some(found))
                if !found.is_free(&self.record) && found.service == self.record.instance.service =>
            {
                let holder =
                    holder(consul, self.record.clone(), id.clone(), found.owner, found.version, *ttl);
                Loss::Taken(holder)
            }
            _ => Loss::Gone(self.lost_to("somebody registered something else under its id")),
        }
    }
}

#[async_trait]
impl Publication for ConsulPublication {
    async fn lost(&mut self) -> Loss {
        let absence = tokio::select! {
            over = self.over.wait_for(Option::is_some) => Err(over.ok().and_then(|over| over.clone())),
            absent = self.listed.absent.wait_for(Option::is_some) => Ok(absent.ok().and_then(|absent| absent.clone())),
        };
        match absence {
            Err(error) => Loss::Gone(error.unwrap_or_else(|| self.lost_to("nobody renews it"))),
            Ok(absence) => self.absent(absence).await,
        }
    }

    async fn update(&mut self, record: Arc<Record>) -> Result<()> {
        let Place { consul, id, .. } = &self.place;
        if !has_ours(consul, &record, id, "update").await? {
            return Err(self.lost_to("it is no longer ours"));
        }
        let mut before = self.record.instance.clone();
        before.status = record.instance.status;
        if before != record.instance {
            self.place.register(&record).await?;
        }
        self.record = record;
        self.tell_status().await
    }

    async fn withdraw(&mut self) -> Result<()> {
        self.tasks.abort_all();
        let Place { consul, id, .. } = &self.place;
        match ask(consul, &self.record, id, "withdraw", |service| service.owner()).await? {
            None => return Ok(()),
            Some(None) => return self.place.take_checks_off(&self.record).await,
            Some(owner) if owner != self.record.owner => return Ok(()),
            Some(_) => {}
        }
        let path = format!("/v1/agent/service/deregister/{}", encoded(id));
        consul.http.find(self.place.ask(&self.record, &path, "withdraw")).await.map(drop)
    }
}
