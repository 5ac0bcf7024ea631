//! The command `callsheet` inside this process, so that the wheel brings it without a second binary.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Run the command line `args`, the program's own name first, and give back its exit code.
#[pyfunction]
pub(crate) fn command_line(py: Python<'_>, args: Vec<OsString>) -> i32 {
    py.detach(|| callsheet::cli::main(args))
}
