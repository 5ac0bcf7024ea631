//! What is read and followed of one service, and of the names of all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::GetOptions;

use super::Etcd;
use super::failure::says;
use super::keys::end_of;
use super::stream::MAX_MESSAGE;
use super::watcher::{News, Stored, Watcher};
use crate::error::{Code, Error, Result};
use crate::registry::{Change, Follow, FollowNames, Listing, Position, Update};

/// Most keys of one answer; more are read in pages of one revision.
const PAGE: i64 = 20_000;

/// What a range holds, and as of when.
struct Read {
    kvs: Vec<etcd_client::KeyValue>,
    position: Position,
}

/// Everything under `prefix`, as of one revision, with quorum.
async fn read(etcd: &Etcd, prefix: &str, options: GetOptions) -> Result<Read> {
    let what = format!("read {prefix}");
    let end = end_of(prefix.as_bytes());
    let mut start = prefix.as_bytes().to_vec();
    let mut kvs = Vec::new();
    let mut position = None;
    loop {
        let mut options = options.clone().with_range(end.clone()).with_limit(PAGE);
        if let Some(Position { index, .. }) = position {
            options = options.with_revision(index as i64);
        }
        let mut answer = etcd
            .sessions
            .call(&what, |client| {
                let (start, options) = (start.clone(), options.clone());
                async move {
                    client.kv_client().max_decoding_message_size(MAX_MESSAGE).get(start, Some(options)).await
                }
            })
            .await?;
        let at = *position.get_or_insert(position_of(answer.header())?);
        let more = answer.more();
        kvs.extend(answer.take_kvs());
        match kvs.last() {
            // The key after the last one.
            Some(last) if more => start = [last.key(), b"\0"].concat(),
            _ => return Ok(Read { kvs, position: at }),
        }
    }
}

pub(super) fn position_of(header: Option<&etcd_client::ResponseHeader>) -> Result<Position> {
    let header =
        header.ok_or_else(|| Error::new(Code::Protocol, "etcd answered without saying as of when"))?;
    Ok(Position { epoch: header.cluster_id(), index: header.revision() as u64 })
}

pub(super) async fn load(etcd: &Etcd, service: &str, since: Option<Position>) -> Result<Listing> {
    let prefix = etcd.keys.service(service);
    let Read { kvs, position } = read(etcd, &prefix, GetOptions::new()).await?;
    let record = |kv: &etcd_client::KeyValue| match etcd.change(service, kv.key(), Some(kv.value())) {
        Some(Change::Put(record)) => Some(record),
        _ => None,
    };
    let records: Vec<_> = kvs.iter().filter_map(record).collect();
    let proven = match since {
        Some(since) if kvs.is_empty() => same_history(etcd, &prefix, since, position).await?,
        Some(since) => since.epoch == position.epoch && position.index >= since.index,
        None => true,
    };
    Ok(Listing { records, position, proven })
}

/// Whether an empty answer at `now` is of the same store that was not empty at `since`. A member that lost its disk comes
/// back under the same cluster id, and its revision may have grown past ours; but its past is not the one we saw.
async fn same_history(etcd: &Etcd, prefix: &str, since: Position, now: Position) -> Result<bool> {
    if since.epoch != now.epoch || now.index < since.index {
        return Ok(false);
    }
    let past = GetOptions::new().with_revision(since.index as i64).with_count_only();
    let past = past.with_range(end_of(prefix.as_bytes()));
    let what = format!("read {prefix}");
    let asked = etcd.sessions.call(&what, |mut client| {
        let past = past.clone();
        async move {
            match client.get(prefix, Some(past)).await {
                Ok(answer) => Ok(answer.count() > 0),
                // Forgotten by now, which a store takes longer for than being made anew.
                Err(error) if says(&error, "compacted") => Ok(true),
                Err(error) => Err(error),
            }
        }
    });
    asked.await
}

pub(super) struct EtcdFollow {
    etcd: Arc<Etcd>,
    service: String,
    watcher: Watcher,
}

