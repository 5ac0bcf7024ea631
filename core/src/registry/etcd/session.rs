//! One endpoint in use: a connection that was seen to work, with its token. Broken by the first failure that another
//! endpoint may not have; then nothing uses it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, GetOptions};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use super::dial::{dial, unreachable};
use super::failure::{Asked, Remedy, judge, without_auth};
use crate::config::{Endpoint, Remote, Secret};
use crate::error::{Code, Error, Result};

/// A refresh that failed is not tried again by everyone who waited for it.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Session {
    pub(super) endpoint: Endpoint,
    client: Client,
    source: Arc<str>,
    credentials: Option<(String, Secret)>,
    broken: watch::Sender<bool>,
    /// Tokens so far. Whoever is refused says which one was.
    tokens: AtomicU64,
    refreshing: Mutex<Option<(Instant, Error)>>,
    limit: Duration,
}

impl Session {
    /// Connects, logs in, and reads one key with quorum: a member that hangs, has lost its peers or is alone is no good.
    pub(super) async fn open(
        endpoint: Endpoint,
        remote: &Remote,
        source: Arc<str>,
        limit: Duration,
    ) -> Result<Arc<Self>> {
        let late = Error::new(Code::Timeout, format!("{endpoint}: no answer within {limit:?}"));
        let opened = async {
            let channel = dial(&endpoint, remote.tls.as_ref()).await?;
            let options = ConnectOptions::new().with_require_leader(true);
            let client = Client::from_channel(Channel::Tonic(channel), Some(options))
                .await
                .map_err(|error| unreachable(&endpoint, "it can't be used").with_cause(error))?;
            let session = Session {
                client,
                source,
                credentials: remote.credentials.clone(),
                broken: watch::Sender::new(false),
                tokens: AtomicU64::new(0),
                refreshing: Mutex::default(),
                limit,
                endpoint: endpoint.clone(),
            };
            session.log_in().await?;
            session.probe(&remote.prefix, remote.tls.is_some()).await?;
            Ok(Arc::new(session))
        };
        timeout(limit, opened).await.unwrap_or(Err(late))
    }

    /// The client on this connection. Clones share it and the token.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn token(&self) -> u64 {
        self.tokens.load(Ordering::Acquire)
    }

    pub(super) fn judge(&self, what: &str, error: etcd_client::Error) -> (Remedy, Error) {
        judge(&self.asked(what), error)
    }

    /// What a request that was not answered in time fails with.
    pub(super) fn late(&self, what: &str, limit: Duration) -> Error {
        self.asked(what).error(Code::Timeout, &format!("no answer within {limit:?}"))
    }

    fn asked<'a>(&'a self, what: &'a str) -> Asked<'a> {
        let user = self.credentials.as_ref().map(|(name, _)| name.as_str());
        Asked { source: &self.source, endpoint: &self.endpoint, what, user }
    }

    async fn log_in(&self) -> Result<()> {
        let Some((name, password)) = &self.credentials else { return Ok(()) };
        let user = Some((name.clone(), password.reveal().to_owned()));
        match self.client.clone().update_user(user).await {
            Ok(()) => Ok(()),
            // As etcdctl does: a password that nobody asks for does no harm.
            Err(error) if without_auth(&error) => Ok(()),
            Err(error) => Err(self.judge("log in", error).1),
        }
    }

    async fn probe(&self, key: &str, secure: bool) -> Result<()> {
        let Err(error) = self.client.clone().get(key, Some(GetOptions::new().with_keys_only())).await else {
            return Ok(());
        };
        let (remedy, error) = self.judge("ask for anything", error);
        if error.code() == Code::PermissionDenied {
            return Ok(());
        }
        let plain = remedy == Remedy::Elsewhere && !secure && std::error::Error::source(&error).is_some();
        if plain {
            let why = "it does not answer in plain text; if it uses TLS, write etcds:// instead of etcd://";
            return Err(unreachable(&self.endpoint, why).with_cause(error));
        }
        Err(error)
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
        let late = || self.late("log in", self.limit);
        match timeout(self.limit, self.log_in()).await.unwrap_or_else(|_| Err(late())) {
            Ok(()) => {
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
