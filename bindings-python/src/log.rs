//! What the core has to say, for the Python thread that hands it to `logging`.

use std::task::{Context, Poll, Waker};

use callsheet::block_on;
use callsheet::host::{LogLine, capture, next_line, poll_next_line};
use pyo3::prelude::*;

/// Keep the core's lines of this level and above from now on: `error`, `warn`, `info`, `debug` or `trace`.
#[pyfunction]
pub(crate) fn capture_log(level: &str) {
    capture(level);
}

/// The next line, its level and its message. `None` when there is none and `wait` is false.
#[pyfunction]
pub(crate) fn next_log_line(py: Python<'_>, wait: bool) -> Option<(&'static str, String)> {
    let line = if wait {
        py.detach(|| block_on(next_line()))
    } else {
        match poll_next_line(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(line) => line,
            Poll::Pending => None,
        }
    };
    line.map(|LogLine { level, message, .. }| (level, message))
}
