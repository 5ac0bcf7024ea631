//! Which endpoint is in use: one at a time, kept while it works, the next one after it when it does not. Requests go
//! through here, with their deadline and the second try that a dead endpoint or an old token deserves.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::Client;
use tokio::time::Instant;

use super::failure::{Remedy, failed};
use super::session::{Session, Unusable};
use crate::backoff::Backoff;
use crate::config::{Endpoint, Remote};
use crate::error::{Code, Error, Result};
use crate::registry::random_u64;

/// Tries of one request.
const TRIES: usize = 3;
/// After all endpoints failed, nobody dials again for at most this long, however many ask.
const QUIET: Duration = Duration::from_secs(1);

pub(super) struct Sessions {
    pub(super) remote: Remote,
    pub(super) source: Arc<str>,
    /// What one request, or getting connected to one endpoint, may take: less than half of what callers wait, so that there is
    /// time to ask another.
    pub(super) limit: Duration,
    current: Mutex<Current>,
    dialling: tokio::sync::Mutex<()>,
}

struct Current {
    session: Option<Arc<Session>>,
    /// The endpoint that is tried next.
    next: usize,
    /// How often all endpoints failed, the last time with this, and when they may be tried again.
    rounds: u64,
    failed: Option<(Error, Instant)>,
    backoff: Backoff,
    closed: bool,
}

impl Sessions {
    pub(super) fn new(remote: Remote, source: &str, timeout: Duration) -> Self {
        // Clients begin at different members.
        let next = random_u64() as usize % remote.endpoints.len();
        let current = Current {
            session: None,
            next,
            rounds: 0,
            failed: None,
            backoff: Backoff::new(QUIET),
            closed: false,
        };
        Sessions {
            remote,
            source: source.into(),
            limit: timeout * 9 / 20,
            current: Mutex::new(current),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session in use; connects if there is none. Safe to drop: the next caller goes on with the next endpoint.
    pub(super) async fn get(&self) -> Result<Arc<Session>> {
        let rounds = match self.known()? {
            Known::Session(session) => return Ok(session),
            Known::Rounds(rounds) => rounds,
        };
        let _turn = self.dialling.lock().await;
        match self.known()? {
            Known::Session(session) => return Ok(session),
            // Those who waited for a round that failed do not each make one of their own.
            Known::Rounds(now) if now != rounds => {
                if let Some((error, _)) = &self.current().failed {
                    return Err(error.clone());
                }
            }
            Known::Rounds(_) => {}
        }
        self.round().await
    }

    fn known(&self) -> Result<Known> {
        let current = self.current();
        if current.closed {
            return Err(Error::closed("client"));
        }
        match (&current.session, &current.failed) {
            (Some(session), _) if !session.is_broken() => Ok(Known::Session(session.clone())),
            (_, Some((error, until))) if Instant::now() < *until => Err(error.clone()),
            _ => Ok(Known::Rounds(current.rounds)),
        }
    }

    /// Tries every endpoint once, beginning with the next.
    async fn round(&self) -> Result<Arc<Session>> {
        let count = self.remote.endpoints.len();
        let mut failed = Vec::with_capacity(count);
        for _ in 0..count {
            let endpoint = {
                let mut current = self.current();
                let endpoint = self.remote.endpoints[current.next].clone();
                current.next = (current.next + 1) % count;
                endpoint
            };
            match Session::open(endpoint.clone(), &self.remote, self.source.clone(), self.limit).await {
                Ok(session) => {
                    let mut current = self.current();
                    if current.closed {
                        return Err(Error::closed("client"));
                    }
                    tracing::debug!(registry = &*self.source, endpoint = %session.endpoint, "connected");
                    current.session = Some(session.clone());
                    current.failed = None;
                    current.backoff.reset();
                    return Ok(session);
                }
                // The members of a cluster agree on passwords and on our files.
                Err(unusable) if unusable.why.refused() || unusable.why.code() == Code::Config => {
                    failed = vec![(endpoint, unusable)];
                    break;
                }
                Err(unusable) => failed.push((endpoint, unusable)),
            }
        }
        let error = self.unusable(failed);
        let mut current = self.current();
        current.rounds += 1;
        let pause = current.backoff.next();
        current.failed = Some((error.clone(), Instant::now() + pause));
        Err(error)
    }

    /// What all endpoints failed with, each reason once.
    fn unusable(&self, all: Vec<(Endpoint, Unusable)>) -> Error {
        let mut reasons: Vec<(Unusable, Vec<String>)> = Vec::new();
        for (endpoint, unusable) in all {
            let text = unusable.why.to_string();
            match reasons.iter_mut().find(|(known, _)| known.why.to_string() == text) {
                Some((_, endpoints)) => endpoints.push(endpoint.to_string()),
                None => reasons.push((unusable, vec![endpoint.to_string()])),
            }
        }
        let source = &self.source;
        if let [(unusable, _)] = &reasons[..] {
            return failed(unusable.what, source, unusable.why.clone());
        }
        let all: Vec<_> =
            reasons.iter().map(|(unusable, at)| format!("{}: {}", at.join(", "), unusable.why)).collect();
        Error::new(Code::Unavailable, format!("can't use any endpoint of {source}: {}", all.join("; ")))
    }

    /// The session does not work: whoever comes next gets another.
    pub(super) fn leave(&self, session: &Arc<Session>) {
        session.break_off();
        let mut current = self.current();
        if current.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            tracing::debug!(registry = &*self.source, endpoint = %session.endpoint, "left");
            current.session = None;
        }
    }

    /// Lets the next caller dial, however lately all endpoints failed.
    pub(super) fn ask_now(&self) {
        self.current().failed = None;
    }

    /// One request, which may be sent more than once: it must not matter if the registry gets it again.
    pub(super) async fn call<T, F>(&self, what: &str, request: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, etcd_client::Error>>,
    {
        let mut last = None;
        for _ in 0..TRIES {
            let session = match (self.get().await, last.take()) {
                (Ok(session), _) => session,
                // What the registry itself said says more than that it can't be reached now.
                (Err(error), None) => return Err(error),
                (Err(_), Some(earlier)) => return Err(earlier),
            };
            let token = session.token();
            match session.within(what, self.limit, request(session.client())).await {
                Ok(answer) => return Ok(answer),
                Err((Remedy::None, error)) => return Err(error),
                Err((remedy, error)) => {
                    self.apply(remedy, &session, token).await?;
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::closed("client")))
    }

    /// Does what may help the next try of a request that failed on `session` with its token number `token`.
    pub(super) async fn apply(&self, remedy: Remedy, session: &Arc<Session>, token: u64) -> Result<()> {
        match remedy {
            Remedy::Elsewhere => self.leave(session),
            Remedy::Token => session.refresh(token).await?,
            Remedy::None => {}
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        let mut current = self.current();
        current.closed = true;
        if let Some(session) = current.session.take() {
            session.break_off();
        }
    }
}

enum Known {
    Session(Arc<Session>),
    Rounds(u64),
}
