//! What was last read of a service, so that of a new answer only entries that differ are decoded. Consul repeats the whole
//! list at each change of one entry.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};

use serde_json::value::RawValue;

use super::entry;
use crate::error::{Code, Error, Result};
use crate::registry::Change;
use crate::registry::undecodable::Decoder;

#[derive(Default)]
pub(super) struct Known {
    /// What an entry's text stands for; `None`: no instance.
    entries: HashMap<u64, Option<Place>>,
    /// The text of each id that was told.
    told: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    id: String,
    node: String,
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// What a list changes.
    pub(super) fn take(&mut self, service: &str, body: &[u8], decoder: &Decoder) -> Result<Vec<Change>> {
        let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
            let why =
                "what answers is no agent of Consul, or one of another version: this is no list of instances";
            Error::new(Code::Protocol, why).with_cause(error)
        })?;
        let mut entries = HashMap::with_capacity(raw.len());
        let mut fresh = HashMap::new();
        let mut list = Vec::with_capacity(raw.len());
        for raw in raw {
            let text = raw.get();
            let digest = digest(text);
            let place = match self.entries.remove(&digest) {
                Some(place) => place,
                None => match entry::decode(service, text) {
                    Ok(None) => None,
                    Ok(Some(read)) => {
                        let place = Place { id: read.record.instance.id.clone(), node: read.node };
                        fresh.insert(digest, read.record);
                        Some(place)
                    }
                    Err(error) => {
                        decoder.skip(error.message(), &error);
                        None
                    }
                },
            };
            if place.is_some() {
                list.push((digest, text));
            }
            entries.insert(digest, place);
        }
        self.entries = entries;
        let mut told = BTreeMap::new();
        let mut changes = Vec::new();
        for (id, (digest, text)) in self.named(&list) {
            if self.told.remove(&id) != Some(digest) {
                let record = match fresh.remove(&digest) {
                    Some(record) => Some(record),
                    // Known under another id.
                    None => entry::decode(service, text).ok().flatten().map(|read| read.record),
                };
                if let Some(mut record) = record {
                    record.instance.id = id.clone();
                    changes.push(Change::Put(record));
                }
            }
            told.insert(id, digest);
        }
        changes.extend(std::mem::replace(&mut self.told, told).into_keys().map(|id| Change::Delete { id }));
        Ok(changes)
    }

    /// The entries by ids that no other has: two agents may have one under the same id, which then tells its node too. Of two
    /// that are of one node nevertheless, the last counts.
    fn named<'a>(&self, list: &[(u64, &'a str)]) -> BTreeMap<String, (u64, &'a str)> {
        let mut counts = HashMap::<&str, usize>::new();
        let places = || {
            list.iter()
                .filter_map(|(digest, text)| Some((self.entries.get(digest)?.as_ref()?, *digest, *text)))
        };
        for (place, ..) in places() {
            *counts.entry(&place.id).or_default() += 1;
        }
        let name = |place: &Place| match counts[place.id.as_str()] {
            1 => place.id.clone(),
            _ => format!("{}@{}", place.id, place.node),
        };
        places().map(|(place, digest, text)| (name(place), (digest, text))).collect()
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::Counters;

    fn body(entries: &[(&str, &str, u16)]) -> Vec<u8> {
        let entry = |(node, id, port): &(&str, &str, u16)| {
            format!(
                r#"{{"Node":{{"Node":"{node}","Address":"a"}},"Service":{{"ID":"{id}","Port":{port}}},"Checks":[]}}"#
            )
        };
        format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(",")).into_bytes()
    }

    fn told(known: &mut Known, counters: &Arc<Counters>, entries: &[(&str, &str, u16)]) -> Vec<String> {
        let decoder = Decoder::new(counters.clone());
        let changes = known.take("web", &body(entries), &decoder).unwrap();
        let shown = |change: &Change| match change {
            Change::Put(record) => format!("+{}:{}", record.instance.id, record.instance.port),
            Change::Delete { id } => format!("-{id}"),
        };
        changes.iter().map(shown).collect()
    }

    #[test]
    fn only_what_differs_is_told() {
        let (mut known, counters) = (Known::default(), Arc::new(Counters::default()));
        let first = [("n", "a", 1), ("n", "b", 1), ("n", "zero", 0)];
        assert_eq!(told(&mut known, &counters, &first), ["+a:1", "+b:1"]);
        assert_eq!(told(&mut known, &counters, &first), [""; 0]);
        assert_eq!(counters.undecodable.get(), 1, "known to be none");
        assert_eq!(told(&mut known, &counters, &[("n", "b", 2), ("n", "c", 1)]), ["+b:2", "+c:1", "-a"]);
        assert!(!known.is_empty());
        assert_eq!(told(&mut known, &counters, &[]), ["-b", "-c"]);
        assert!(known.is_empty());
    }

    #[test]
    fn one_id_on_two_nodes_is_two_instances() {
        let (mut known, counters) = (Known::default(), Arc::new(Counters::default()));
        assert_eq!(told(&mut known, &counters, &[("n1", "web", 1)]), ["+web:1"]);
        let both = [("n1", "web", 1), ("n2", "web", 1)];
        assert_eq!(told(&mut known, &counters, &both), ["+web@n1:1", "+web@n2:1", "-web"]);
        assert_eq!(told(&mut known, &counters, &both[1..]), ["+web:1", "-web@n1", "-web@n2"]);
    }

    #[test]
    fn one_id_twice_on_a_node_is_one_instance() {
        let (mut known, counters) = (Known::default(), Arc::new(Counters::default()));
        let both = [("n", "web", 1), ("n", "web", 2)];
        assert_eq!(told(&mut known, &counters, &both), ["+web@n:2"]);
        assert_eq!(told(&mut known, &counters, &both), [""; 0]);
    }

    #[test]
    fn what_is_no_list_is_a_protocol_error() {
        let decoder = Decoder::new(Arc::default());
        for body in [&b"{}"[..], b"<html>", b"", b"[1", b"\xff"] {
            assert_eq!(Known::default().take("web", body, &decoder).err().unwrap().code(), Code::Protocol);
        }
    }
}
