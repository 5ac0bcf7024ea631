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
                Some(self.pick(better(endpoints, now), Some(now)))
            }
        }
    }

    /// One endpoint that is not among `tried`, when there is such. Any one will do: whom the policy prefers, it chose
    /// before.
    #[cold]
    pub(super) fn choose_other(&self, table: &Table, tried: &[impl AsRef<str>]) -> Option<Pick> {
        let endpoints = &*table.endpoints;
        let start = below(endpoints.len(), random());
        let fresh = |endpoint: &&Arc<Endpoint>| tried.iter().all(|id| id.as_ref() != endpoint.instance.id);
        let mut around = endpoints[start..].iter().chain(&endpoints[..start]);
        let other = around.find(fresh).or_else(|| endpoints.get(start))?;
        Some(self.pick(other, None))
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

/// The cheaper of two different random endpoints.
#[inline]
fn better(endpoints: &[Arc<Endpoint>], now: u64) -> &Arc<Endpoint> {
    let count = endpoints.len();
    if count == 1 {
        return &endpoints[0];
    }
    let bits = random();
    let first = below(count, bits);
    // One of the others, so that the two differ.
    let second = first + 1 + below(count - 1, bits.rotate_left(32));
    let second = if second >= count { second - count } else { second };
    // Choosing a number compiles to a conditional move; choosing a reference is a branch that is wrong half the time.
    let cheaper = cost(&endpoints[second], now) < cost(&endpoints[first], now);
    &endpoints[if cheaper { second } else { first }]
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
    use super::*;

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
