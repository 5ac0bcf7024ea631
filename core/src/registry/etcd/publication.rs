//! One instance kept in etcd: its put, the watch on its own key, and its withdrawal, each fenced by the lease.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use tokio::time::{Instant, sleep_until};

use super::Etcd;
use super::follow::position_of;
use super::lease::{Hold, withdraw};
use super::watcher::{News, Stored, Watcher};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::codec;
use crate::error::{Code, Error, Result};
use crate::registry::{Claim, Holder, Loss, Owner, Position, Publication, Publish, Published, Record};

/// Holders that may come and go while we write.
const TRIES: usize = 4;

/// What is stored under a key that is not ours.
struct Found {
    stored: Stored,
    /// `Err` if it is no instance.
    owner: std::result::Result<Option<Owner>, ()>,
}

impl Found {
    fn new(record: &Record, stored: Stored) -> Self {
        let Record { instance, .. } = record;
        let decoded = codec::decode(&instance.service, &instance.id, &stored.value);
        Found { stored, owner: decoded.map(|record| record.owner).map_err(drop) }
    }

    /// Whether it may be replaced without asking: our own of before, or something that nobody can use.
    fn is_free(&self, record: &Record) -> bool {
        match &self.owner {
            Ok(owner) => owner.is_some() && *owner == record.owner,
            Err(()) => true,
        }
    }
}

pub(super) async fn publish(etcd: &Arc<Etcd>, publish: Publish) -> Result<Published> {
    let Publish { record, ttl, claim, .. } = publish;
    let key = etcd.keys.instance(&record.instance.service, &record.instance.id);
    let value = codec::encode(&record);
    let mut hold = etcd.leases.hold(ttl, &key).await?;
    let mut expected = match claim {
        Claim::IfFree => 0,
        Claim::Replace(revision) => revision as i64,
    };
    for _ in 0..TRIES {
        let (found, position) = match put(etcd, &key, &value, hold.id(), expected).await {
            Ok(answer) => answer,
            Err(error) => {
                // Of anything else it is not known whether it was written.
                if error.refused() || error.code() == Code::InvalidArgument {
                    hold.let_go();
                }
                return Err(error);
            }
        };
        let found = match found {
            Put::Done => {
                let guard = Guard::new(etcd.clone(), key, hold.id(), record, position);
                return Ok(Published::Ours(Box::new(EtcdPublication { etcd: etcd.clone(), hold, guard })));
            }
            Put::Absent => {
                expected = 0;
                continue;
            }
            Put::Found(stored) => Found::new(&record, stored),
        };
        expected = found.stored.revision;
        if !found.is_free(&record) {
            hold.release().await;
            return Ok(Published::Held(holder(etcd, record, key, found, position)));
        }
    }
    Err(Error::new(
        Code::Unavailable,
        format!("{key} in {} changes too fast to be written", etcd.sessions.source),
    ))
}

enum Put {
    Done,
    Absent,
    Found(Stored),
}

/// Writes the key if it was last changed at `expected`; 0 is for a key that is not there.
async fn put(etcd: &Etcd, key: &str, value: &[u8], lease: i64, expected: i64) -> Result<(Put, Position)> {
    let request = |mut client: etcd_client::Client| async move {
        let options = PutOptions::new().with_lease(lease);
        let txn = Txn::new()
            .when([Compare::mod_revision(key, CompareOp::Equal, expected)])
            .and_then([TxnOp::put(key, value, Some(options))])
            .or_else([TxnOp::get(key, None)]);
        client.txn(txn).await
    };
    let answer = etcd.sessions.call(&format!("write {key}"), request).await?;
    let position = position_of(answer.header())?;
    if answer.succeeded() {
        return Ok((Put::Done, position));
    }
    let found = answer.op_responses().into_iter().find_map(|response| match response {
        TxnOpResponse::Get(got) => got.kvs().first().map(stored),
        _ => None,
    });
    Ok((found.map_or(Put::Absent, Put::Found), position))
}

fn stored(kv: &KeyValue) -> Stored {
    Stored { value: kv.value().to_vec(), lease: kv.lease(), revision: kv.mod_revision() }
}

/// What the key holds now.
async fn look(etcd: &Etcd, key: &str) -> Result<(Option<Stored>, Position)> {
    let request =
        |mut client: etcd_client::Client| async move { client.get(key, Some(GetOptions::new())).await };
    let answer = etcd.sessions.call(&format!("read {key}"), request).await?;
    Ok((answer.kvs().first().map(stored), position_of(answer.header())?))
}

