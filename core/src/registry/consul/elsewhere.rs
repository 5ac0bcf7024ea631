//! Who else has an id, at another agent: ids are unique per agent only, but a default id that two machines share is a
//! mistake. Asked for each registration; whoever registers many of a service reads its list instead, as each of those
//! questions costs the servers a look at all of its instances.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::Consul;
use super::meta;
use super::publication::filtered;
use super::read;
use crate::registry::{Owner, Record};

/// How long the servers are asked for an id before it is taken.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a list tells who has which id. Whoever comes in between is met like one who comes a moment later.
const FRESH: Duration = Duration::from_secs(1);
/// Questions about one service in that time, before its list is read: one is long where a service is large.
const FEW: u32 = 8;
/// Services of which something is kept.
const SERVICES: usize = 64;

/// The owners of each id.
type Owners = HashMap<String, Vec<Owner>>;

#[derive(Default)]
pub(super) struct Elsewhere {
    services: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Recent>>>>,
}

/// What was asked about a service a moment ago.
struct Recent {
    since: Instant,
    questions: u32,
    owners: Option<Owners>,
}

impl Recent {
    fn new() -> Self {
        Recent { since: Instant::now(), questions: 0, owners: None }
    }

    /// Counts a question; says whether there have been only few.
    fn are_few(&mut self) -> bool {
        if self.since.elapsed() >= FRESH {
            *self = Recent::new();
        }
        self.questions += 1;
        self.questions <= FEW
    }
}

impl Elsewhere {
    /// Somebody else, alive, who has `id` for the service of `record`; nobody where no server answers.
    pub(super) async fn owner(&self, consul: &Consul, record: &Record, id: &str) -> Option<Owner> {
        let service = &record.instance.service;
        let recent = self.recent(service);
        let mut recent = recent.lock().await;
        let owners = if recent.are_few() {
            drop(recent);
            ask(consul, service, Some(id)).await.remove(id)
        } else {
            if recent.owners.is_none() {
                *recent = Recent { owners: Some(ask(consul, service, None).await), ..Recent::new() };
                recent.questions = FEW;
            }
            recent.owners.as_ref().and_then(|owners| owners.get(id).cloned())
        };
        owners?.into_iter().find(|owner| Some(owner) != record.owner.as_ref())
    }

    fn recent(&self, service: &str) -> Arc<tokio::sync::Mutex<Recent>> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if services.len() >= SERVICES && !services.contains_key(service) {
            services.clear();
        }
        let new = || Arc::new(tokio::sync::Mutex::new(Recent::new()));
        services.entry(service.to_owned()).or_insert_with(new).clone()
    }
}

/// The owners of the instances that pass, of those with an id or of all.
async fn ask(consul: &Consul, service: &str, id: Option<&str>) -> Owners {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry<'a> {
        #[serde(borrow)]
        service: Service<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Service<'a> {
        #[serde(borrow, rename = "ID", default)]
        id: Cow<'a, str>,
        #[serde(borrow, default)]
        meta: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
    }
    let ask = read::service(consul, service).with("passing", "").with("stale", "");
    let ask = match id {
        Some(id) => filtered(ask, "Service.ID", id),
        None => ask,
    };
    let mut owners = Owners::new();
    // An agent that is cut off from its servers takes registrations nevertheless.
    if let Ok(Ok(answer)) = timeout(PATIENCE, consul.http.call(ask)).await {
        let entries: Vec<Entry<'_>> = serde_json::from_slice(&answer.body).unwrap_or_default();
        for Entry { service: Service { id, meta } } in entries {
            let meta = meta.iter().flatten().map(|(key, value)| (&**key, &**value));
            if let Some(owner) = meta::owner(meta) {
                owners.entry(id.into_owned()).or_default().push(owner);
            }
        }
    }
    owners
}
