//! One entry of `/v1/health/service/…`: a service on a node with the checks of both, by whoever registered it. Only what
//! is kept is decoded, and borrowed from the answer until then.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::meta;
use crate::error::{Code, Error, Result};
use crate::instance::{Instance, Status, bounded, check_port};
use crate::registry::Record;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    node: Node<'a>,
    #[serde(borrow)]
    service: Service<'a>,
    #[serde(borrow, default)]
    checks: Option<Vec<CheckState<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node<'a> {
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(borrow, default)]
    address: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service<'a> {
    #[serde(borrow, rename = "ID")]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    service: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    address: Cow<'a, str>,
    #[serde(default)]
    port: i64,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(borrow, default)]
    meta: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default)]
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    #[serde(default)]
    passing: i64,
}

/// What is looked at of a check, in the catalog and at an agent alike.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CheckState<'a> {
    #[serde(borrow, rename = "CheckID", default)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) status: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) notes: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) output: Cow<'a, str>,
    /// How it is run, such as `ttl` or `http`.
    #[serde(borrow, default, rename = "Type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default, rename = "ServiceID")]
    pub(super) service: Cow<'a, str>,
}

/// An instance, and the node whose agent has it: ids are unique per agent, not per cluster.
pub(super) struct Read {
    pub(super) record: Record,
    pub(super) node: String,
}

/// What Consul's word for a status is.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        // Maintenance is a check of its own beside the one that says this.
        Status::Passing | Status::Draining => "passing",
        Status::Warning => "warning",
        Status::Critical => "critical",
    }
}

/// The worst of all checks, where maintenance of the service or its node outweighs everything.
pub(super) fn aggregated<'a>(checks: impl IntoIterator<Item = &'a CheckState<'a>>) -> Status {
    let mut worst = Status::Passing;
    for check in checks {
        if check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:") {
            return Status::Draining;
        }
        worst = match &*check.status {
            "passing" => continue,
            "warning" if worst == Status::Passing => Status::Warning,
            "warning" => continue,
            // As Consul does with words that it does not know.
            _ => Status::Critical,
        };
    }
    worst
}

/// Whether nobody answers for the instance any more: what an agent writes where a TTL ran out, in all versions.
fn lapsed(check: &CheckState<'_>) -> bool {
    check.status == "critical" && check.kind == "ttl" && check.output.starts_with("TTL expired")
}

