//! From a table to one endpoint: the part of every policy that is on the way of a pick.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::endpoint::Endpoint;
use super::least::{least, load};
use super::pick::{Choice, UNMEASURED, clock};
use super::plan::Plan;
use super::policy::Policy;
use super::random::{below, random};
use super::table::Table;
use super::weighted::Schedule;
use crate::sync::Arc;

/// What a policy keeps between picks.
pub(super) struct Chooser {
    kind: Kind,
    /// What stands for the start of a call whose duration nobody asks for.
    start: u64,
}

enum Kind {
    Turns(Box<[Padded; SHARDS]>),
    Random,
    P2c,
    Least,
    Keyed,
}

/// Round robin of several threads at once: each takes its turns from one of these, so that they do not all write one
/// cache line. A power of two.
const SHARDS: usize = 16;

/// A counter on cache lines of its own (two, because neighbours are fetched in pairs).
#[repr(align(128))]
struct Padded(AtomicUsize);

impl Chooser {
    /// `reports` says whether it matters how calls went.
    pub(super) fn new(policy: Policy, reports: bool) -> Self {
        let kind = match policy {
            // Programs started together must not all begin with the first instance.
            Policy::RoundRobin | Policy::Weighted => {
                let start = |_| Padded(AtomicUsize::new(random() as usize >> 1));
                Kind::Turns(Box::new(std::array::from_fn(start)))
            }
            Policy::Random => Kind::Random,
            Policy::P2c => {
                // The first look calibrates the clock, which takes a millisecond that no pick should pay.
                clock();
                Kind::P2c
            }
            Policy::LeastOutstanding => Kind::Least,
            Policy::RingHash | Policy::Maglev => Kind::Keyed,
        };
        Chooser { kind, start: if reports { UNMEASURED } else { 0 } }
    }

    /// One endpoint: for the policies with a key, the one of `hash`, or without a hash any, by weight.
    #[inline]
    pub(super) fn choose(
        &self,
        table: &Table,
        hash: Option<u64>,
        clock: impl FnOnce() -> u64,
    ) -> Option<Choice> {
        let endpoints = &*table.endpoints;
        let count = endpoints.len();
        if count == 0 {
            return None;
        }
        let at = match &self.kind {
            Kind::Turns(turns) => {
                let turn = turns[shard()].0.fetch_add(1, Ordering::Relaxed);
                match &table.plan {
                    Plan::Scheduled(schedule) => schedule.nth(turn),
                    _ => turn % count,
                }
            }
            Kind::Random => match &table.plan {
                Plan::Scheduled(schedule) => schedule.nth(below(schedule.len(), random())),
                _ => below(count, random()),
            },
            Kind::P2c => {
                let now = clock();
                let at = match &table.plan {
                    Plan::Scheduled(schedule) => better_of(endpoints, schedule, now),
                    _ => better(count, now, |at| &endpoints[at]),
                };
                return Some(Choice { endpoint: endpoints[at].clone(), start: now });
            }
            Kind::Least => match &table.plan {
                Plan::Weighed(weights) => {
                    least(count, random(), |at| load(&endpoints[at], Some(weights[at])))
                }
                _ => least(count, random(), |at| load(&endpoints[at], None)),
            },
            Kind::Keyed => {
                let hash = hash.unwrap_or_else(random);
                match &table.plan {
                    Plan::Ring(ring) => ring.owner(ring.position(hash)),
                    Plan::Maglev(places) => places.owner(places.position(hash)),
                    _ => below(count, hash),
                }
            }
        };
        Some(Choice { endpoint: endpoints[at].clone(), start: self.start })
    }

