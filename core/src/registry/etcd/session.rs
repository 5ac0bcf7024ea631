//! One endpoint in use: a connection that was seen to work, with its token. Broken by the first failure that another
//! endpoint may not have; then nothing uses it any more.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, GetOptions};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use super::dial::{Limit, dial, reason};
use super::failure::{Asked, CONNECT, LOG_IN, Remedy, judge, says};
use super::wire::Wire;
use crate::config::{Endpoint, Remote, Secret};
use crate::error::{Code, Error, Result};

/// A refresh that failed is not tried again by everyone who waited for it.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Session {
    pub(super) endpoint: Endpoint,
    pub(super) wire: Arc<Wire>,
    client: Client,
    source: Arc<str>,
    prefix: String,
    credentials: Option<(String, Secret)>,
    broken: watch::Sender<bool>,
    /// Whether it asks users who they are; known where a user was given.
    pub(super) users: bool,
    /// Tokens so far. Whoever is refused says which one was.
    tokens: AtomicU64,
    refreshing: Mutex<Option<(Instant, Error)>>,
    limit: Duration,
}

/// Why an endpoint can't be used: what could not be done, and the reason.
pub(super) struct Unusable {
    pub(super) what: &'static str,
    pub(super) why: Error,
}

impl Session {
    /// Connects, logs in, and reads one key with quorum: a member that hangs, has lost its peers or is alone is no good.
    pub(super) async fn open(
        endpoint: Endpoint,
        remote: &Remote,
        source: Arc<str>,
        limit: Duration,
    ) -> Result<Arc<Self>, Unusable> {
        let unusable = |what| move |why| Unusable { what, why };
        let until = Limit::new(limit);
        let (channel, wire) =
            dial(&endpoint, remote.tls.as_ref(), &until).await.map_err(unusable(CONNECT))?;
        let options = ConnectOptions::new().with_require_leader(true);
        let client = Client::from_channel(Channel::Tonic(channel), Some(options)).await.map_err(|error| {
            let why = Error::new(Code::Unavailable, "the connection can't be used").with_cause(error);
            Unusable { what: CONNECT, why }
        })?;
        let mut session = Session {
            wire,
            client,
            source,
            prefix: remote.prefix.clone(),
            credentials: remote.credentials.clone(),
            broken: watch::Sender::new(false),
            users: false,
            tokens: AtomicU64::new(0),
            refreshing: Mutex::default(),
            limit,
            endpoint,
        };
        let late = "it took the connection but gave no answer within {}: it hangs, or does not reach enough of the other \
                    members";
        let greeted = match until.keep(late, session.log_in()).await {
            Ok(users) => {
                session.users = users;
                until.keep(late, session.probe()).await.map_err(unusable(CONNECT))
            }
            Err(why) => Err(unusable(LOG_IN)(why)),
        };
        match greeted {
            Ok(()) => Ok(Arc::new(session)),
            Err(Unusable { what, why }) => {
                let told = reason(&session.wire, &session.endpoint, remote.tls.as_ref(), &until).await;
                Err(Unusable { what, why: told.unwrap_or(why) })
            }
        }
    }

    /// The client on this connection. Clones share it and the token.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn token(&self) -> u64 {
        self.tokens.load(Ordering::Acquire)
    }

    /// One request within `limit`, and what may help where it failed.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        limit: Duration,
        request: impl Future<Output = std::result::Result<T, etcd_client::Error>>,
    ) -> Result<T, (Remedy, Error)> {
        match timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| self.judge(what, error)),
            Err(_) => Err((Remedy::Elsewhere, self.late(what, limit))),
        }
    }

    pub(super) fn judge(&self, what: &str, error: etcd_client::Error) -> (Remedy, Error) {
        let asked = self.asked(what);
        let (remedy, why) = judge(&asked, error);
        (remedy, asked.error(why))
    }

    /// What a request that was not answered in time fails with.
    pub(super) fn late(&self, what: &str, limit: Duration) -> Error {
        let why = format!("no answer within {limit:?}: it hangs, or the network loses what is sent");
        self.asked(what).error(Error::new(Code::Timeout, why))
    }

    fn asked<'a>(&'a self, what: &'a str) -> Asked<'a> {
        Asked {
            source: &self.source,
            endpoint: &self.endpoint,
            what,
            user: self.credentials.as_ref().map(|(name, _)| name.as_str()),
            prefix: &self.prefix,
            wire: &self.wire,
        }
    }

    /// Whether there are users at all. The caller says what could not be done.
    async fn log_in(&self) -> Result<bool> {
        let Some((name, password)) = &self.credentials else { return Ok(false) };
        let user = Some((name.clone(), password.reveal().to_owned()));
        match self.client.clone().update_user(user).await {
            Ok(()) => Ok(true),
            // As etcdctl does: a password that nobody asks for does no harm.
            Err(error) if says(&error, "authentication is not enabled") => Ok(false),
            Err(error) => Err(judge(&self.asked(LOG_IN), error).1),
        }
    }

    async fn probe(&self) -> Result<()> {
        let options = GetOptions::new().with_keys_only();
        let Err(error) = self.client.clone().get(self.prefix.as_str(), Some(options)).await else {
            return Ok(());
        };
        match judge(&self.asked(CONNECT), error).1 {
            // What is asked later is told to whoever asks it.
            error if error.code() == Code::PermissionDenied => Ok(()),
            error => Err(error),
        }
    }

    /// A fresh token, once for everyone who was refused with the token number `stale`.
    pub(super) async fn refresh(&self, stale: u64) -> Result<()> {
        if self.credentials.is_none() {
            return Ok(());
        }
        let mut failed = self.refreshing.lock().await;
        if self.token() != stale {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < REFRESH_PAUSE
        {
            return Err(error.clone());
        }
        let logged_in = match timeout(self.limit, self.log_in()).await {
            Ok(logged_in) => logged_in.map_err(|why| self.asked(LOG_IN).error(why)),
            Err(_) => Err(self.late(LOG_IN, self.limit)),
        };
        match logged_in {
            Ok(_) => {
                *failed = None;
                self.tokens.fetch_add(1, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        *self.broken.borrow()
    }

    pub(super) fn break_off(&self) {
        self.broken.send_replace(true);
    }

    /// Resolves when somebody found that this endpoint does not work.
    pub(super) async fn broken(&self) {
        let mut broken = self.broken.subscribe();
        let _ = broken.wait_for(|broken| *broken).await;
    }
}