/// The instance in an entry of `service`. `None` for one of a service that is written with other capitals, which Consul
/// lists too.
pub(super) fn decode(service: &str, raw: &str) -> Result<Option<Read>> {
    let undecodable = |why: &dyn std::fmt::Display| {
        // Decoders quote what they don't like, however long it is.
        let why = bounded(&why.to_string());
        Error::new(Code::Protocol, format!("an entry of {service} is no instance: {why}"))
    };
    let entry: Entry<'_> = serde_json::from_str(raw).map_err(|error| undecodable(&error))?;
    let Entry { node, service: found, checks } = entry;
    if found.service.as_ref().is_some_and(|name| name != service) {
        return Ok(None);
    }
    let whose =
        |why: &dyn std::fmt::Display| undecodable(&format!("{} on node {}: {why}", found.id, node.node));
    let address = if found.address.is_empty() { &node.address } else { &found.address };
    if address.is_empty() {
        return Err(whose(&"it has no address"));
    }
    let port = check_port(found.port).map_err(|error| whose(&error))?;
    let mut instance = Instance::new(service, address.clone().into_owned(), port);
    instance.id = found.id.clone().into_owned();
    instance.status = aggregated(checks.iter().flatten());
    instance.lapsed = checks.iter().flatten().any(lapsed);
    // Some tools register a weight of 0; an instance that is listed can be called.
    let weight = found.weights.and_then(|weights| u32::try_from(weights.passing).ok());
    instance.weight = weight.filter(|weight| *weight > 0).unwrap_or(1);
    let mut owner = None;
    for (key, value) in found.meta.iter().flatten() {
        owner = meta::read(&mut instance, key, value).or(owner);
    }
    instance.tags = found.tags.unwrap_or_default();
    instance.tags.shrink_to_fit();
    let record = Record { instance, owner, note: String::new() };
    Ok(Some(Read { record, node: node.node.into_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(service: &str, checks: &str) -> String {
        format!(
            r#"{{"Node":{{"ID":"x","Node":"n1","Address":"10.0.0.9","Meta":null}},"Service":{service},"Checks":{checks}}}"#
        )
    }

    #[test]
    fn what_other_tools_registered_is_an_instance() {
        let service = r#"{"ID":"web1","Service":"web","Tags":["a","\u00fc"],"Address":"","Meta":{"team":"x"},"Port":80,
            "Weights":{"Passing":7,"Warning":1},"Proxy":{"Mode":""},"CreateIndex":1}"#;
        let read = decode("web", &entry(service, r#"[{"CheckID":"serfHealth","Status":"passing"}]"#))
            .unwrap()
            .unwrap();
        let Record { instance, owner, .. } = read.record;
        assert_eq!(
            (instance.id.as_str(), instance.address.as_str(), instance.port),
            ("web1", "10.0.0.9", 80)
        );
        assert_eq!((instance.weight, instance.tags, owner), (7, vec!["a".into(), "ü".into()], None));
        assert_eq!((instance.metadata["team"].as_str(), read.node.as_str()), ("x", "n1"));
        let bare = decode("web", &entry(r#"{"ID":"w","Port":1,"Tags":null,"Meta":null}"#, "null")).unwrap();
        let bare = bare.unwrap();
        assert_eq!(bare.record.instance.weight, 1);
    }

    #[test]
    fn what_can_not_be_called_is_none() {
        for service in [r#"{"ID":"w","Port":0}"#, r#"{"ID":"w","Port":65536}"#, r#"{"Port":1}"#, "null"] {
            assert_eq!(decode("web", &entry(service, "[]")).err().unwrap().code(), Code::Protocol);
        }
        let nowhere = r#"{"Node":{"Node":"n","Address":""},"Service":{"ID":"w","Port":1}}"#;
        assert!(decode("web", nowhere).is_err());
    }

    #[test]
    fn a_long_entry_makes_no_long_message() {
        let service = format!(r#"{{"ID":"{}","Port":0}}"#, "x".repeat(100_000));
        let error = decode("web", &entry(&service, "[]")).err().unwrap();
        assert!(error.message().len() < 400, "{error}");
    }

    #[test]
    fn what_is_of_another_service_is_none_of_this_one() {
        for (name, same) in [("web", true), ("Web", false)] {
            let service = format!(r#"{{"ID":"w","Service":"{name}","Port":1}}"#);
            assert_eq!(decode("web", &entry(&service, "[]")).unwrap().is_some(), same);
        }
    }

    #[test]
    fn one_that_nobody_renews_is_lapsed_and_one_that_says_it_is_ill_is_not() {
        for (check, expected) in [
            (r#"{"Type":"ttl","Status":"critical","Output":"TTL expired"}"#, true),
            (
                r#"{"Type":"ttl","Status":"critical","Output":"TTL expired (last output before timeout follows): x"}"#,
                true,
            ),
            (r#"{"Type":"ttl","Status":"critical","Output":"no disk"}"#, false),
            (r#"{"Type":"ttl","Status":"passing","Output":"TTL expired"}"#, false),
            (r#"{"Type":"script","Status":"critical","Output":"TTL expired"}"#, false),
            (r#"{"CheckID":"serfHealth","Type":"","Status":"critical","Output":"Agent not live"}"#, false),
        ] {
            let read =
                decode("web", &entry(r#"{"ID":"w","Port":1}"#, &format!("[{check}]"))).unwrap().unwrap();
            assert_eq!(read.record.instance.lapsed, expected, "{check}");
        }
    }

    #[test]
    fn the_worst_check_counts_and_maintenance_above_all() {
        for (checks, expected) in [
            ("[]", Status::Passing),
            (r#"[{"Status":"passing"},{"Status":"warning"}]"#, Status::Warning),
            (r#"[{"Status":"critical"},{"Status":"warning"}]"#, Status::Critical),
            (r#"[{"Status":"odd"}]"#, Status::Critical),
            (
                r#"[{"Status":"critical"},{"CheckID":"_node_maintenance","Status":"critical"}]"#,
                Status::Draining,
            ),
            (r#"[{"CheckID":"_service_maintenance:w","Status":"critical"}]"#, Status::Draining),
        ] {
            let read = decode("web", &entry(r#"{"ID":"w","Port":1}"#, checks)).unwrap().unwrap();
            assert_eq!(read.record.instance.status, expected, "{checks}");
        }
    }
}
