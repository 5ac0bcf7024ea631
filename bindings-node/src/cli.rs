//! The command `callsheet` inside this process, so that the package brings it without a second binary.

use callsheet::cli;
use napi_derive::napi;

use crate::error::guarded;

/// Runs the command line `args`, the program's own name first, and gives back its exit code.
#[napi]
pub fn command_line(args: Vec<String>) -> napi::Result<i32> {
    guarded(|| {
        leave_signals();
        leave_streams();
        Ok(cli::main(args.into_iter().map(Into::into)))
    })
}

/// Undoes what Node does to signals, so that the command and the programs it runs find them as a shell left them. Node
/// answers SIGINT and SIGTERM with handlers of its own, which would end it without a word to the child.
fn leave_signals() {
    #[cfg(unix)]
    for number in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: both calls only read and write `action`, for which all zeroes are a valid value.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, std::ptr::null(), &mut action);
            // Ignored signals stay ignored.
            if action.sa_sigaction != libc::SIG_IGN {
                libc::signal(number, libc::SIG_DFL);
            }
        }
    }
}

/// Programs that the command runs are to have its standard streams, which Node keeps to itself (libuv's
/// `uv_disable_stdio_inheritance`).
fn leave_streams() {
    #[cfg(unix)]
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both calls touch no memory, only the flags of the descriptor, if it is open.
        unsafe {
            let flags = libc::fcntl(stream, libc::F_GETFD);
            if flags >= 0 {
                libc::fcntl(stream, libc::F_SETFD, flags & !libc::FD_CLOEXEC);
            }
        }
    }
}
