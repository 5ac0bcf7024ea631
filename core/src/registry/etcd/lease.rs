//! Leases that the registrations of one client share, one per TTL: granted on first use, renewed at a third of what was
//! granted, revoked when the last key is withdrawn. What a dropped publication leaves behind is removed after a TTL.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Compare, CompareOp, LeaseGrantOptions, LeaseKeepAliveStream, LeaseKeeper, Txn, TxnOp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::failure::says;
use super::session::Session;
use super::sessions::Sessions;
use crate::backoff::Backoff;
use crate::error::{Code, Error, Result};
use crate::registry::random_u64;

/// Longest pause between two tries to renew.
const RETRY: Duration = Duration::from_secs(1);

/// What a lease that is being revoked may hold up the end of its client.
const LAST: Duration = Duration::from_millis(500);

/// The leases of a client.
pub(super) struct Leases {
    sessions: Arc<Sessions>,
    shared: Arc<Mutex<HashMap<i64, Arc<Lease>>>>,
    /// Their actors; dropping this ends them.
    actors: Mutex<JoinSet<()>>,
}

struct Lease {
    /// Seconds, as asked for.
    ttl: i64,
    state: watch::Sender<State>,
    keys: Mutex<Keys>,
    changed: Notify,
}

#[derive(Clone)]
enum State {
    Granting,
    Held(i64),
    /// Lost, refused, or revoked.
    Over(Error),
}

#[derive(Default)]
struct Keys {
    held: HashSet<String>,
    /// Keys whose publication was dropped, which nobody may have withdrawn, and when they are removed.
    orphans: HashMap<String, Instant>,
    /// The last key was withdrawn, and there is nothing else on this lease.
    revoke: bool,
    /// Takes no keys any more.
    over: bool,
}

