//! What a policy prepares for one table, so that a pick has only to look it up.

use std::sync::Arc;

use super::maglev::Maglev;
use super::policy::Policy;
use super::ring::Ring;
use super::weighted::Schedule;

#[derive(Clone)]
pub(super) enum Plan {
    /// All count the same.
    Even,
    /// Each has its turns.
    Scheduled(Arc<Schedule>),
    /// Calls under way are held against these.
    Weighed(Arc<[f32]>),
    Ring(Arc<Ring>),
    Maglev(Arc<Maglev>),
}

impl Plan {
    /// For endpoints with these ids; `weights` where they differ.
    pub(super) fn new(policy: Policy, ids: &[&str], weights: Option<&[f64]>) -> Self {
        let each = || weights.map_or_else(|| vec![1.0; ids.len()], <[f64]>::to_vec);
        match policy {
            _ if ids.is_empty() => Plan::Even,
            Policy::RingHash => Plan::Ring(Arc::new(Ring::new(ids, &each()))),
            Policy::Maglev => Plan::Maglev(Arc::new(Maglev::new(ids, &each()))),
            Policy::LeastOutstanding => weights.map_or(Plan::Even, |weights| {
                Plan::Weighed(weights.iter().map(|&weight| weight as f32).collect())
            }),
            Policy::RoundRobin | Policy::Random | Policy::P2c | Policy::Weighted => {
                weights.map_or(Plan::Even, |weights| Plan::Scheduled(Arc::new(Schedule::new(weights))))
            }
        }
    }

    /// What calls under way to one endpoint are held against, where weights differ.
    pub(super) fn weight(&self, at: usize) -> Option<f32> {
        match self {
            Plan::Weighed(weights) => Some(weights[at]),
            _ => None,
        }
    }

    /// Whom a key comes to one after the other, more than once perhaps, of `count` endpoints.
    pub(super) fn way(&self, count: usize, hash: u64) -> impl Iterator<Item = usize> {
        let (start, places) = match self {
            Plan::Ring(ring) => (ring.position(hash), ring.len()),
            Plan::Maglev(table) => (table.position(hash), table.len()),
            _ => (super::random::below(count, hash), count),
        };
        (start..places).chain(0..start).map(move |place| match self {
            Plan::Ring(ring) => ring.owner(place),
            Plan::Maglev(table) => table.owner(place),
            _ => place,
        })
    }
}