fn holder(etcd: &Arc<Etcd>, record: Arc<Record>, key: String, found: Found, position: Position) -> Holder {
    let owner = found.owner.clone().unwrap_or_default();
    let version = found.stored.revision as u64;
    let mut eye = Eye::new(etcd.clone(), key, position);
    let released = Box::pin(async move {
        loop {
            match eye.next().await {
                Some(stored) if !Found::new(&record, stored.clone()).is_free(&record) => {}
                _ => return,
            }
        }
    });
    Holder { owner, version, released }
}

/// Follows one key through everything that breaks a watch.
struct Eye {
    etcd: Arc<Etcd>,
    key: String,
    watcher: Option<Watcher>,
    cluster: u64,
    backoff: Backoff,
    /// When the key is read again, after the watch broke.
    due: Instant,
}

impl Eye {
    fn new(etcd: Arc<Etcd>, key: String, from: Position) -> Self {
        let watcher = Watcher::open(&etcd.hub, key.clone().into_bytes(), Vec::new(), from);
        let (backoff, due) = (Backoff::new(MAX_RETRY), Instant::now());
        Eye { etcd, key, watcher: Some(watcher), cluster: from.epoch, backoff, due }
    }

    /// What the key holds, after each change and after each break. Cancel-safe.
    async fn next(&mut self) -> Option<Stored> {
        loop {
            let Some(watcher) = &mut self.watcher else {
                sleep_until(self.due).await;
                self.due = Instant::now() + self.backoff.next();
                let Ok((stored, position)) = look(&self.etcd, &self.key).await else { continue };
                self.backoff.reset();
                self.cluster = position.epoch;
                let key = self.key.clone().into_bytes();
                self.watcher = Some(Watcher::open(&self.etcd.hub, key, Vec::new(), position));
                return stored;
            };
            match watcher.next().await {
                Ok(News::Changes { mut keys, .. }) => return keys.pop().and_then(|(_, stored)| stored),
                Ok(News::Alive) => {}
                Ok(News::Reload) | Err(_) => {
                    self.watcher = None;
                    self.due = Instant::now() + self.backoff.jitter(Duration::from_millis(100));
                }
            }
        }
    }
}

/// Watches our own key: somebody may delete it, or put something else there.
struct Guard {
    eye: Eye,
    lease: i64,
    record: Arc<Record>,
}

impl Guard {
    fn new(etcd: Arc<Etcd>, key: String, lease: i64, record: Arc<Record>, from: Position) -> Self {
        Guard { eye: Eye::new(etcd, key, from), lease, record }
    }

    async fn lost(&mut self) -> Loss {
        loop {
            let Some(stored) = self.eye.next().await else {
                return Loss::Gone(lost(&self.eye.key, "somebody deleted it"));
            };
            let found = Found::new(&self.record, stored);
            let ours = found.owner.as_ref().is_ok_and(|owner| *owner == self.record.owner);
            if ours && found.stored.lease == self.lease {
                continue;
            }
            if found.is_free(&self.record) {
                return Loss::Gone(lost(&self.eye.key, "somebody wrote something else there"));
            }
            let position = Position { epoch: self.eye.cluster, index: found.stored.revision as u64 };
            let key = self.eye.key.clone();
            return Loss::Taken(holder(&self.eye.etcd, self.record.clone(), key, found, position));
        }
    }
}

fn lost(key: &str, why: &str) -> Error {
    Error::new(Code::Unavailable, format!("the registry lost {key}: {why}"))
}

struct EtcdPublication {
    etcd: Arc<Etcd>,
    hold: Hold,
    guard: Guard,
}

#[async_trait]
impl Publication for EtcdPublication {
    async fn lost(&mut self) -> Loss {
        tokio::select! {
            error = self.hold.over() => Loss::Gone(error),
            loss = self.guard.lost() => {
                self.hold.let_go();
                loss
            }
        }
    }

    async fn update(&mut self, record: Arc<Record>) -> Result<()> {
        let (key, value, lease) = (&self.guard.eye.key, codec::encode(&record), self.hold.id());
        let (key, value) = (key.as_str(), value.as_slice());
        let request =
            |mut client: etcd_client::Client| async move {
                let options = PutOptions::new().with_lease(lease);
                let txn = Txn::new()
                    .when([Compare::lease(key, CompareOp::Equal, lease)])
                    .and_then([TxnOp::put(key, value, Some(options))]);
                client.txn(txn).await
            };
        let answer = self.etcd.sessions.call(&format!("write {key}"), request).await?;
        if !answer.succeeded() {
            return Err(lost(key, "it is no longer ours"));
        }
        Ok(())
    }

    async fn withdraw(&mut self) -> Result<()> {
        withdraw(&self.etcd.sessions, self.hold.id(), &self.guard.eye.key).await?;
        self.hold.release().await;
        Ok(())
    }
}
