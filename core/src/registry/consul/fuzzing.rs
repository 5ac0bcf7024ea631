//! What holds for whatever an agent answers. The input is answers, with an empty line between them: each is taken for the next
//! list of a service, for all that the agent has, and for a refusal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::value::RawValue;

use super::failure::Asked;
use super::known::Known;
use super::{entry, meta, roll};
use crate::error::Code;
use crate::instance::Instance;
use crate::registry::undecodable::Decoder;
use crate::registry::{Change, Owner, Record};

const SERVICE: &str = "web";
/// Longest message of an error, in bytes: of what others write, some is quoted.
const MAX_MESSAGE: usize = 2000;

pub(crate) fn fuzz(bytes: &[u8]) {
    let (mut known, mut shown) = (Known::default(), BTreeMap::new());
    let mut rest = bytes;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\n\n");
        let answer = &rest[..end.unwrap_or(rest.len())];
        list(&mut known, &mut shown, answer);
        services(answer);
        refusal(answer);
        let Some(end) = end else { return };
        rest = &rest[end + 2..];
    }
}

/// What is told of the change from one list to the next makes the same as the next one alone.
fn list(known: &mut Known, shown: &mut BTreeMap<String, Record>, answer: &[u8]) {
    let decoder = Decoder::new(Arc::default());
    match known.take(SERVICE, answer, &decoder) {
        Ok(changes) => {
            apply(shown, changes);
            let mut alone = BTreeMap::new();
            apply(&mut alone, Known::default().take(SERVICE, answer, &decoder).unwrap());
            assert_eq!(*shown, alone);
            assert_eq!(known.is_empty(), alone.is_empty());
        }
        Err(error) => assert_eq!(error.code(), Code::Protocol),
    }
    let entries: Vec<&RawValue> = serde_json::from_slice(answer).unwrap_or_default();
    for error in entries.iter().filter_map(|raw| entry::decode(SERVICE, raw.get()).err()) {
        assert!(error.code() == Code::Protocol && error.message().len() < MAX_MESSAGE, "{error}");
    }
}

fn apply(shown: &mut BTreeMap<String, Record>, changes: Vec<Change>) {
    let mut puts = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(record) => {
                let Instance { id, service, address, port, weight, .. } = &record.instance;
                assert!(service == SERVICE && !address.is_empty() && *port > 0 && *weight > 0);
                written(&record);
                assert!(puts.insert(id.clone(), record).is_none(), "an id is told once");
            }
            Change::Delete { id } => assert!(shown.remove(&id).is_some(), "what is gone was there"),
        }
    }
    shown.extend(puts);
}

/// What was read of a `Meta` is read of one that we write.
fn written(record: &Record) {
    let Instance { id, service, address, port, .. } = &record.instance;
    let mut again = Instance::new(service, address, *port);
    again.id.clone_from(id);
    let mut owner = None;
    for (key, value) in meta::write(record) {
        owner = meta::read(&mut again, &key, &value).or(owner);
    }
    assert_eq!((&again.metadata, &owner), (&record.instance.metadata, &record.owner));
    let beside = |instance: &Instance| {
        [&instance.id, &instance.scheme, &instance.zone, &instance.version].map(String::clone)
    };
    assert_eq!(beside(&again), beside(&record.instance));
}

fn services(answer: &[u8]) {
    for (_, owner) in roll::services(answer).into_iter().flat_map(HashMap::into_values) {
        assert!(owner.is_none_or(|owner| Owner::from(owner.to_string()) == owner));
    }
}

fn refusal(answer: &[u8]) {
    let asked = Asked {
        source: "consul://h:8500",
        what: "read \"web\"",
        rule: "service \"web\" { policy = \"read\" }",
        token: true,
        datacenter: None,
        tls: false,
    };
    for status in
        [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY]
    {
        let error = asked.error(asked.refusal(status, answer));
        assert!(error.message().len() < MAX_MESSAGE, "{error}");
    }
}
