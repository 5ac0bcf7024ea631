//! Which of a client's instances its agent still knows, and as whose: one read of all for all of them, each third of the
//! shortest TTL. An agent forgets what it is told when its disk is wiped, and lets anyone replace an id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::http::{Ask, Http};
use super::meta;
use crate::error::{Code, Error, Result};
use crate::registry::Owner;

/// The service and the owner of each id that the agent has.
pub(super) type Services = HashMap<String, (String, Option<Owner>)>;

/// What the roll found out about an instance.
#[derive(Clone, Debug)]
pub(super) enum Absence {
    /// The agent does not know it.
    Forgotten,
    /// The agent knows the id as somebody else's.
    Replaced,
    /// The agent did not answer for longer than the TTL.
    Silent(Error),
}

pub(super) struct Roll {
    http: Arc<Http>,
    lines: Mutex<Lines>,
    changed: Notify,
}

#[derive(Default)]
struct Lines {
    by_id: HashMap<String, Line>,
    added: u64,
    reader: Option<AbortHandle>,
}

struct Line {
    /// Tells one from another of the same id.
    number: u64,
    service: String,
    owner: Option<Owner>,
    ttl: Duration,
    seen: Instant,
    absent: watch::Sender<Option<Absence>>,
}

/// One instance's line on the roll, until it is dropped.
pub(super) struct Listed {
    roll: Arc<Roll>,
    id: String,
    number: u64,
    pub(super) absent: watch::Receiver<Option<Absence>>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut lines = self.roll.lines();
        if lines.by_id.get(&self.id).is_some_and(|line| line.number == self.number) {
            lines.by_id.remove(&self.id);
        }
    }
}

impl Roll {
    pub(super) fn new(http: Arc<Http>) -> Arc<Self> {
        Arc::new(Roll { http, lines: Mutex::default(), changed: Notify::new() })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this client has `id` at the agent for another service, or with other capitals, which the catalog takes for
    /// the same id.
    pub(super) fn has_elsewhere(&self, id: &str, service: &str) -> bool {
        fn folded(id: &str) -> impl Iterator<Item = char> {
            id.chars().flat_map(char::to_lowercase)
        }
        let lines = self.lines();
        match lines.by_id.get(id) {
            Some(line) => line.service != service,
            None => lines.by_id.keys().any(|known| folded(known).eq(folded(id))),
        }
    }

    /// Puts an instance on the roll that was just registered.
    pub(super) fn add(
        self: &Arc<Self>,
        id: &str,
        service: &str,
        owner: Option<Owner>,
        ttl: Duration,
    ) -> Listed {
        let mut lines = self.lines();
        lines.added += 1;
        let (absent, receiver) = watch::channel(None);
        let number = lines.added;
        let line = Line { number, service: service.to_owned(), owner, ttl, seen: Instant::now(), absent };
        lines.by_id.insert(id.to_owned(), line);
        if lines.reader.as_ref().is_none_or(AbortHandle::is_finished) {
            lines.reader = Some(tokio::spawn(call(self.clone())).abort_handle());
        }
        drop(lines);
        // A shorter TTL than before is not to wait for the end of a longer pause.
        self.changed.notify_one();
        Listed { roll: self.clone(), id: id.to_owned(), number, absent: receiver }
    }

    pub(super) fn stop(&self) {
        if let Some(reader) = self.lines().reader.take() {
            reader.abort();
        }
    }

    /// Between two reads; `None` with nobody on the roll.
    fn period(&self) -> Option<Duration> {
        self.lines().by_id.values().map(|line| line.ttl).min().map(|ttl| ttl / 3)
    }

    fn compare(&self, before: u64, found: &Services) {
        let now = Instant::now();
        // Who came while the agent was asked need not be in its answer.
        for (id, line) in self.lines().by_id.iter_mut().filter(|(_, line)| line.number <= before) {
            line.seen = now;
            let absence = match found.get(id) {
                None => Some(Absence::Forgotten),
                Some((service, owner)) if *service != line.service || *owner != line.owner => {
                    Some(Absence::Replaced)
                }
                Some(_) => None,
            };
            if let Some(absence) = absence {
                line.absent.send_replace(Some(absence));
            }
        }
    }

    fn silent(&self, error: &Error) {
        for line in self.lines().by_id.values() {
            if line.seen.elapsed() >= line.ttl {
                line.absent.send_replace(Some(Absence::Silent(error.clone())));
            }
        }
    }
}

/// Reads again and again, until nobody is on the roll.
async fn call(roll: Arc<Roll>) {
    let mut last = Instant::now();
    loop {
        let period = {
            let mut lines = roll.lines();
            match lines.by_id.values().map(|line| line.ttl).min() {
                Some(ttl) => ttl / 3,
                None => {
                    lines.reader = None;
                    return;
                }
            }
        };
        let pause = (last + period).saturating_duration_since(Instant::now());
        if timeout(pause, roll.changed.notified()).await.is_ok()
            && last.elapsed() < roll.period().unwrap_or_default()
        {
            continue;
        }
        last = Instant::now();
        let before = roll.lines().added;
        match read(&roll.http).await {
            Ok(found) => roll.compare(before, &found),
            Err(error) if error.code() == Code::Closed => return,
            Err(error) => roll.silent(&error),
        }
    }
}

/// Asks the agent what it has.
async fn read(http: &Http) -> Result<Services> {
    let rule = "service_prefix \"\" { policy = \"read\" }";
    let answer = http.call(Ask::get("/v1/agent/services", "list what the agent has", rule)).await?;
    services(&answer.body).map_err(|error| {
        let why = format!("what {} answers is no list of services", http.source);
        Error::new(Code::Protocol, why).with_cause(error)
    })
}

pub(super) fn services(body: &[u8]) -> serde_json::Result<Services> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Service<'a> {
        #[serde(borrow, default)]
        service: std::borrow::Cow<'a, str>,
        #[serde(borrow, default)]
        meta: Option<HashMap<std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>>>,
    }
    let services: HashMap<String, Service<'_>> = serde_json::from_slice(body)?;
    let line = |(id, service): (String, Service<'_>)| {
        let meta = service.meta.iter().flatten().map(|(key, value)| (&**key, &**value));
        (id, (service.service.into_owned(), meta::owner(meta)))
    };
    Ok(services.into_iter().map(line).collect())
}
