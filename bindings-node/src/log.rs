//! Which lines of the core's log are kept for `lib/log.js`.

use napi_derive::napi;

/// Keeps the core's lines of this level and above from now on: `error`, `warn`, `info`, `debug` or `trace`.
#[napi]
pub fn capture_log(level: String) {
    callsheet::host::capture(&level);
}
