//! An instance and its load: what a pick holds, and what its report writes to.

use super::p2c::Estimate;
use super::tally::{Bell, Tally};
use crate::instance::Instance;
use crate::sync::{Arc, OnceLock, Weak};

/// An instance and its load. Every pick under way holds one `Arc` of it and the current table another, so the count
/// of calls under way needs no counter of its own, and all that a pick reads and writes is one cache line: what only
/// a failure needs stands last.
#[repr(C)]
pub(super) struct Endpoint {
    pub(super) instance: std::sync::Arc<Instance>,
    pub(super) estimate: Estimate,
    pub(super) tally: Tally,
    /// Whose place this one took in the table, when picks there had grown old: they count here until that happens again.
    before: Option<Weak<Endpoint>>,
    /// Who took this one's place: what its picks report is told there too.
    heir: OnceLock<Weak<Endpoint>>,
    bell: std::sync::Arc<Bell>,
}

impl Endpoint {
    pub(super) fn new(instance: std::sync::Arc<Instance>, bell: std::sync::Arc<Bell>) -> Self {
        let (estimate, tally) = Default::default();
        Endpoint { instance, estimate, tally, before: None, heir: OnceLock::new(), bell }
    }

    /// The same process, as `instance` describes it now.
    pub(super) fn renewed(&self, instance: std::sync::Arc<Instance>) -> Self {
        let (estimate, tally) = (self.estimate.clone(), self.tally.clone());
        Endpoint { estimate, tally, ..Self::new(instance, self.bell.clone()) }
    }

    /// A call that took `latency` nanoseconds ended at `now`.
    #[inline]
    pub(super) fn observe(&self, latency: u64, failed: bool, now: u64) {
        self.estimate.observe(latency, failed, now);
        self.tell(failed);
        if let Some(heir) = self.heir.get() {
            heir.upgrade().into_iter().for_each(|heir| heir.observe(latency, failed, now));
        }
    }

    /// A call ended of which no more is known.
    #[inline]
    pub(super) fn count(&self, failed: bool) {
        self.tell(failed);
        if let Some(heir) = self.heir.get() {
            heir.upgrade().into_iter().for_each(|heir| heir.count(failed));
        }
    }

    #[inline]
    fn tell(&self, failed: bool) {
        if failed {
            self.tally.failed(&self.bell);
        } else {
            self.tally.succeeded();
        }
    }

    /// Another one of the same instance, if picks of this one or of the one before it are under way.
    pub(super) fn aged(this: &Arc<Self>) -> Option<Arc<Self>> {
        if Self::pending(this) == 0 {
            return None;
        }
        let mut heir = this.renewed(this.instance.clone());
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

/// Endpoints that no picker has.
#[cfg(test)]
pub(super) fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
    let bell = std::sync::Arc::new(Bell::new(0));
    let instances = (1..=count).map(|port| std::sync::Arc::new(Instance::new("a", "10.0.0.1", port)));
    instances.map(|instance| Arc::new(Endpoint::new(instance, bell.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pick_holds_is_one_cache_line_with_its_counts() {
        assert_eq!(std::mem::offset_of!(Endpoint, bell) + 2 * size_of::<usize>(), 64);
    }

    #[test]
    fn another_description_of_the_same_process_keeps_what_is_known_of_it() {
        let endpoint = &endpoints(1)[0];
        endpoint.observe(90_000_000_000, true, 1 << 40);
        let renewed = endpoint.renewed(std::sync::Arc::new(Instance::new("a", "h", 1)));
        assert_eq!(renewed.tally.run(), 1);
        assert!(renewed.estimate.cost(1 << 40, 0) > 80e9);
    }
}
