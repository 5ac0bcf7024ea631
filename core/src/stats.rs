//! What a client counts: one place for every counter, read as a plain struct that each language shows its own way.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters that only grow, written by the actors.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter),* }

        /// What a client has done and holds. Counts only grow; the rest is as of the call.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            /// The registry's URL, without secrets.
            pub registry: String,
            /// Registrations that are not closed.
            pub registrations: u64,
            /// Of these, how many the registry holds now.
            pub registered: u64,
            /// Services being followed for watches, pickers and recent lookups.
            pub watched_services: u64,
            /// Of these, how many are live.
            pub live_services: u64,
            /// Of these, how many show the registry's last list, as it is away or refuses.
            pub stale_services: u64,
            /// Of these, how many show a list that was saved on disk.
            pub disk_services: u64,
            /// Of these, how many show what a fallback registry says.
            pub fallback_services: u64,
            /// Watches, pickers and callbacks that are open.
            pub subscribers: u64,
            /// 1 while the circuit breaker is open: all requests but one in a while fail at once.
            pub breaker_open: u64,
            /// Requests that failed and may be made again now, while others succeed: 10 a second and a fifth of those
            /// that succeed, at most 100.
            pub retry_budget: u64,
            $($(#[$doc])* pub $name: u64),*
        }

        impl Counters {
            /// The counters as they are, in a `Stats` whose gauges the client fills in.
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* ..Stats::default() }
            }
        }
    };
}

counters! {
    /// Times that a registration was written to the registry.
    publishes,
    /// Tries of that which failed.
    publish_failures,
    /// Registrations that the registry lost or somebody deleted.
    losses,
    /// Registrations that another live process took over.
    superseded,
    /// Whole reads of a service.
    loads,
    /// Reads that failed, and follows that broke.
    load_failures,
    /// Times that a service could not be followed on and was read again and compared.
    reloads,
    /// Snapshots made.
    snapshots,
    /// Snapshots that a slow subscriber did not take before the next one came.
    skipped,
    /// Empty lists held back because nothing proved them.
    empty_held,
    /// Values under a service's name that are no instance.
    undecodable,
    /// Times that a saved list was shown, as the registry could not be read.
    disk_loads,
    /// Times that a fallback registry's list was shown, as the registry could not be read.
    fallback_loads,
    /// Times that the circuit breaker opened, after failures in a row.
    breaker_opened,
    /// Requests that were not made, as the circuit breaker was open or the retry budget spent.
    held_back,
    /// Times that a picker ejected an instance, because calls to it failed.
    ejections,
    /// Watched services dropped because nobody used them.
    idle_dropped,
    /// Callbacks that raised.
    callback_failures,
    /// Log lines not handed to the host because it did not take them in time.
    log_dropped,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
