//! Signals that a command takes instead of dying of them, with who sent each. tokio's own signals don't tell whether
//! the terminal sent one, which `run` has to know.

use std::io;

use signal_hook::consts::SIGHUP;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc;

use super::exit::Failure;

/// Signals kept for a command that is busy. The kernel keeps one of each kind anyway.
const QUEUE: usize = 64;

pub(super) struct Signals {
    receiver: mpsc::Receiver<Received>,
    listener: Handle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) number: i32,
    /// Whether the terminal sent it to its whole foreground group (Ctrl-C, a resize, a hang-up), this process's
    /// children included.
    pub(super) to_group: bool,
}

impl Signals {
    /// Takes these signals from now on, but for those that this process was started to ignore: `nohup` and the
    /// background jobs of scripts stay what they are.
    pub(super) fn listen(wanted: &[i32]) -> Result<Self, Failure> {
        let ignored = ignored();
        let wanted = wanted.iter().copied().filter(|number| ignored >> (number - 1) & 1 == 0);
        Self::start(wanted).map_err(|error| Failure::system("can't listen for signals", error))
    }

    fn start(wanted: impl Iterator<Item = i32>) -> io::Result<Self> {
        let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
        let listener = signals.handle();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let listen = move || {
            for origin in &mut signals {
                let received = Received { number: origin.signal, to_group: to_group(&origin) };
                if sender.blocking_send(received).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("callsheet-signals".into()).spawn(listen)?;
        Ok(Signals { receiver, listener })
    }

    /// The next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Received {
        match self.receiver.recv().await {
            Some(received) => received,
            // The listener ends only with `self`.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.close();
    }
}

fn to_group(origin: &Origin) -> bool {
    let by_kernel = match origin.cause {
        Cause::Kernel => true,
        // macOS tells no cause, only a sender, which the kernel is not.
        Cause::Unknown => origin.process.is_none_or(|process| process.pid == 0),
        _ => false,
    };
    // When a terminal hangs up, the leader of its session hears of it first and alone.
    by_kernel && !(origin.signal == SIGHUP && leads_session())
}

fn leads_session() -> bool {
    rustix::process::getsid(None).is_ok_and(|leader| leader == rustix::process::getpid())
}

/// The signals that this process ignores, bit N-1 for signal N; none where the system does not tell without unsafe
/// code.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
