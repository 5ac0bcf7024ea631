//! How an instance's metadata, and what Consul has no field for, stand in a service's `Meta`. Consul takes keys of letters,
//! digits, `_` and `-` only; any other key is written as `callsheet-key-` and its base64url form (RFC 4648, 5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::instance::{Instance, quoted};
use crate::registry::{Owner, Record};

/// What our own keys begin with.
const OURS: &str = "callsheet-";
const OWNER: &str = "callsheet-owner";
const SCHEME: &str = "callsheet-scheme";
const ZONE: &str = "callsheet-zone";
const VERSION: &str = "callsheet-version";
/// The id of an instance, where the agent knows it under another one.
pub(super) const ID: &str = "callsheet-id";
const KEY: &str = "callsheet-key-";
/// Longest key that Consul takes, in bytes.
const MAX_KEY: usize = 128;

/// Whether all metadata keys have a form that Consul takes.
pub(super) fn check(instance: &Instance) -> Result<()> {
    let long = instance.metadata.keys().find(|key| written(key).len() > MAX_KEY);
    let Some(key) = long else { return Ok(()) };
    Err(Error::invalid(format!(
        "metadata key {} is too long for Consul: a key with other characters than ASCII letters, digits, '_' and '-' may \
         have {} bytes there",
        quoted(key),
        (MAX_KEY - KEY.len()) / 4 * 3
    )))
}

/// The `Meta` of what is to be registered.
pub(super) fn write(record: &Record) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let Record { instance, owner, .. } = record;
    let mut meta: BTreeMap<Cow<'_, str>, Cow<'_, str>> =
        instance.metadata.iter().map(|(key, value)| (written(key), value.as_str().into())).collect();
    for (key, value, default) in
        [(SCHEME, &instance.scheme, "http"), (ZONE, &instance.zone, ""), (VERSION, &instance.version, "")]
    {
        if value != default {
            meta.insert(key.into(), value.as_str().into());
        }
    }
    if let Some(owner) = owner {
        meta.insert(OWNER.into(), owner.to_string().into());
    }
    meta
}

fn written(key: &str) -> Cow<'_, str> {
    let taken = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match taken && !key.starts_with(OURS) {
        true => key.into(),
        false => format!("{KEY}{}", URL_SAFE_NO_PAD.encode(key)).into(),
    }
}

/// Takes a pair of a service's `Meta` into an instance; the owner comes back.
pub(super) fn read(instance: &mut Instance, key: &str, value: &str) -> Option<Owner> {
    match key {
        OWNER => return Some(value.to_owned().into()),
        ID => instance.id = value.to_owned(),
        SCHEME => instance.scheme = value.to_owned(),
        ZONE => instance.zone = value.to_owned(),
        VERSION => instance.version = value.to_owned(),
        key => {
            let plain = key.strip_prefix(KEY).and_then(|coded| URL_SAFE_NO_PAD.decode(coded).ok());
            let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
            instance.metadata.insert(plain.unwrap_or_else(|| key.to_owned()), value.to_owned());
        }
    }
    None
}

/// The owner in a `Meta`.
pub(super) fn owner<'a>(meta: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Owner> {
    meta.into_iter().find(|(key, _)| *key == OWNER).map(|(_, value)| value.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut instance = Instance::new("billing", "10.0.0.1", 80);
        for key in ["team", "callsheet-owner", "kubernetes.io/name", "ключ", "a b", ""] {
            instance.metadata.insert(key.into(), format!("of {key}"));
        }
        (instance.scheme, instance.zone, instance.version) = ("grpc".into(), "eu-1".into(), "2.0".into());
        let record = Record { instance: instance.clone(), owner: Some(Owner::new()), note: String::new() };
        let meta = write(&record);
        let consuls = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        assert!(meta.keys().all(|key| consuls(key)), "{meta:?}");
        assert_eq!(meta["team"], "of team");
        let mut read_back = Instance::new("billing", "10.0.0.1", 80);
        let mut owner = None;
        for (key, value) in &meta {
            owner = read(&mut read_back, key, value).or(owner);
        }
        assert_eq!((read_back, owner), (instance, record.owner));
    }

    #[test]
    fn keys_that_get_too_long_are_refused_with_the_limit() {
        let mut instance = Instance::new("billing", "10.0.0.1", 80);
        instance.metadata.insert("k".repeat(128), String::new());
        instance.metadata.insert("é".repeat(42), String::new());
        check(&instance).unwrap();
        instance.metadata.insert("é".repeat(43), String::new());
        let error = check(&instance).unwrap_err().to_string();
        assert!(error.contains("84 bytes"), "{error}");
    }
}
