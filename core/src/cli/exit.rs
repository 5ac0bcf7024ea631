//! Exit codes, and how a command fails: what is said on stderr and with which code it ends.

use std::io;

use super::output::Output;
use crate::error::{Code, Error};

pub(super) const OK: i32 = 0;
pub(super) const FAILED: i32 = 1;
pub(super) const USAGE: i32 = 2;
/// `EX_UNAVAILABLE` of sysexits.h.
pub(super) const UNAVAILABLE: i32 = 69;
/// What shells and env(1) say of a program that is there and can't be executed.
pub(super) const NOT_EXECUTABLE: i32 = 126;
/// What shells and env(1) say of a program that is not there.
pub(super) const NOT_FOUND: i32 = 127;

/// What shells say of a program that a signal ended.
pub(super) fn by_signal(number: i32) -> i32 {
    128 + number
}

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The core said so.
    Core(Error),
    /// Nobody reads our output any more, or it can't be written.
    Output(io::Error),
    /// The system refused something else.
    System(&'static str, io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl Failure {
    pub(super) fn system(what: &'static str, error: io::Error) -> Self {
        Failure::System(what, error)
    }

    /// Says on stderr what went wrong, in one line; the exit code.
    pub(super) fn tell(&self, output: &Output) -> i32 {
        match self {
            Failure::Core(error) => {
                output.warn(&error.to_string());
                of(error.code())
            }
            // `callsheet list | head -1` has done what was asked, also under `set -o pipefail`.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
            Failure::Output(error) => {
                output.warn(&format!("can't write the output: {error}"));
                FAILED
            }
            Failure::System(what, error) => {
                output.warn(&format!("{what}: {error}"));
                FAILED
            }
        }
    }
}

fn of(code: Code) -> i32 {
    match code {
        Code::InvalidArgument | Code::Config => USAGE,
        Code::Unavailable | Code::Timeout => UNAVAILABLE,
        _ => FAILED,
    }
}
