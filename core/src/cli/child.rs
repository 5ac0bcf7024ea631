//! The program that `run` starts: its start, its signals, and its exit code as a shell would give it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, getpgid, kill_process};
use tokio::process::Command;

use super::exit;
use super::signals::Received;

/// A started program. Not killed when dropped: a program without `callsheet` beside it still does its work.
pub(super) struct Child(tokio::process::Child);

impl Child {
    /// Starts `command` with the terminal, files and environment of this process.
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Command::new(program).args(arguments).spawn().map(Child)
    }

    /// Until it ends; how it ended. Cancel-safe.
    pub(super) async fn ended(&mut self) -> io::Result<i32> {
        self.0.wait().await.map(code)
    }

    /// Whether it has got this signal already, because the terminal sent it to both.
    pub(super) fn has(&self, received: Received) -> bool {
        let same_group = self.pid().is_some_and(|child| getpgid(Some(child)).ok() == getpgid(None).ok());
        received.to_group && same_group
    }

    /// Passes a signal on. A program that has ended needs none.
    pub(super) fn signal(&self, number: i32) {
        if let (Some(child), Some(signal)) = (self.pid(), Signal::from_named_raw(number)) {
            // It can only fail for a program that became another user's, which then has to be ended by that user.
            let _ = kill_process(child, signal);
        }
    }

    /// `None` once it was waited for: then the number may be somebody else's.
    fn pid(&self) -> Option<Pid> {
        self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()))
    }
}

fn code(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => exit::by_signal(signal),
        (None, None) => exit::FAILED,
    }
}

/// The exit code for a program that could not be started.
pub(super) fn not_started(error: &io::Error) -> i32 {
    match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    }
}
