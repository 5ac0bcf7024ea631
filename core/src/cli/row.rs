//! How an instance, a service and a snapshot are shown: columns of text, and objects of JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::output::printable;
use crate::instance::{Instance, Status};
use crate::snapshot::Snapshot;

/// The columns of an instance, in the order of [`columns`].
pub(super) const INSTANCE: [&str; 6] = ["INSTANCE", "ADDRESS", "STATUS", "ZONE", "VERSION", "TAGS"];
/// The columns of a service.
pub(super) const SERVICE: [&str; 3] = ["SERVICE", "HEALTHY", "INSTANCES"];

/// The texts of an instance's columns; empty where it says nothing.
pub(super) fn columns(instance: &Instance) -> [String; 6] {
    [
        printable(&instance.id),
        printable(&instance.authority()),
        instance.status.to_string(),
        printable(&instance.zone),
        printable(&instance.version),
        printable(&instance.tags.join(",")),
    ]
}

/// A row of a pipe: columns between tabs, and a dash where a column is empty, so that both cut and awk find the same
/// columns.
pub(super) fn tabbed<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let columns: Vec<_> = columns.into_iter().map(|text| if text.is_empty() { "-" } else { text }).collect();
    columns.join("\t")
}

/// A service and how many instances it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) service: String,
    pub(super) healthy: usize,
    pub(super) instances: usize,
}

impl Count {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Count {
            service: snapshot.service().to_owned(),
            healthy: healthy(snapshot),
            instances: snapshot.len(),
        }
    }

    pub(super) fn columns(&self) -> [String; 3] {
        [printable(&self.service), self.healthy.to_string(), self.instances.to_string()]
    }
}

pub(super) fn healthy(snapshot: &Snapshot) -> usize {
    snapshot.iter().filter(|instance| instance.is_healthy()).count()
}

/// An instance as JSON, with the field names of the API.
#[derive(Serialize)]
pub(super) struct InstanceObject<'a> {
    id: &'a str,
    service: &'a str,
    address: &'a str,
    port: u16,
    url: String,
    scheme: &'a str,
    status: Status,
    tags: &'a [String],
    metadata: &'a BTreeMap<String, String>,
    weight: u32,
    zone: &'a str,
    version: &'a str,
}

impl<'a> From<&'a Instance> for InstanceObject<'a> {
    fn from(instance: &'a Instance) -> Self {
        InstanceObject {
            id: &instance.id,
            service: &instance.service,
            address: &instance.address,
            port: instance.port,
            url: instance.url(),
            scheme: &instance.scheme,
            status: instance.status,
            tags: &instance.tags,
            metadata: &instance.metadata,
            weight: instance.weight,
            zone: &instance.zone,
            version: &instance.version,
        }
    }
}

/// A snapshot as JSON. `age` is in seconds.
#[derive(Serialize)]
pub(super) struct SnapshotObject<'a> {
    service: &'a str,
    revision: u64,
    freshness: &'static str,
    source: &'a str,
    age: f64,
    last_error: Option<String>,
    #[serde(serialize_with = "objects")]
    instances: &'a [Arc<Instance>],
}

impl<'a> From<&'a Snapshot> for SnapshotObject<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        SnapshotObject {
            service: snapshot.service(),
            revision: snapshot.revision(),
            freshness: snapshot.freshness().as_str(),
            source: snapshot.source(),
            age: snapshot.age().as_secs_f64(),
            last_error: snapshot.last_error().map(ToString::to_string),
            instances: snapshot.instances(),
        }
    }
}

fn objects<S: Serializer>(instances: &&[Arc<Instance>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(instances.iter().map(|instance| InstanceObject::from(&**instance)))
}
