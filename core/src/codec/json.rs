//! callsheet's own JSON. Unknown fields are ignored and missing ones have defaults, so that versions of callsheet read
//! each other; a value without a usable address and port is refused whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::instance::{Instance, Status, bounded, check_port};
use crate::registry::{Owner, Record};

#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    service: &'a str,
    address: &'a str,
    port: u16,
    scheme: &'a str,
    tags: &'a [String],
    metadata: &'a BTreeMap<String, String>,
    weight: u32,
    zone: &'a str,
    version: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lapsed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a Owner>,
}

#[derive(Deserialize)]
struct Read {
    address: String,
    port: i64,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    weight: Option<i64>,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    lapsed: bool,
    #[serde(default)]
    owner: Option<Owner>,
}

/// Longer values are not read. Ours have a seventh of that at most.
const MAX_VALUE: usize = 1 << 20;

/// The value to store for `record`.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let Record { instance, owner, .. } = record;
    let written = Written {
        id: &instance.id,
        service: &instance.service,
        address: &instance.address,
        port: instance.port,
        scheme: &instance.scheme,
        tags: &instance.tags,
        metadata: &instance.metadata,
        weight: instance.weight,
        zone: &instance.zone,
        version: &instance.version,
        status: instance.status,
        lapsed: instance.lapsed,
        owner: owner.as_ref(),
    };
    // Strings, numbers and string-keyed maps always have a JSON form.
    serde_json::to_vec(&written).unwrap_or_default()
}

/// The record stored under a key of `service` and `id`: the key is what is true, whatever the value claims to be.
pub(crate) fn decode(service: &str, id: &str, value: &[u8]) -> Result<Record> {
    let undecodable = |why: &dyn std::fmt::Display| {
        // Decoders quote what they don't like, however long it is.
        let why = bounded(&why.to_string());
        Error::new(Code::Protocol, format!("the value of {service}/{id} is not an instance: {why}"))
    };
    if value.len() > MAX_VALUE {
        return Err(undecodable(&format_args!(
            "it has {} bytes, and {MAX_VALUE} are read at most",
            value.len()
        )));
    }
    let read: Read = serde_json::from_slice(value).map_err(|error| undecodable(&error))?;
    if read.address.is_empty() {
        return Err(undecodable(&"its address is empty"));
    }
    let port = check_port(read.port).map_err(|error| undecodable(&error))?;
    let mut instance = Instance::new(service, read.address, port);
    instance.id = id.to_owned();
    if !read.scheme.is_empty() {
        instance.scheme = read.scheme;
    }
    instance.tags = read.tags;
    // Lists are kept for long, and most have few tags.
    instance.tags.shrink_to_fit();
    instance.metadata = read.metadata;
    // A weight that we would not write is no reason to hide an instance that can be called.
    instance.weight =
        read.weight.and_then(|weight| u32::try_from(weight).ok()).filter(|w| *w > 0).unwrap_or(1);
    instance.zone = read.zone;
    instance.version = read.version;
    instance.status = read.status;
    instance.lapsed = read.lapsed;
    Ok(Record { instance, owner: read.owner, note: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut instance = Instance::new("billing", "10.0.0.1", 8080);
        instance.tags = vec!["v2".into()];
        instance.metadata.insert("team".into(), "päy".into());
        instance.zone = "eu-1".into();
        instance.status = Status::Draining;
        instance.lapsed = true;
        let record = Record { instance, owner: Some(Owner::new()), note: String::new() };
        assert_eq!(decode("billing", "10.0.0.1:8080", &encode(&record)).unwrap(), record);
    }

    #[test]
    fn later_versions_and_short_values_are_read() {
        let value = br#"{"address":"h","port":1,"colour":"red","weight":-3}"#;
        let record = decode("a", "x", value).unwrap();
        assert_eq!((record.instance.id.as_str(), record.instance.weight), ("x", 1));
        assert!(record.owner.is_none());
    }

    #[test]
    fn long_and_deep_values_are_refused() {
        let padded =
            |count| format!(r#"{{"address":"h","port":1,"x":"{}"}}"#, "x".repeat(count)).into_bytes();
        assert!(decode("a", "x", &padded(MAX_VALUE - 100)).is_ok());
        let error = decode("a", "x", &padded(MAX_VALUE)).unwrap_err();
        assert!(error.message().contains("1048576 are read at most"), "{error}");
        // However deep it is nested, what we know is refused and what we don't is passed over, and the stack holds.
        let deep = |key: &str| {
            let (open, close) = ("[".repeat(500_000), "]".repeat(500_000));
            format!(r#"{{"address":"h","port":1,"{key}":{open}{close}}}"#).into_bytes()
        };
        assert!(decode("a", "x", &deep("later")).is_ok());
        assert!(decode("a", "x", &deep("tags")).is_err());
        assert!(decode("a", "x", &deep("metadata")).is_err());
    }

    #[test]
    fn a_long_value_makes_no_long_message() {
        let long = "ö".repeat(100_000);
        for value in [
            format!(r#"{{"address":"h","port":"{long}"}}"#),
            format!(r#"{{"address":"h","port":1,"status":"{long}"}}"#),
        ] {
            let error = decode("a", "x", value.as_bytes()).unwrap_err();
            assert!(error.message().len() < 700 && error.message().ends_with('…'), "{error}");
        }
    }

    #[test]
    fn what_is_not_an_instance_is_refused_whole() {
        for value in [
            &b""[..],
            b"null",
            b"{}",
            b"[]",
            b"\xff\xfe",
            br#"{"address":"","port":80}"#,
            br#"{"address":"h","port":0}"#,
            br#"{"address":"h","port":65536}"#,
            br#"{"address":"h","port":80,"tags":[1]}"#,
        ] {
            assert_eq!(decode("a", "x", value).unwrap_err().code(), Code::Protocol);
        }
    }
}