impl EtcdFollow {
    pub(super) fn open(etcd: &Arc<Etcd>, service: &str, from: Position) -> Self {
        let prefix = etcd.keys.service(service);
        let end = end_of(prefix.as_bytes());
        EtcdFollow {
            etcd: etcd.clone(),
            service: service.to_owned(),
            watcher: Watcher::open(&etcd.hub, prefix.into_bytes(), end, from),
        }
    }
}

#[async_trait]
impl Follow for EtcdFollow {
    async fn next(&mut self) -> Result<Update> {
        Ok(match self.watcher.next().await? {
            News::Alive => Update::Alive,
            News::Reload => Update::Reload,
            News::Changes { keys, position } => {
                let change = |(key, stored): (Vec<u8>, Option<Stored>)| {
                    let value = stored.as_ref().map(|stored| &*stored.value);
                    self.etcd.change(&self.service, &key, value)
                };
                let changes = keys.into_iter().filter_map(change).collect();
                Update::Changes { changes, position }
            }
        })
    }
}

/// Which services there are. Known by their keys alone: values are not read.
pub(super) struct EtcdNames {
    etcd: Arc<Etcd>,
    following: Option<Following>,
    told: Option<Vec<String>>,
}

struct Following {
    ids: BTreeMap<String, HashSet<String>>,
    watcher: Watcher,
}

impl EtcdNames {
    pub(super) fn new(etcd: Arc<Etcd>) -> Self {
        EtcdNames { etcd, following: None, told: None }
    }

    async fn begin(&self) -> Result<Following> {
        let prefix = self.etcd.keys.all();
        let Read { kvs, position } = read(&self.etcd, prefix, GetOptions::new().with_keys_only()).await?;
        let mut ids = BTreeMap::<String, HashSet<String>>::new();
        for (service, id) in kvs.iter().filter_map(|kv| self.etcd.keys.split(kv.key())) {
            ids.entry(service.to_owned()).or_default().insert(id.to_owned());
        }
        let range = (prefix.as_bytes().to_vec(), end_of(prefix.as_bytes()));
        Ok(Following { ids, watcher: Watcher::open(&self.etcd.hub, range.0, range.1, position) })
    }
}

impl Following {
    fn apply(&mut self, service: &str, id: &str, there: bool) {
        if there {
            self.ids.entry(service.to_owned()).or_default().insert(id.to_owned());
        } else if let Some(ids) = self.ids.get_mut(service) {
            ids.remove(id);
            if ids.is_empty() {
                self.ids.remove(service);
            }
        }
    }
}

#[async_trait]
impl FollowNames for EtcdNames {
    async fn next(&mut self) -> Result<Vec<String>> {
        loop {
            if self.following.is_none() {
                self.following = Some(self.begin().await?);
            }
            let Some(following) = &mut self.following else { continue };
            let names: Vec<_> = following.ids.keys().cloned().collect();
            if self.told.as_ref() != Some(&names) {
                self.told = Some(names.clone());
                return Ok(names);
            }
            match following.watcher.next().await? {
                News::Alive => {}
                News::Reload => self.following = None,
                News::Changes { keys, .. } => {
                    for (key, stored) in keys {
                        if let Some((service, id)) = self.etcd.keys.split(&key) {
                            following.apply(service, id, stored.is_some());
                        }
                    }
                }
            }
        }
    }
}

impl Etcd {
    /// What a key under the prefix of `service` and its value mean for those who follow it. What is no instance is counted,
    /// and not shown, as little as if it were not there.
    fn change(&self, service: &str, key: &[u8], value: Option<&[u8]>) -> Option<Change> {
        let Some((_, id)) = self.keys.split(key) else {
            if value.is_some() {
                self.decoder.skip(&String::from_utf8_lossy(key), &"it is no key of an instance");
            }
            return None;
        };
        let put = value.and_then(|value| self.decoder.decode(service, id, value));
        Some(put.map_or_else(|| Change::Delete { id: id.to_owned() }, Change::Put))
    }
}
