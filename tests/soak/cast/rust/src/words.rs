//! What the program says: a line of JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// One line, whole.
pub(crate) fn say(words: Value) {
    println!("{words}");
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
