//! Keeps SQLite shut while this process forks. SQLite remembers its record locks per file in process memory, and a child
//! that opens the same file would believe in locks that only its parent holds; so nothing may be open at that moment
//! (https://www.sqlite.org/howtocorrupt.html, 2.6). Called by the actors; never takes a lock that a fork could copy.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::mailbox;

/// Forks under way.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Connections that are open.
static OPEN: AtomicU32 = AtomicU32::new(0);
/// Set in a child that was forked although a connection stayed open.
static TORN: AtomicBool = AtomicBool::new(false);

/// How long a fork waits for a transaction to end. Ours take milliseconds; only a hanging disk takes longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Leave to have one connection open.
#[derive(Debug)]
pub(super) struct Pass(());

/// Why there is no leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Ask again in a moment.
    Forking,
    /// Never in this process.
    Torn,
}

pub(super) fn enter() -> Result<Pass, Shut> {
    if TORN.load(SeqCst) {
        return Err(Shut::Torn);
    }
    // Counted before looking, as a fork looks after announcing itself: one of the two sees the other.
    OPEN.fetch_add(1, SeqCst);
    let pass = Pass(());
    if is_forking() { Err(Shut::Forking) } else { Ok(pass) }
}

/// Whether open connections have to be closed now.
pub(super) fn is_forking() -> bool {
    FORKS.load(SeqCst) > 0
}

impl Drop for Pass {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, SeqCst);
    }
}

/// Begins to notice forks; called when a client is made, long before its thread opens anything.
pub(super) fn watch_forks() {
    // No `Once`: a child forked while one runs would wait for it for ever. Registered twice by two threads, the handlers
    // count every fork twice in and twice out, which is the same.
    static WATCHING: AtomicBool = AtomicBool::new(false);
    if WATCHING.load(SeqCst) {
        return;
    }
    // SAFETY: the handlers are plain functions that live for ever. The one before the fork runs as ordinary code of the
    // forking thread; those after it do nothing but atomic operations, which are async-signal-safe.
    unsafe {
        libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child));
    }
    WATCHING.store(true, SeqCst);
}

unsafe extern "C" fn before() {
    FORKS.fetch_add(1, SeqCst);
    if OPEN.load(SeqCst) == 0 {
        return;
    }
    mailbox::ring_all();
    let deadline = Instant::now() + PATIENCE;
    while OPEN.load(SeqCst) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
}

unsafe extern "C" fn after_in_parent() {
    FORKS.fetch_sub(1, SeqCst);
}

unsafe extern "C" fn after_in_child() {
    if OPEN.swap(0, SeqCst) > 0 {
        TORN.store(true, SeqCst);
    }
    FORKS.store(0, SeqCst);
}
