//! The endpoints of one snapshot. An instance that stays keeps its endpoint, and with it what was learnt of its load.

use super::p2c::Estimate;
use crate::instance::Instance;
use crate::snapshot::{Snapshot, same};
use crate::sync::{Arc, OnceLock, Weak};

/// An instance and its load. Every pick under way holds one `Arc` of it and the current table another, so the count
/// of calls under way needs no counter of its own, and all that a pick reads and writes is one cache line.
pub(super) struct Endpoint {
    pub(super) instance: std::sync::Arc<Instance>,
    pub(super) estimate: Estimate,
    /// Whose place this one took in the table, when picks there had grown old: they count here until that happens again.
    before: Option<Weak<Endpoint>>,
    /// Who took this one's place: what its picks report is told there too.
    heir: OnceLock<Weak<Endpoint>>,
}

impl Endpoint {
    pub(super) fn new(instance: std::sync::Arc<Instance>, estimate: Estimate) -> Self {
        Endpoint { instance, estimate, before: None, heir: OnceLock::new() }
    }

    /// A call that took `latency` nanoseconds ended at `now`.
    #[inline]
    pub(super) fn observe(&self, latency: u64, failed: bool, now: u64) {
        self.estimate.observe(latency, failed, now);
        if let Some(heir) = self.heir.get() {
            heir.upgrade().into_iter().for_each(|heir| heir.observe(latency, failed, now));
        }
    }

    /// Another one of the same instance, if picks of this one or of the one before it are under way.
    fn aged(this: &Arc<Self>) -> Option<Arc<Self>> {
        if Self::pending(this) == 0 {
            return None;
        }
        let mut heir = Self::new(this.instance.clone(), this.estimate.clone());
        // Even if only the one before has picks: whoever still reads the old table may be about to pick this one.
        heir.before = Some(Arc::downgrade(this));
        let heir = Arc::new(heir);
        // One table at a time is aged, and its endpoints leave it with that.
        let _ = this.heir.set(Arc::downgrade(&heir));
        Some(heir)
    }

    /// Calls under way. While a table is being replaced both hold the endpoint, and for that moment every instance
    /// seems to have one call more.
    #[inline]
    pub(super) fn pending(this: &Arc<Self>) -> u32 {
        let own = Arc::strong_count(this).saturating_sub(1) as u32;
        // No table holds the one before any more.
        this.before.as_ref().map_or(own, |before| own + before.strong_count() as u32)
    }
}

pub(super) struct Table {
    pub(super) endpoints: Box<[Arc<Endpoint>]>,
    closed: bool,
}

impl Table {
    pub(super) fn empty() -> Self {
        Table { endpoints: Box::default(), closed: false }
    }

    /// After the client was closed.
    pub(super) fn closed() -> Self {
        Table { endpoints: Box::default(), closed: true }
    }

    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The table for `snapshot`. Both lists are sorted by id, so known endpoints are found in one pass.
    pub(super) fn next(&self, snapshot: &Snapshot) -> Self {
        let mut known = &*self.endpoints;
        let endpoint = |instance: &std::sync::Arc<Instance>| {
            while let [first, rest @ ..] = known
                && first.instance.id < instance.id
            {
                known = rest;
            }
            match known.first() {
                Some(known) if same(&known.instance, instance) => known.clone(),
                // Other metadata, same process: its load stays known. Another address is another process.
                Some(known) if at_same_place(&known.instance, instance) => {
                    Arc::new(Endpoint::new(instance.clone(), known.estimate.clone()))
                }
                _ => Arc::new(Endpoint::new(instance.clone(), Estimate::default())),
            }
        };
        Table { endpoints: snapshot.iter().map(endpoint).collect(), closed: false }
    }
}

impl Table {
    /// The table in which picks that were under way when it was last aged count no more.
    pub(super) fn aged(&self) -> Self {
        let aged = |endpoint: &Arc<Endpoint>| Endpoint::aged(endpoint).unwrap_or_else(|| endpoint.clone());
        Table { endpoints: self.endpoints.iter().map(aged).collect(), closed: self.closed }
    }
}

fn at_same_place(a: &Instance, b: &Instance) -> bool {
    a.id == b.id && a.address == b.address && a.port == b.port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let endpoint = Endpoint::new(std::sync::Arc::new(Instance::new("a", "h", 1)), Estimate::default());
        Table { endpoints: Box::new([Arc::new(endpoint)]), closed: false }
    }

    #[test]
    fn a_pick_counts_through_one_ageing_and_not_through_two() {
        let mut table = table();
        let old = table.endpoints[0].clone();
        table = table.aged();
        let young = table.endpoints[0].clone();
        assert_eq!(Endpoint::pending(&table.endpoints[0]), 2);
        table = table.aged();
        assert_eq!(Endpoint::pending(&table.endpoints[0]), 1, "the young one");
        table = table.aged();
        assert_eq!(Endpoint::pending(&table.endpoints[0]), 0);
        drop((old, young));
        table = table.aged();
        let quiet = Arc::as_ptr(&table.endpoints[0]);
        assert_eq!(Arc::as_ptr(&table.aged().endpoints[0]), quiet, "nothing is made anew for nothing");
    }

    #[test]
    fn what_a_pick_that_counts_reports_is_learnt() {
        let mut table = table();
        let old = table.endpoints[0].clone();
        table = table.aged();
        old.observe(90_000_000_000, false, 1 << 40);
        assert!(table.endpoints[0].estimate.cost(1 << 40, 0) > 80e9);
    }
}
