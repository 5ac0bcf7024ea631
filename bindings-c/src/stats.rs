//! What a client counts.

use crate::boundary::{answer, given, writable};
use crate::client::callsheet_client_t;
use crate::error::{callsheet_code, callsheet_error_t};
use crate::options::Options;

/// What a client has done and holds. Counts only grow; the first five are as of the call. Begin with
/// `CALLSHEET_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_stats_t {
    /// `sizeof(callsheet_stats_t)`.
    pub struct_size: usize,
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
    /// Requests that failed and may be made again now, while others succeed: at most 100.
    pub retry_budget: u64,
    /// Times that a registration was written to the registry.
    pub publishes: u64,
    /// Tries of that which failed.
    pub publish_failures: u64,
    /// Registrations that the registry lost or somebody deleted.
    pub losses: u64,
    /// Registrations that another live process took over.
    pub superseded: u64,
    /// Whole reads of a service.
    pub loads: u64,
    /// Reads that failed, and follows that broke.
    pub load_failures: u64,
    /// Times that a service could not be followed on and was read again and compared.
    pub reloads: u64,
    /// Snapshots made.
    pub snapshots: u64,
    /// Snapshots that a slow subscriber did not take before the next one came.
    pub skipped: u64,
    /// Empty lists held back because nothing proved them.
    pub empty_held: u64,
    /// Values under a service's name that are no instance.
    pub undecodable: u64,
    /// Times that a saved list was shown, as the registry could not be read.
    pub disk_loads: u64,
    /// Times that a fallback registry's list was shown, as the registry could not be read.
    pub fallback_loads: u64,
    /// Times that the circuit breaker opened, after failures in a row.
    pub breaker_opened: u64,
    /// Requests that were not made, as the circuit breaker was open or the retry budget spent.
    pub held_back: u64,
    /// Times that a picker ejected an instance, because calls to it failed.
    pub ejections: u64,
    /// Watched services dropped because nobody used them.
    pub idle_dropped: u64,
    /// Callbacks that raised; none do in C.
    pub callback_failures: u64,
    /// Log lines not handed to the program because they came too fast or it did not take them in time.
    pub log_dropped: u64,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_stats_t {
    const NAMES: (&'static str, &'static str) = ("stats", "CALLSHEET_STATS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_stats_t {
        struct_size: size_of::<Self>(),
        registrations: 0,
        registered: 0,
        watched_services: 0,
        live_services: 0,
        stale_services: 0,
        disk_services: 0,
        fallback_services: 0,
        subscribers: 0,
        breaker_open: 0,
        retry_budget: 0,
        publishes: 0,
        publish_failures: 0,
        losses: 0,
        superseded: 0,
        loads: 0,
        load_failures: 0,
        reloads: 0,
        snapshots: 0,
        skipped: 0,
        empty_held: 0,
        undecodable: 0,
        disk_loads: 0,
        fallback_loads: 0,
        breaker_opened: 0,
        held_back: 0,
        ejections: 0,
        idle_dropped: 0,
        callback_failures: 0,
        log_dropped: 0,
    };
}

/// Fills in `stats`, as far as the program's header knows it. Works on a closed client too.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` is NULL or valid; `stats` is NULL or begun with `CALLSHEET_STATS_INIT`; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_stats(
    client: *mut callsheet_client_t,
    stats: *mut callsheet_stats_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = writable("stats", stats)?;
            let stats = given("client", client)?.0.core.stats()?;
            // Also looks at the size.
            let asked = callsheet_stats_t::read(out)?;
            let filled = callsheet_stats_t {
                struct_size: asked.struct_size,
                registrations: stats.registrations,
                registered: stats.registered,
                watched_services: stats.watched_services,
                live_services: stats.live_services,
                stale_services: stats.stale_services,
                disk_services: stats.disk_services,
                fallback_services: stats.fallback_services,
                subscribers: stats.subscribers,
                breaker_open: stats.breaker_open,
                retry_budget: stats.retry_budget,
                publishes: stats.publishes,
                publish_failures: stats.publish_failures,
                losses: stats.losses,
                superseded: stats.superseded,
                loads: stats.loads,
                load_failures: stats.load_failures,
                reloads: stats.reloads,
                snapshots: stats.snapshots,
                skipped: stats.skipped,
                empty_held: stats.empty_held,
                undecodable: stats.undecodable,
                disk_loads: stats.disk_loads,
                fallback_loads: stats.fallback_loads,
                breaker_opened: stats.breaker_opened,
                held_back: stats.held_back,
                ejections: stats.ejections,
                idle_dropped: stats.idle_dropped,
                callback_failures: stats.callback_failures,
                log_dropped: stats.log_dropped,
            };
            std::ptr::copy_nonoverlapping(
                (&raw const filled).cast::<u8>(),
                out.cast::<u8>(),
                asked.struct_size,
            );
            Ok(())
        })
    }
}
