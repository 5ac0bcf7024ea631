//! The endpoints of one snapshot. An instance that stays keeps its endpoint, and with it what was learnt of its load.

use super::endpoint::Endpoint;
use super::plan::Plan;
use super::policy::Policy;
use super::tally::Bell;
use crate::instance::Instance;
use crate::snapshot::same;
use crate::sync::Arc;

/// What picks read.
pub(super) struct Table {
    /// Those to choose from, sorted by id.
    pub(super) endpoints: Box<[Arc<Endpoint>]>,
    pub(super) plan: Plan,
    /// What the plan is made of, where they differ.
    weights: Option<Box<[f64]>>,
    /// The others, sorted by id: ejected, unhealthy, far away.
    rest: Box<[Arc<Endpoint>]>,
    closed: bool,
}

/// One endpoint to choose from and what it weighs.
pub(super) struct Candidate {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) weight: f64,
}

impl Table {
    pub(super) fn empty() -> Self {
        Table {
            endpoints: Box::default(),
            plan: Plan::Even,
            weights: None,
            rest: Box::default(),
            closed: false,
        }
    }

    /// After the client was closed.
    pub(super) fn closed() -> Self {
        Table { closed: true, ..Self::empty() }
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

    /// Every endpoint, sorted by id.
    pub(super) fn all(&self) -> Vec<&Arc<Endpoint>> {
        let mut all: Vec<_> = self.endpoints.iter().chain(&self.rest).collect();
        if !self.rest.is_empty() {
            all.sort_by(|a, b| a.instance.id.cmp(&b.instance.id));
        }
        all
    }

    /// The endpoints of `instances`, which are sorted by id, and the ids of those that are new.
    pub(super) fn follow(
        &self,
        instances: &[std::sync::Arc<Instance>],
        bell: &std::sync::Arc<Bell>,
    ) -> (Vec<Arc<Endpoint>>, Vec<String>) {
        let mut known = self.all().into_iter().peekable();
        let mut new = Vec::new();
        let endpoint = |instance: &std::sync::Arc<Instance>| {
            // Nearly all of a long list are the objects of the one before, whose ids need not be read.
            let is_it = |known: &&Arc<Endpoint>| std::sync::Arc::ptr_eq(&known.instance, instance);
            if let Some(known) = known.next_if(is_it) {
                return known.clone();
            }
            while known.next_if(|endpoint| endpoint.instance.id < instance.id).is_some() {}
            match known.peek() {
                Some(known) if same(&known.instance, instance) => (*known).clone(),
                // Other metadata, same process: its load stays known. Another address is another process.
                Some(known) if at_same_place(&known.instance, instance) => {
                    Arc::new(known.renewed(instance.clone()))
                }
                _ => {
                    new.push(instance.id.clone());
                    Arc::new(Endpoint::new(instance.clone(), bell.clone()))
                }
            }
        };
        let endpoints = instances.iter().map(endpoint).collect();
        (endpoints, new)
    }

    /// The table after this one. What it has in common with this one is not made again.
    pub(super) fn next(&self, policy: Policy, candidates: Vec<Candidate>, rest: Vec<Arc<Endpoint>>) -> Self {
        let weights: Box<[f64]> = candidates.iter().map(|candidate| candidate.weight).collect();
        let weights = weights.windows(2).any(|two| two[0] != two[1]).then_some(weights);
        let endpoints: Box<[_]> = candidates.into_iter().map(|candidate| candidate.endpoint).collect();
        fn ids(endpoints: &[Arc<Endpoint>]) -> impl Iterator<Item = &str> {
            endpoints.iter().map(|endpoint| endpoint.instance.id.as_str())
        }
        let alike = |(a, b): (&Arc<Endpoint>, &Arc<Endpoint>)| {
            std::sync::Arc::ptr_eq(&a.instance, &b.instance) || a.instance.id == b.instance.id
        };
        let same_ids =
            endpoints.len() == self.endpoints.len() && endpoints.iter().zip(&self.endpoints).all(alike);
        let plan = if weights == self.weights && same_ids {
            self.plan.clone()
        } else {
            Plan::new(policy, &ids(&endpoints).collect::<Vec<_>>(), weights.as_deref())
        };
        Table { endpoints, plan, weights, rest: rest.into(), closed: false }
    }

    /// The table in which picks that were under way when it was last aged count no more.
    pub(super) fn aged(&self) -> Self {
        let aged = |endpoint: &Arc<Endpoint>| Endpoint::aged(endpoint).unwrap_or_else(|| endpoint.clone());
        Table {
            endpoints: self.endpoints.iter().map(aged).collect(),
            plan: self.plan.clone(),
            weights: self.weights.clone(),
            rest: self.rest.iter().map(aged).collect(),
            closed: self.closed,
        }
    }
}

fn at_same_place(a: &Instance, b: &Instance) -> bool {
    a.id == b.id && a.address == b.address && a.port == b.port
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::endpoint::endpoints;

    fn table(policy: Policy, weights: &[f64]) -> Table {
        let candidates = endpoints(weights.len() as u16).into_iter().zip(weights);
        let candidates = candidates.map(|(endpoint, &weight)| Candidate { endpoint, weight });
        Table::empty().next(policy, candidates.collect(), Vec::new())
    }

    fn again(table: &Table, weights: &[f64]) -> Table {
        let candidates = table.endpoints.iter().cloned().zip(weights);
        let candidates = candidates.map(|(endpoint, &weight)| Candidate { endpoint, weight });
        table.next(Policy::RingHash, candidates.collect(), Vec::new())
    }

    #[test]
    fn a_pick_counts_through_one_ageing_and_not_through_two() {
        let mut table = table(Policy::P2c, &[1.0]);
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
        let mut table = table(Policy::P2c, &[1.0]);
        let old = table.endpoints[0].clone();
        table = table.aged();
        old.observe(90_000_000_000, true, 1 << 40);
        assert!(table.endpoints[0].estimate.cost(1 << 40, 0) > 80e9);
        assert_eq!(table.endpoints[0].tally.run(), 1);
    }

    #[test]
    fn a_ring_is_made_anew_only_for_other_instances_or_weights() {
        let ring = |table: &Table| match &table.plan {
            Plan::Ring(ring) => std::sync::Arc::as_ptr(ring),
            _ => panic!("no ring"),
        };
        let first = table(Policy::RingHash, &[1.0, 1.0, 1.0]);
        let same = again(&first, &[1.0, 1.0, 1.0]);
        assert_eq!(ring(&first), ring(&same));
        assert_ne!(ring(&first), ring(&again(&same, &[1.0, 2.0, 1.0])));
        assert_ne!(ring(&first), ring(&again(&same, &[1.0, 1.0])));
    }
}
