//! Randomness for choices: each thread's own generator, without a lock or a shared cache line.

use std::cell::Cell;

use crate::fork::generation;
use crate::registry::random_u64;

thread_local! {
    /// The state, and the process that it was seeded in.
    static STATE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// A random word from this thread's own wyrand generator (https://github.com/wangyi-fudan/wyhash). The thread that
/// forks goes on in the child: without a seed of its own every worker of a server would choose alike.
#[inline]
pub(super) fn random() -> u64 {
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

/// Makes what this thread chooses from now on the same in every run.
#[cfg(any(test, feature = "simulation"))]
pub(super) fn seed(seed: u64) {
    STATE.with(|state| state.set((seed, generation())));
}

/// The upper half of a random word scaled to `0..count`, without a division (Lemire 2016, "A fast alternative to the
/// modulo reduction").
#[inline]
pub(super) fn below(count: usize, bits: u64) -> usize {
    (((bits >> 32) * count as u64) >> 32) as usize
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

    #[test]
    fn a_seed_fixes_what_follows() {
        let drawn = |with| {
            seed(with);
            [random(), random(), random()]
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
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
