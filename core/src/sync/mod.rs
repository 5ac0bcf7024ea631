//! What threads share in `slot`, `outbox`, `dispatcher` and `balance`: the standard library's and arc-swap's own, or what
//! stands for them while the models in those files try every interleaving (`make test-loom`). Nothing of it is our own.

#[cfg(all(test, callsheet_loom))]
pub(crate) mod modelled;

#[cfg(all(test, callsheet_loom))]
pub(crate) use modelled::{Arc, ArcSwap, AtomicBool, AtomicU64, Mutex, MutexGuard, OnceLock, Weak};

#[cfg(not(all(test, callsheet_loom)))]
pub(crate) use {
    arc_swap::ArcSwap,
    std::sync::atomic::{AtomicBool, AtomicU64},
    std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak},
};
