//! What an agent is told of an instance and its check when it is registered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::entry::word;
use super::meta;
use crate::health::{Check, Kind};
use crate::instance::{Instance, default_id};
use crate::registry::Record;

/// How long a check may be critical before the agent removes the instance, where nobody chose: of one whose process died,
/// as short as Consul allows; of one that is alive but not well, long enough to get well.
const DEAD: Duration = Duration::from_secs(60);
const UNWELL: Duration = Duration::from_secs(600);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Service<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    address: &'a str,
    port: u16,
    tags: &'a [String],
    meta: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    weights: Weights,
    check: Definition,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

/// A check, by one of the ways in which an agent runs it.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Definition {
    #[serde(rename = "CheckID", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// As the endpoint that registers only a check calls it, which does not take the other word.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    own_id: Option<String>,
    name: &'static str,
    #[serde(rename = "ServiceID", skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
    http: Option<String>,
    #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
    tcp: Option<String>,
    #[serde(rename = "GRPC", skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deregister_critical_service_after: Option<String>,
}

/// The id of the check of a service at its agent.
pub(super) fn check_id(id: &str) -> String {
    format!("callsheet:{id}")
}

/// The id of the check by which a status set by hand is told beside one that the agent runs.
pub(super) fn by_hand_id(id: &str) -> String {
    format!("callsheet:{id}:by-hand")
}

/// Consul's word for how a check is run.
pub(super) fn kind(check: &Check) -> &'static str {
    match check.kind {
        Kind::Ttl | Kind::Heartbeat => "ttl",
        Kind::Tcp { .. } => "tcp",
        Kind::Http { .. } => "http",
        Kind::Grpc { .. } => "grpc",
    }
}

/// A duration as Go reads it.
fn go(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// The body that registers a record under `id`, with its check.
pub(super) fn service(record: &Record, id: &str, check: &Check, ttl: Duration) -> Vec<u8> {
    let instance = &record.instance;
    let mut meta = meta::write(record);
    if id != instance.id {
        meta.insert(meta::ID.into(), instance.id.as_str().into());
    }
    let body = Service {
        id,
        name: &instance.service,
        address: &instance.address,
        port: instance.port,
        tags: &instance.tags,
        meta,
        weights: Weights { passing: instance.weight, warning: 1 },
        check: definition(record, id, check, ttl),
    };
    // Strings, numbers and string-keyed maps always have a JSON form.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn definition(record: &Record, id: &str, check: &Check, ttl: Duration) -> Definition {
    let instance = &record.instance;
    let removal =
        check.deregister_critical_after.unwrap_or(if check.kind == Kind::Ttl { DEAD } else { UNWELL });
    let common = Definition {
        id: Some(check_id(id)),
        deregister_critical_service_after: Some(go(removal)),
        ..Definition::default()
    };
    let run = Definition { interval: Some(go(check.interval)), timeout: Some(go(check.timeout)), ..common };
    match &check.kind {
        Kind::Ttl | Kind::Heartbeat => Definition {
            name: "callsheet: the process renews this",
            status: Some(word(instance.status)),
            ttl: Some(go(ttl)),
            interval: None,
            timeout: None,
            ..run
        },
        Kind::Tcp { target } => {
            let target =
                target.as_ref().map_or_else(|| own(instance), |(address, port)| default_id(address, *port));
            Definition { name: "callsheet: tcp", tcp: Some(target), ..run }
        }
        Kind::Http { target } => {
            let url = if target.starts_with('/') {
                format!("http://{}{target}", own(instance))
            } else {
                target.clone()
            };
            Definition { name: "callsheet: http", http: Some(url), ..run }
        }
        Kind::Grpc { target } => {
            let target = match target.as_deref() {
                None => own(instance),
                Some(service) if service.starts_with('/') => format!("{}{service}", own(instance)),
                Some(target) => target.to_owned(),
            };
            Definition { name: "callsheet: grpc", grpc: Some(target), ..run }
        }
    }
}

fn own(instance: &Instance) -> String {
    default_id(&instance.address, instance.port)
}

/// The body that registers a check by which a status set by hand is told.
pub(super) fn by_hand(record: &Record, id: &str, ttl: Duration) -> Vec<u8> {
    let body = Definition {
        own_id: Some(by_hand_id(id)),
        name: "callsheet: status set by hand",
        service: Some(id.to_owned()),
        status: Some(word(record.instance.status)),
        ttl: Some(go(ttl)),
        ..Definition::default()
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The body that renews a check that waits for its TTL.
pub(super) fn renewal(record: &Record) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Renewal<'a> {
        status: &'static str,
        output: &'a str,
    }
    let renewal = Renewal { status: word(record.instance.status), output: &record.note };
    serde_json::to_vec(&renewal).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::Owner;

    fn record() -> Record {
        let mut instance = Instance::new("billing", "10.0.0.1", 80);
        instance.weight = 3;
        let owner = Owner { host: "h".into(), process: "p".into() };
        Record { instance, owner: Some(owner), note: String::new() }
    }

    fn told(check: Check) -> Value {
        serde_json::from_slice(&service(&record(), "10.0.0.1:80", &check, Duration::from_secs(10))).unwrap()
    }

    #[test]
    fn what_the_agent_is_told() {
        let expected = json!({
            "ID": "10.0.0.1:80", "Name": "billing", "Address": "10.0.0.1", "Port": 80, "Tags": [],
            "Meta": {"callsheet-owner": "h/p"}, "Weights": {"Passing": 3, "Warning": 1},
            "Check": {
                "CheckID": "callsheet:10.0.0.1:80", "Name": "callsheet: the process renews this",
                "Status": "passing", "TTL": "10000ms", "DeregisterCriticalServiceAfter": "60000ms",
            },
        });
        assert_eq!(told(Check::ttl()), expected);
        let http = told(Check::http("/health").interval(Duration::from_millis(1500)));
        assert_eq!(http["Check"]["HTTP"], "http://10.0.0.1:80/health");
        assert_eq!(
            (&http["Check"]["Interval"], &http["Check"]["Timeout"]),
            (&json!("1500ms"), &json!("2000ms"))
        );
        assert_eq!(told(Check::grpc())["Check"]["GRPC"], "10.0.0.1:80");
        assert_eq!(told(Check::grpc_target("/billing"))["Check"]["GRPC"], "10.0.0.1:80/billing");
        let body = by_hand(&record(), "10.0.0.1:80", Duration::from_secs(10));
        let expected = json!({
            "ID": "callsheet:10.0.0.1:80:by-hand", "Name": "callsheet: status set by hand", "ServiceID": "10.0.0.1:80",
            "Status": "passing", "TTL": "10000ms",
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        let patient = Check::ttl().deregister_critical_after(Duration::from_secs(90));
        assert_eq!(told(patient)["Check"]["DeregisterCriticalServiceAfter"], "90000ms");
        assert_eq!(told(Check::tcp_target("::1", 9))["Check"]["TCP"], "[::1]:9");
    }
}