    /// One endpoint that is not among `tried`, when there is such. For p2c the better of two and for least outstanding the
    /// least busy: others that fail are as likely to have been learnt of as the one that was tried. With a key the next
    /// on its way, else any.
    #[cold]
    pub(super) fn choose_other(
        &self,
        table: &Table,
        tried: &[impl AsRef<str>],
        hash: Option<u64>,
        clock: impl FnOnce() -> u64,
    ) -> Option<Choice> {
        let endpoints = &*table.endpoints;
        let fresh = |at: &usize| tried.iter().all(|id| id.as_ref() != endpoints[*at].instance.id);
        let mut others: Vec<_> = (0..endpoints.len()).filter(fresh).collect();
        if others.is_empty() {
            others.extend(0..endpoints.len());
        }
        let count = others.len();
        if count == 0 {
            return None;
        }
        let at = match &self.kind {
            Kind::P2c => {
                let now = clock();
                let at = others[better(count, now, |at| &endpoints[others[at]])];
                return Some(Choice { endpoint: endpoints[at].clone(), start: now });
            }
            Kind::Least => {
                others[least(count, random(), |at| {
                    let at = others[at];
                    load(&endpoints[at], table.plan.weight(at))
                })]
            }
            Kind::Keyed => {
                let hash = hash.unwrap_or_else(random);
                let mut way = table.plan.way(endpoints.len(), hash);
                // Of very many instances not each has a place.
                let next = way.find(|at| others.binary_search(at).is_ok());
                next.unwrap_or_else(|| others[below(count, hash)])
            }
            Kind::Turns(_) | Kind::Random => others[below(count, random())],
        };
        Some(Choice { endpoint: endpoints[at].clone(), start: self.start })
    }
}

/// The place of the cheaper of two different random endpoints among `count`.
#[inline]
fn better<'a>(count: usize, now: u64, endpoint: impl Fn(usize) -> &'a Arc<Endpoint>) -> usize {
    if count == 1 {
        return 0;
    }
    let bits = random();
    let first = below(count, bits);
    // One of the others, so that the two differ.
    let second = first + 1 + below(count - 1, bits.rotate_left(32));
    let second = if second >= count { second - count } else { second };
    cheaper(first, second, now, endpoint)
}

/// [`better`] where some are drawn less often.
fn better_of(endpoints: &[Arc<Endpoint>], schedule: &Schedule, now: u64) -> usize {
    let draw = || schedule.nth(below(schedule.len(), random()));
    let first = draw();
    // One that has nearly all turns is compared with itself now and then, which is right as well.
    let second = (0..3).map(|_| draw()).find(|&second| second != first).unwrap_or(first);
    cheaper(first, second, now, |at| &endpoints[at])
}

#[inline]
fn cheaper<'a>(
    first: usize,
    second: usize,
    now: u64,
    endpoint: impl Fn(usize) -> &'a Arc<Endpoint>,
) -> usize {
    // Choosing a number compiles to a conditional move; choosing a reference is a branch that is wrong half the time.
    let cheaper = cost(endpoint(second), now) < cost(endpoint(first), now);
    if cheaper { second } else { first }
}

#[inline]
fn cost(endpoint: &Arc<Endpoint>, now: u64) -> f32 {
    endpoint.estimate.cost(now, Endpoint::pending(endpoint))
}