impl Lease {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key's part in a lease.
pub(super) struct Hold {
    lease: Arc<Lease>,
    key: String,
    id: i64,
}

impl Leases {
    pub(super) fn new(sessions: Arc<Sessions>) -> Self {
        Leases { sessions, shared: Arc::default(), actors: Mutex::default() }
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<i64, Arc<Lease>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease for `key`. Etcd counts in whole seconds.
    pub(super) async fn hold(&self, ttl: Duration, key: &str) -> Result<Hold> {
        let ttl = ttl.as_secs() as i64 + i64::from(ttl.subsec_nanos() > 0);
        let lease = self.join(ttl, key);
        let mut hold = Hold { lease: lease.clone(), key: key.to_owned(), id: 0 };
        let mut state = lease.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Granting)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Held(id)) => hold.id = id,
            Ok(State::Over(error)) => return Err(error),
            _ => return Err(Error::closed("client")),
        }
        Ok(hold)
    }

    fn join(&self, ttl: i64, key: &str) -> Arc<Lease> {
        let mut shared = self.shared();
        if let Some(lease) = shared.get(&ttl) {
            let mut keys = lease.keys();
            if !keys.over {
                keys.orphans.remove(key);
                keys.held.insert(key.to_owned());
                return lease.clone();
            }
        }
        let keys = Keys { held: HashSet::from([key.to_owned()]), ..Keys::default() };
        let lease = Arc::new(Lease {
            ttl,
            state: watch::Sender::new(State::Granting),
            keys: Mutex::new(keys),
            changed: Notify::new(),
        });
        shared.insert(ttl, lease.clone());
        let actor =
            Actor { sessions: self.sessions.clone(), shared: self.shared.clone(), lease: lease.clone() };
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        while actors.try_join_next().is_some() {}
        actors.spawn(actor.run());
        lease
    }

    /// Lets leases end that are being revoked, as those of refused registrations are.
    pub(super) async fn settle(&self) {
        let revoking: Vec<_> = self.shared().values().filter(|lease| lease.keys().revoke).cloned().collect();
        let _ = timeout(LAST, async {
            for lease in revoking {
                let mut state = lease.state.subscribe();
                let _ = state.wait_for(|state| matches!(state, State::Over(_))).await;
            }
        })
        .await;
    }

    pub(super) fn close(&self) {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Hold {
    /// The lease's id, for the key's put.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Resolves when the lease is gone, or nobody knows any more.
    pub(super) async fn over(&self) -> Error {
        let mut state = self.lease.state.subscribe();
        match state.wait_for(|state| matches!(state, State::Over(_))).await.map(|state| state.clone()) {
            Ok(State::Over(error)) => error,
            _ => Error::closed("client"),
        }
    }

    /// The key is no longer on the lease. Says whether it was the last one, so that the lease is being revoked.
    pub(super) fn let_go(&mut self) -> bool {
        let mut keys = self.lease.keys();
        if !keys.held.remove(&self.key) {
            return false;
        }
        keys.revoke = keys.held.is_empty() && keys.orphans.is_empty();
        keys.over |= keys.revoke;
        self.lease.changed.notify_one();
        keys.revoke
    }

    /// As [`Hold::let_go`]; resolves once the lease is revoked, if it was the last one.
    pub(super) async fn release(&mut self) {
        if self.let_go() {
            self.over().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut keys = self.lease.keys();
        if keys.held.remove(&self.key) {
            // As if it had a lease of its own that nobody renews.
            keys.orphans
                .insert(self.key.clone(), Instant::now() + Duration::from_secs(self.lease.ttl as u64));
            drop(keys);
            self.lease.changed.notify_one();
        }
    }
}

/// Keeps one lease.
struct Actor {
    sessions: Arc<Sessions>,
    shared: Arc<Mutex<HashMap<i64, Arc<Lease>>>>,
    lease: Arc<Lease>,
}

/// The open stream of a lease, and what it was opened on.
struct Renewal {
    session: Arc<Session>,
    token: u64,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

/// Why a lease is not kept any longer.
enum End {
    Lost(Error),
    /// Its last key was withdrawn.
    Revoke,
    /// Its last publication was dropped: what is left runs out by itself.
    Abandoned,
}

impl Actor {
    async fn run(self) {
        let sent = Instant::now();
        let error = match self.grant().await {
            Ok((id, granted)) => {
                self.lease.state.send_replace(State::Held(id));
                match self.keep(id, sent, granted).await {
                    End::Lost(error) => error,
                    End::Revoke => {
                        self.revoke(id, granted).await;
                        Error::new(Code::Closed, "the lease was revoked after its last key")
                    }
                    End::Abandoned => Error::new(Code::Closed, "the lease has no keys any more"),
                }
            }
            Err(error) => error,
        };
        self.leave();
        self.lease.state.send_replace(State::Over(error));
    }

    /// Nobody joins this lease any more.
    fn leave(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        self.lease.keys().over = true;
        if shared.get(&self.lease.ttl).is_some_and(|lease| Arc::ptr_eq(lease, &self.lease)) {
            shared.remove(&self.lease.ttl);
        }
    }

    /// An id, and the TTL that the server chose.
    async fn grant(&self) -> Result<(i64, Duration)> {
        // With an id of our own a grant can be asked for twice and is still one.
        let id = (random_u64() >> 1).max(1) as i64;
        let ttl = self.lease.ttl;
        let granted = self.sessions.call("get a lease", |mut client| async move {
            match client.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id))).await {
                Ok(granted) => Ok(granted.ttl()),
                Err(error) if says(&error, "lease already exists") => Ok(ttl),
                Err(error) => Err(error),
            }
        });
        Ok((id, seconds(granted.await?)))
    }

    async fn keep(&self, id: i64, sent: Instant, granted: Duration) -> End {
        let (mut renewed, mut granted) = (sent, granted);
        let mut backoff = Backoff::new(RETRY.min(granted / 10));
        let mut renewal = None;
        loop {
            if let Some(end) = self.wait(renewed + granted / 3, id).await {
                return end;
            }
            loop {
                let sent = Instant::now();
                let error = match self.renew(&mut renewal, id, granted / 3).await {
                    Ok(ttl) if ttl > 0 => {
                        (renewed, granted) = (sent, seconds(ttl));
                        backoff.reset();
                        break;
                    }
                    Ok(_) => return End::Lost(lost("etcd does not have the lease any more")),
                    Err(error) => error,
                };
                renewal = None;
                if Instant::now() >= renewed + granted {
                    return End::Lost(lost("the lease could not be renewed in time").with_cause(error));
                }
                sleep(backoff.next()).await;
            }
        }
    }

    /// Until the lease is to be renewed; removes what dropped publications left. Says when there is nothing to keep.
    async fn wait(&self, due: Instant, id: i64) -> Option<End> {
        loop {
            let next = {
                let mut keys = self.lease.keys();
                if keys.held.is_empty() {
                    // From here on a key that comes gets a lease of its own.
                    keys.over = true;
                    return Some(if keys.revoke { End::Revoke } else { End::Abandoned });
                }
                let orphans = &keys.orphans;
                orphans.iter().min_by_key(|(_, due)| **due).map(|(key, due)| (key.clone(), *due))
            };
            let orphan = next.as_ref().map_or(due, |(_, due)| *due);
            tokio::select! {
                () = self.lease.changed.notified() => {}
                () = sleep_until(due) => return None,
                () = sleep_until(orphan), if next.is_some() => {
                    if let Some((key, _)) = next {
                        self.remove(id, key).await;
                    }
                }
            }
        }
    }

    async fn remove(&self, id: i64, key: String) {
        let removed = withdraw(&self.sessions, id, &key).await;
        let mut keys = self.lease.keys();
        if let Some(due) = keys.orphans.get_mut(&key) {
            match removed {
                Ok(()) => _ = keys.orphans.remove(&key),
                Err(error) if error.refused() => _ = keys.orphans.remove(&key),
                Err(_) => *due = Instant::now() + RETRY,
            }
        }
    }

    /// One renewal: what is left of the lease, in seconds; 0 if it is gone.
    async fn renew(&self, renewal: &mut Option<Renewal>, id: i64, within: Duration) -> Result<i64> {
        let session = self.sessions.get().await?;
        let token = session.token();
        let limit = self.sessions.limit.min(within);
        let open = renewal.take().filter(|open| Arc::ptr_eq(&open.session, &session) && open.token == token);
        let answer = timeout(limit, async {
            let mut open = match open {
                Some(open) => open,
                // Opening it renews, too.
                None => {
                    let (keeper, answers) = session.client().lease_keep_alive(id).await?;
                    Renewal { session: session.clone(), token, keeper, answers }
                }
            };
            open.keeper.keep_alive().await?;
            let answer = open.answers.message().await?;
            Ok((answer.map(|answer| answer.ttl()), open))
        });
        match answer.await {
            Ok(Ok((Some(ttl), open))) => {
                *renewal = Some(open);
                Ok(ttl)
            }
            Ok(Ok((None, _))) => {
                self.sessions.leave(&session);
                Err(Error::new(Code::Unavailable, "etcd ended the keep-alive stream"))
            }
            Ok(Err(etcd_client::Error::LeaseKeepAliveError(text))) if text.contains("not found") => Ok(0),
            Ok(Err(error)) if says(&error, "lease not found") => Ok(0),
            Ok(Err(error)) => {
                let (remedy, error) = session.judge("keep a lease alive", error);
                self.sessions.apply(remedy, &session, token).await?;
                Err(error)
            }
            Err(_) => {
                self.sessions.leave(&session);
                Err(session.late("keep a lease alive", limit))
            }
        }
    }

    /// Tries until it ran out anyway.
    async fn revoke(&self, id: i64, granted: Duration) {
        let until = Instant::now() + granted;
        let mut backoff = Backoff::new(RETRY);
        while Instant::now() < until {
            let revoked = self.sessions.call("revoke a lease", |mut client| async move {
                match client.lease_revoke(id).await {
                    Err(error) if !says(&error, "lease not found") => Err(error),
                    _ => Ok(()),
                }
            });
            match revoked.await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "a lease could not be revoked yet"),
            }
            sleep(backoff.next()).await;
        }
    }
}

/// Deletes `key` if it is on lease `id`: whoever has it now keeps it.
pub(super) async fn withdraw(sessions: &Sessions, id: i64, key: &str) -> Result<()> {
    let request = |mut client: etcd_client::Client| async move {
        let txn =
            Txn::new().when([Compare::lease(key, CompareOp::Equal, id)]).and_then([TxnOp::delete(key, None)]);
        client.txn(txn).await
    };
    sessions.call(&format!("withdraw {key}"), request).await.map(drop)
}

fn lost(why: &str) -> Error {
    Error::new(Code::Unavailable, format!("the registration is lost: {why}"))
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(ttl.max(1) as u64)
}
