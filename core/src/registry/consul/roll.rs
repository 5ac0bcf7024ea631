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

struct Lines {
    by_id: HashMap<String, Line>,
    /// How many of these ids are the same but for capitals.
    folded: HashMap<String, usize>,
    added: u64,
    /// The shortest TTL, or a shorter one of somebody who left.
    shortest: Duration,
    reader: Option<AbortHandle>,
}

impl Lines {
    fn insert(&mut self, id: &str, line: Line) {
        if self.by_id.insert(id.to_owned(), line).is_none() {
            *self.folded.entry(folded(id)).or_default() += 1;
        }
    }

    /// Takes off what has this number.
    fn remove(&mut self, id: &str, number: u64) {
        if self.by_id.get(id).is_none_or(|line| line.number != number) {
            return;
        }
        self.by_id.remove(id);
        let folded = folded(id);
        if let Some(count) = self.folded.get_mut(&folded) {
            *count -= 1;
            if *count == 0 {
                self.folded.remove(&folded);
            }
        }
    }
}

fn folded(id: &str) -> String {
    id.chars().flat_map(char::to_lowercase).collect()
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
        self.roll.lines().remove(&self.id, self.number);
    }
}

impl Roll {
    pub(super) fn new(http: Arc<Http>) -> Arc<Self> {
        let (by_id, folded) = Default::default();
        let lines = Lines { by_id, folded, added: 0, shortest: Duration::MAX, reader: None };
        Arc::new(Roll { http, lines: Mutex::new(lines), changed: Notify::new() })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this client has `id` at the agent for another service, or with other capitals, which the catalog takes for
    /// the same id.
    pub(super) fn has_elsewhere(&self, id: &str, service: &str) -> bool {
        let lines = self.lines();
        match lines.by_id.get(id) {
            Some(line) => line.service != service,
            None => lines.folded.contains_key(&folded(id)),
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
        lines.insert(id, line);
        // One alike makes no difference; a shorter one than before is not to wait for the end of a longer pause.
        let shorter = ttl < lines.shortest;
        lines.shortest = lines.shortest.min(ttl);
        if lines.reader.as_ref().is_none_or(AbortHandle::is_finished) {
            lines.reader = Some(tokio::spawn(call(self.clone())).abort_handle());
        }
        drop(lines);
        if shorter {
            self.changed.notify_one();
        }
        Listed { roll: self.clone(), id: id.to_owned(), number, absent: receiver }
    }

    pub(super) fn stop(&self) {
        if let Some(reader) = self.lines().reader.take() {
            reader.abort();
        }
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
        let shortest = {
            let mut lines = roll.lines();
            let shortest = lines.by_id.values().map(|line| line.ttl).min();
            lines.shortest = shortest.unwrap_or(Duration::MAX);
            if shortest.is_none() {
                lines.reader = None;
            }
            shortest
        };
        let Some(shortest) = shortest else { return };
        let pause = (last + shortest / 3).saturating_duration_since(Instant::now());
        // Somebody with a shorter one came.
        if timeout(pause, roll.changed.notified()).await.is_ok() {
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
