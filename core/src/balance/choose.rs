//! The policies that need no more than a table and a moment.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Policy;
use super::pick::{Pick, clock};
use super::table::{Endpoint, Table};
use crate::fork::generation;
use crate::registry::random_u64;
use crate::sync::Arc;

/// A policy and what it keeps between picks.
pub(super) enum Chooser {
    RoundRobin(Box<[Padded; SHARDS]>),
    Random,
    P2c,
}

/// Round robin of several threads at once: each takes its turns from one of these, so that they do not all write one
/// cache line. A power of two.
const SHARDS: usize = 16;

/// A counter on cache lines of its own (two, because neighbours are fetched in pairs).
#[repr(align(128))]
pub(super) struct Padded(AtomicUsize);

impl Chooser {
    pub(super) fn new(policy: Policy) -> Self {
        match policy {
            // Programs started together must not all begin with the first instance.
            Policy::RoundRobin => {
                let start = |_| Padded(AtomicUsize::new(random_u64() as usize >> 1));
                Chooser::RoundRobin(Box::new(std::array::from_fn(start)))
            }
            Policy::Random => Chooser::Random,
            Policy::P2c => {
                // The first look calibrates the clock, which takes a millisecond that no pick should pay.
                clock();
                Chooser::P2c
            }
        }
    }

    pub(super) fn policy(&self) -> Policy {
        match self {
            Chooser::RoundRobin(_) => Policy::RoundRobin,
            Chooser::Random => Policy::Random,
            Chooser::P2c => Policy::P2c,
        }
    }

    /// One endpoint.
    #[inline]
    pub(super) fn choose(&self, table: &Table) -> Option<Pick> {
        let endpoints = &*table.endpoints;
        let count = endpoints.len();
        if count == 0 {
            return None;
        }
        match self {
            Chooser::RoundRobin(next) => {
                let at = next[shard()].0.fetch_add(1, Ordering::Relaxed) % count;
                Some(self.pick(&endpoints[at], None))
            }
            Chooser::Random => Some(self.pick(&endpoints[below(count, random())], None)),
            Chooser::P2c => {
                let now = clock();
                let better = better(count, now, |at| &endpoints[at]);
                Some(self.pick(&endpoints[better], Some(now)))
            }
        }
    }

    /// One endpoint that is not among `tried`, when there is such. For p2c the better of two: others that fail are as
    /// likely to have been learnt of as the one that was tried. Else any one will do.
    #[cold]
    pub(super) fn choose_other(&self, table: &Table, tried: &[impl AsRef<str>]) -> Option<Pick> {
        let endpoints = &*table.endpoints;
        let fresh = |endpoint: &&Arc<Endpoint>| tried.iter().all(|id| id.as_ref() != endpoint.instance.id);
        let mut others: Vec<_> = endpoints.iter().filter(fresh).collect();
        if others.is_empty() {
            others.extend(endpoints);
        }
        match (self, others.len()) {
            (_, 0) => None,
            (Chooser::P2c, count) => {
                let now = clock();
                Some(self.pick(others[better(count, now, |at| others[at])], Some(now)))
            }
            (_, count) => Some(self.pick(others[below(count, random())], None)),
        }
    }

    #[inline]
    fn pick(&self, endpoint: &Arc<Endpoint>, now: Option<u64>) -> Pick {
        // Only p2c asks the clock; for the others a call's duration would be measured for nobody.
        let start = match self {
            Chooser::P2c => now.unwrap_or_else(clock),
            _ => 0,
        };
        Pick::new(endpoint.clone(), start)
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
    // Choosing a number compiles to a conditional move; choosing a reference is a branch that is wrong half the time.
    let cheaper = cost(endpoint(second), now) < cost(endpoint(first), now);
    if cheaper { second } else { first }
}

#[inline]
fn cost(endpoint: &Arc<Endpoint>, now: u64) -> f32 {
    endpoint.estimate.cost(now, Endpoint::pending(endpoint))
}

/// The upper half of a random word scaled to `0..count`, without a division (Lemire 2016, "A fast alternative to the
/// modulo reduction").
#[inline]
fn below(count: usize, bits: u64) -> usize {
    (((bits >> 32) * count as u64) >> 32) as usize
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

/// A random word from this thread's own wyrand generator (https://github.com/wangyi-fudan/wyhash). The thread that
/// forks goes on in the child: without a seed of its own every worker of a server would choose alike.
#[inline]
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    STATE.with(|state| {
        let generation = generation();
        let seed = match state.get() {
            (seed, of) if of == generation => seed,
            _ => random_u64(),
        };
        let next = seed.wrapping_add(0xa076_1d64_78bd_642f);
        state.set((next, generation));
        let product = u128::from(next) * u128::from(next ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    })
}

#[cfg(test)]
mod tests {
    use super::super::p2c::Estimate;
    use super::*;
    use crate::instance::Instance;

    fn table(ids: &[&str]) -> Table {
        let mut table = Table::empty();
        let endpoint = |id: &&str| {
            let mut instance = Instance::new("s", "h", 1);
            instance.id = (*id).into();
            Arc::new(Endpoint::new(Arc::new(instance), Estimate::default()))
        };
        table.endpoints = ids.iter().map(endpoint).collect();
        table
    }

    #[test]
    fn a_second_attempt_is_spared_who_is_known_to_fail_while_two_others_are_there() {
        let table = table(&["failed", "dead", "one", "two"]);
        table.endpoints[1].observe(1000, true, clock());
        let chooser = Chooser::new(Policy::P2c);
        for _ in 0..1000 {
            let pick = chooser.choose_other(&table, &["failed"]).unwrap();
            assert!(["one", "two"].contains(&pick.id()), "{}", pick.id());
        }
    }

    #[test]
    fn another_is_one_that_was_not_tried_where_there_is_one() {
        let pair = table(&["a", "b"]);
        for policy in Policy::ALL {
            let chooser = Chooser::new(policy);
            for _ in 0..100 {
                assert_eq!(chooser.choose_other(&pair, &["a"]).unwrap().id(), "b");
            }
            assert!(chooser.choose_other(&pair, &["a", "b"]).is_some());
            assert!(chooser.choose_other(&Table::empty(), &["a"]).is_none());
        }
    }

    #[test]
    fn random_indices_are_spread_evenly() {
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[below(10, random())] += 1;
        }
        // Chi-square with 9 degrees of freedom: 58 is passed once in three hundred million runs.
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 58.0, "{counts:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_child_does_not_choose_as_its_parent_does() {
        use std::io::{Read, Write};
        random();
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: the child calls nothing but the code under test, a write and `_exit`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let told = writer.write_all(&random().to_ne_bytes());
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { libc::_exit(i32::from(told.is_err())) };
        }
        drop(writer);
        let mut theirs = [0; 8];
        reader.read_exact(&mut theirs).unwrap();
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        assert_ne!(random(), u64::from_ne_bytes(theirs));
    }
}