/// This thread's shard.
#[inline]
fn shard() -> usize {
    thread_local! {
        static SHARD: usize = {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
        };
    }
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::endpoint::endpoints;
    use crate::balance::random::seed;
    use crate::balance::table::Candidate;
    use crate::balance::tally::Bell;
    use crate::balance::{Outcome, Pick};
    use crate::instance::Instance;

    const PICKS: u32 = 20_000;

    fn picked(choice: Option<Choice>) -> Pick {
        choice.unwrap().into()
    }

    fn table(policy: Policy, instances: &[(&str, f64)]) -> Table {
        let bell = std::sync::Arc::new(Bell::new(0));
        let candidate = |&(id, weight): &(&str, f64)| {
            let mut instance = Instance::new("s", "h", 1);
            instance.id = id.into();
            let endpoint = Arc::new(Endpoint::new(std::sync::Arc::new(instance), bell.clone()));
            Candidate { endpoint, weight }
        };
        Table::empty().next(policy, instances.iter().map(candidate).collect(), Vec::new())
    }

    #[test]
    fn a_second_attempt_is_spared_who_is_known_to_fail_while_two_others_are_there() {
        let table = table(Policy::P2c, &[("failed", 1.0), ("dead", 1.0), ("one", 1.0), ("two", 1.0)]);
        table.endpoints[1].observe(1000, true, clock());
        let chooser = Chooser::new(Policy::P2c, true);
        for _ in 0..1000 {
            let pick = picked(chooser.choose_other(&table, &["failed"], None, clock));
            assert!(["one", "two"].contains(&pick.id()), "{}", pick.id());
        }
    }

    #[test]
    fn a_second_attempt_goes_to_the_least_busy_of_the_others_for_its_weight() {
        let chooser = Chooser::new(Policy::LeastOutstanding, true);
        for (weight, least) in [(1.0, "one"), (9.0, "heavy")] {
            let instances = [("failed", 1.0), ("heavy", weight), ("one", 1.0), ("two", 1.0)];
            let table = table(Policy::LeastOutstanding, &instances);
            let _busy: Vec<_> = [1, 1, 2, 3, 3].map(|at: usize| table.endpoints[at].clone()).into();
            for _ in 0..100 {
                let pick = picked(chooser.choose_other(&table, &["failed"], None, clock));
                assert_eq!(pick.id(), least);
            }
        }
    }

    #[test]
    fn a_second_attempt_with_a_key_is_the_next_on_its_way() {
        let instances = ["a", "b", "c", "d", "e"].map(|id| (id, 1.0));
        for policy in [Policy::RingHash, Policy::Maglev] {
            let chooser = Chooser::new(policy, true);
            let all = table(policy, &instances);
            for hash in (1..100).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                let mut tried = vec![picked(chooser.choose(&all, Some(hash), clock)).id().to_owned()];
                for _ in 1..instances.len() {
                    let next = picked(chooser.choose_other(&all, &tried, Some(hash), clock));
                    let again = picked(chooser.choose_other(&all, &tried, Some(hash), clock));
                    assert!(next.id() == again.id() && !tried.iter().any(|id| id == next.id()), "{policy}");
                    tried.push(next.id().to_owned());
                }
                let from_the_start = picked(chooser.choose_other(&all, &tried, Some(hash), clock));
                assert_eq!(from_the_start.id(), tried[0]);
                if policy == Policy::RingHash {
                    let rest: Vec<_> = instances.into_iter().filter(|(id, _)| *id != tried[0]).collect();
                    let without = picked(chooser.choose(&table(policy, &rest), Some(hash), clock));
                    assert_eq!(without.id(), tried[1], "whose key it would be without the first");
                }
            }
        }
    }

    #[test]
    fn another_is_one_that_was_not_tried_where_there_is_one() {
        for &policy in Policy::ALL {
            let pair = table(policy, &[("a", 1.0), ("b", 1.0)]);
            let chooser = Chooser::new(policy, true);
            for _ in 0..100 {
                assert_eq!(picked(chooser.choose_other(&pair, &["a"], None, clock)).id(), "b");
            }
            assert!(chooser.choose_other(&pair, &["a", "b"], None, clock).is_some());
            assert!(chooser.choose_other(&Table::empty(), &["a"], None, clock).is_none());
        }
    }

    /// Chi-square of 20,000 picks with these weights against the shares that are due.
    fn chi_square(policy: Policy, weights: &[f64]) -> f64 {
        seed(1);
        let candidates = endpoints(weights.len() as u16).into_iter().zip(weights);
        let candidates = candidates.map(|(endpoint, &weight)| Candidate { endpoint, weight });
        let table = Table::empty().next(policy, candidates.collect(), Vec::new());
        let chooser = Chooser::new(policy, false);
        let mut counts = vec![0.0; weights.len()];
        for _ in 0..PICKS {
            let pick = picked(chooser.choose(&table, None, || 1));
            counts[usize::from(pick.port()) - 1] += 1.0;
            pick.done(Outcome::Cancelled);
        }
        let total: f64 = weights.iter().sum();
        let due = weights.iter().map(|weight| weight / total * f64::from(PICKS));
        counts.iter().zip(due).map(|(count, due): (&f64, f64)| (count - due).powi(2) / due).sum()
    }

    #[test]
    fn equals_are_picked_equally_often() {
        for policy in
            [Policy::RoundRobin, Policy::Random, Policy::P2c, Policy::LeastOutstanding, Policy::Weighted]
        {
            let chi = chi_square(policy, &[1.0; 10]);
            assert!(chi < 27.9, "{policy}: {chi}, p = 0.001 with 9 degrees of freedom");
        }
    }

    #[test]
    fn others_are_picked_as_often_as_they_weigh() {
        for policy in [Policy::RoundRobin, Policy::Random, Policy::Weighted] {
            let chi = chi_square(policy, &[0.1, 1.0, 0.5, 1.0, 3.0]);
            assert!(chi < 18.5, "{policy}: {chi}, p = 0.001 with 4 degrees of freedom");
        }
    }

    #[test]
    fn p2c_draws_as_often_as_they_weigh() {
        // Nothing is known of any, so the first of two that are drawn is taken.
        let chi = chi_square(Policy::P2c, &[0.1, 1.0, 0.5, 1.0, 1.0]);
        assert!(chi < 18.5, "{chi}, p = 0.001 with 4 degrees of freedom");
    }
}
