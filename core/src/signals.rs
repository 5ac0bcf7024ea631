//! Closing on SIGTERM and SIGINT, for programs that ask for it. The host's own handlers stay and run; where there was
//! none, the signal still ends the process, only after the withdrawal. A forked child has nothing to withdraw: there
//! the signal does what it would do without callsheet, until the child asks for its own clients.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, Weak};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{Client, Inner};
use crate::error::{Code, Error, Result};
use crate::fork::PerProcess;

/// Time between two looks for a signal in a forked child.
const LOOK: Duration = Duration::from_millis(50);

/// Clients to close, and whether somebody listens already.
static ASKED: PerProcess<Mutex<(Vec<Weak<Inner>>, bool)>> = PerProcess::new(Mutex::default);

impl Client {
    /// Closes this client on SIGTERM and SIGINT, then lets the signal do what it would have done: a handler of the
    /// program's own runs as before, and without one the process ends by the signal. Ignored signals stay ignored.
    ///
    /// # Errors
    /// `closed`, `forked`.
    pub fn close_on_signals(&self) -> Result<()> {
        let inner = self.open()?;
        let mut asked = ASKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        asked.0.retain(|client| client.strong_count() > 0);
        asked.0.push(Arc::downgrade(inner));
        if asked.1 {
            return Ok(());
        }
        let runtime = crate::runtime::handle()?;
        for (kind, taken) in kinds().into_iter().zip(&TAKEN) {
            let was = action(kind).sa_sigaction;
            if was == libc::SIG_IGN {
                continue;
            }
            if was == libc::SIG_DFL && taken.get().is_some() {
                let noted = noted(kind);
                runtime.spawn(async move {
                    noted.await;
                    close_all().await;
                    end_by(kind);
                });
                continue;
            }
            let _entered = runtime.enter();
            let mut signals = signal(kind)
                .map_err(|error| Error::new(Code::Internal, "can't listen for signals").with_cause(error))?;
            if was == libc::SIG_DFL {
                take(kind, taken);
            }
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    close_all().await;
                    if was == libc::SIG_DFL {
                        end_by(kind);
                    }
                }
            });
        }
        asked.1 = true;
        Ok(())
    }
}

async fn close_all() {
    let clients = std::mem::take(&mut ASKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0);
    let caller = std::thread::current().id();
    let mut closing = JoinSet::new();
    for client in clients.iter().filter_map(Weak::upgrade) {
        closing.spawn(async move { client.close(caller).await });
    }
    while let Some(closed) = closing.join_next().await {
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "closing on a signal");
        }
    }
}

fn kinds() -> [SignalKind; 2] {
    [SignalKind::terminate(), SignalKind::interrupt()]
}

/// tokio's own actions for the signals that had none before, in the order of [`kinds`].
static TAKEN: [OnceLock<libc::sigaction>; 2] = [const { OnceLock::new() }; 2];

/// Notes what a child has to undo.
fn take(kind: SignalKind, taken: &OnceLock<libc::sigaction>) {
    static HANDLER: Once = Once::new();
    taken.get_or_init(|| action(kind));
    HANDLER.call_once(|| {
        // SAFETY: the handler is a plain function that lives for ever and calls what is async-signal-safe.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Whoever ends a child must not have to know that its parent watches for signals.
unsafe extern "C" fn in_child() {
    for (kind, taken) in kinds().into_iter().zip(&TAKEN) {
        let now = action(kind).sa_sigaction;
        if now == noting() || taken.get().is_some_and(|ours| ours.sa_sigaction == now) {
            // SAFETY: restoring the default action touches no memory of ours.
            unsafe { libc::signal(kind.as_raw_value(), libc::SIG_DFL) };
        }
    }
}

/// Signals that a child has got, by number.
static NOTED: AtomicU64 = AtomicU64::new(0);

extern "C" fn note(signal: libc::c_int) {
    NOTED.fetch_or(1 << signal, Ordering::Release);
}

fn noting() -> libc::sighandler_t {
    note as *const () as libc::sighandler_t
}

/// Until `kind` comes, in a child of a process that used tokio for it: tokio would wake either of the two, because
/// they share the pipe that its handler writes to.
fn noted(kind: SignalKind) -> impl Future<Output = ()> {
    let bit = 1 << kind.as_raw_value();
    NOTED.fetch_and(!bit, Ordering::AcqRel);
    // SAFETY: the handler does one atomic operation.
    unsafe { libc::signal(kind.as_raw_value(), noting()) };
    async move {
        while NOTED.load(Ordering::Acquire) & bit == 0 {
            sleep(LOOK).await;
        }
    }
}

/// What the process does on this signal now.
fn action(kind: SignalKind) -> libc::sigaction {
    // SAFETY: `sigaction` with a null new action only writes `now`, for which all zeroes are a valid value.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(kind.as_raw_value(), std::ptr::null(), &mut now);
        now
    }
}

/// Ends the process as the signal would have.
fn end_by(kind: SignalKind) {
    // SAFETY: restoring the default action and raising the signal touch no memory of ours.
    unsafe {
        libc::signal(kind.as_raw_value(), libc::SIG_DFL);
        libc::kill(libc::getpid(), kind.as_raw_value());
    }
}
