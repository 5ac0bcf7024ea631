//! The clock of leases: the machine's monotonic one, named by its boot. Setting the wall clock does not move it and it
//! stands still while the machine sleeps, so neither ends a lease. Passed in, so that tests turn it by hand.

/// Milliseconds since a moment that is the same for every process of this boot.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    boot: String,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    #[cfg(test)]
    Hand(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl Clock {
    pub(super) fn system() -> Self {
        // Where there is no boot id, rows of another boot are still found dead: nobody holds their owners' locks.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Clock { boot: boot.trim().to_owned(), source: Source::System }
    }

    #[cfg(test)]
    pub(super) fn by_hand(boot: &str, now: std::sync::Arc<std::sync::atomic::AtomicU64>) -> Self {
        Clock { boot: boot.to_owned(), source: Source::Hand(now) }
    }

    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    pub(super) fn now(&self) -> u64 {
        match &self.source {
            Source::System => {
                // CLOCK_BOOTTIME would run on during suspend and end every lease before anybody could renew one.
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
            }
            #[cfg(test)]
            Source::Hand(now) => now.load(std::sync::atomic::Ordering::SeqCst),
        }
    }
}
