//! An immutable, versioned list of a service's instances, and what changed between two of them.
//! Watches make snapshots; everything else only reads them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::instance::Instance;

/// How far a snapshot can be trusted to show the registry as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// The registry vouches for it.
    Live,
    /// The registry is unreachable or refuses; this is the last list it gave.
    Stale,
    /// The list that was saved on disk, read at a cold start.
    Disk,
    /// From one of the fallback registries.
    Fallback,
}

impl Freshness {
    /// The word that every language uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Freshness::Live => "live",
            Freshness::Stale => "stale",
            Freshness::Disk => "disk",
            Freshness::Fallback => "fallback",
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An immutable list of a service's instances, sorted by id. Cheap to clone; a clone is the same snapshot.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

struct Inner {
    service: Arc<str>,
    revision: u64,
    instances: Arc<[Arc<Instance>]>,
    freshness: Freshness,
    source: Arc<str>,
    confirmed: Instant,
    last_error: Option<Error>,
}

impl Snapshot {
    pub(crate) fn new(
        service: Arc<str>,
        revision: u64,
        instances: Arc<[Arc<Instance>]>,
        freshness: Freshness,
        source: Arc<str>,
        confirmed: Instant,
        last_error: Option<Error>,
    ) -> Self {
        debug_assert!(instances.windows(2).all(|pair| pair[0].id < pair[1].id));
        Snapshot(Arc::new(Inner { service, revision, instances, freshness, source, confirmed, last_error }))
    }

    /// The same snapshot with other instances: what a filter leaves of it.
    pub(crate) fn with_instances(&self, instances: Arc<[Arc<Instance>]>) -> Self {
        let Inner { service, revision, freshness, source, confirmed, last_error, .. } = &*self.0;
        Self::new(
            service.clone(),
            *revision,
            instances,
            *freshness,
            source.clone(),
            *confirmed,
            last_error.clone(),
        )
    }

    /// The service that was asked for.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// callsheet's own counter of this watched service. It only grows; equal revisions of one client and service
    /// mean the same list.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// The instances, sorted by id. An instance that did not change is the same `Arc` in the next snapshot.
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.0.instances
    }

    pub(crate) fn shared_instances(&self) -> &Arc<[Arc<Instance>]> {
        &self.0.instances
    }

    /// Whether `other` is a clone of this one. Bindings convert a snapshot once and give out the same object.
    pub fn is_same(&self, other: &Snapshot) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.0.instances.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.instances.is_empty()
    }

    /// The instances in order of id.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Instance>> {
        self.0.instances.iter()
    }

    /// The instance with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Instance>> {
        let found = self.0.instances.binary_search_by(|instance| instance.id.as_str().cmp(id));
        found.ok().map(|at| &self.0.instances[at])
    }

    /// How far to trust it.
    pub fn freshness(&self) -> Freshness {
        self.0.freshness
    }

    /// The URL that it came from, without secrets.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// How long ago the registry last vouched for this list: zero for a live snapshot, for others the time since
    /// contact was lost.
    pub fn age(&self) -> Duration {
        match self.0.freshness {
            Freshness::Live => Duration::ZERO,
            _ => self.0.confirmed.elapsed(),
        }
    }

    /// Why it is not live.
    pub fn last_error(&self) -> Option<&Error> {
        self.0.last_error.as_ref()
    }

    /// What became of the instances of `previous`, found by comparing, so that no intermediate snapshot is needed.
    pub fn changes_since(&self, previous: &Snapshot) -> Changes {
        let (old, new) = (previous.instances(), self.instances());
        let mut changes = Changes::default();
        let (mut i, mut j) = (0, 0);
        while i < old.len() || j < new.len() {
            let order = match (old.get(i), new.get(j)) {
                (Some(a), Some(b)) => a.id.cmp(&b.id),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, _) => std::cmp::Ordering::Greater,
            };
            match order {
                std::cmp::Ordering::Less => {
                    changes.removed.push(old[i].clone());
                    i += 1;
                }
                std::cmp::Ordering::Greater => {
                    changes.added.push(new[j].clone());
                    j += 1;
                }
                std::cmp::Ordering::Equal => {
                    if !same(&old[i], &new[j]) {
                        changes.changed.push(new[j].clone());
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
        changes
    }

    /// Whether a watcher that has seen `other` has seen all of this one: equal instances and freshness.
    pub(crate) fn says_the_same_as(&self, other: &Snapshot) -> bool {
        self.freshness() == other.freshness()
            && self.source() == other.source()
            && same_list(self.shared_instances(), other.shared_instances())
    }

    /// Whether both have the same reason for not being live: what changes silently, without a snapshot for subscribers.
    pub(crate) fn has_the_reason_of(&self, other: &Snapshot) -> bool {
        let reason =
            |snapshot: &Snapshot| snapshot.last_error().map(|error| (error.code(), error.to_string()));
        reason(self) == reason(other)
    }
}

/// Equality of instances that is one comparison of pointers for the unchanged ones.
pub(crate) fn same(a: &Arc<Instance>, b: &Arc<Instance>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

pub(crate) fn same_list(a: &Arc<[Arc<Instance>]>, b: &Arc<[Arc<Instance>]>) -> bool {
    Arc::ptr_eq(a, b) || (a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)))
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a Arc<Instance>;
    type IntoIter = std::slice::Iter<'a, Arc<Instance>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("service", &self.service())
            .field("revision", &self.revision())
            .field("freshness", &self.freshness())
            .field("ids", &self.iter().map(|instance| &*instance.id).collect::<Vec<_>>())
            .finish()
    }
}

/// The difference between two snapshots, each list sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Ids that are new.
    pub added: Vec<Arc<Instance>>,
    /// Ids that are gone, as they were.
    pub removed: Vec<Arc<Instance>>,
    /// Ids that stayed but say something else now, as they are.
    pub changed: Vec<Arc<Instance>>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(ports: &[(u16, u32)]) -> Snapshot {
        let mut instances: Vec<_> = ports
            .iter()
            .map(|&(port, weight)| {
                let mut instance = Instance::new("a", "h", port);
                instance.weight = weight;
                Arc::new(instance)
            })
            .collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Snapshot::new(
            "a".into(),
            1,
            instances.into(),
            Freshness::Live,
            "memory:".into(),
            Instant::now(),
            None,
        )
    }

    fn ids(list: &[Arc<Instance>]) -> Vec<&str> {
        list.iter().map(|instance| &*instance.id).collect()
    }

    #[test]
    fn changes_are_found_by_comparing() {
        let before = snapshot(&[(1, 1), (2, 1), (3, 1)]);
        let after = snapshot(&[(2, 1), (3, 9), (4, 1)]);
        let changes = after.changes_since(&before);
        assert_eq!(ids(&changes.added), ["h:4"]);
        assert_eq!(ids(&changes.removed), ["h:1"]);
        assert_eq!(ids(&changes.changed), ["h:3"]);
        assert!(after.changes_since(&after).is_empty());
        assert!(after.says_the_same_as(&snapshot(&[(2, 1), (3, 9), (4, 1)])));
        assert!(!after.says_the_same_as(&before));
    }

    #[test]
    fn ids_are_found() {
        let snapshot = snapshot(&[(1, 1), (2, 1)]);
        assert_eq!(snapshot.get("h:2").unwrap().port, 2);
        assert!(snapshot.get("h:9").is_none());
    }
}
