//! The core's errors on their way to `CallsheetError`: as one JSON text, causes included. Also where a panic stops.

use std::any::Any;
use std::error::Error as StdError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use callsheet::{Code, Error};
use serde_json::{Value, json};

/// Runs `call`; its error, or a panic in it, is thrown as an `Error` whose message `lib/error.js` decodes.
pub(crate) fn guarded<T>(call: impl FnOnce() -> callsheet::Result<T>) -> napi::Result<T> {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    result.map_err(|error| thrown(&error))
}

/// `error` as what a native function throws.
pub(crate) fn thrown(error: &Error) -> napi::Error {
    napi::Error::from_reason(encoded(error))
}

/// `error` as the text that `lib/error.js` decodes.
pub(crate) fn encoded(error: &Error) -> String {
    own(error).to_string()
}

/// What becomes of a panic.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let said = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Error::new(Code::Internal, format!("callsheet panicked; please report this: {said}"))
}

/// A refusal of the binding's own.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// Milliseconds of JavaScript, which `lib/argument.js` has checked for sign and finiteness.
pub(crate) fn milliseconds(what: &str, value: f64) -> callsheet::Result<Duration> {
    callsheet::host::seconds(what, value / 1000.0)
}

fn own(error: &Error) -> Value {
    json!({
        "code": error.code().as_str(),
        "message": error.to_string(),
        "retryable": error.retryable(),
        "cause": error.source().map(any),
    })
}

/// A cause that may not be the core's own. The number of a system error becomes its name in JavaScript.
fn any(error: &(dyn StdError + 'static)) -> Value {
    if let Some(error) = error.downcast_ref::<Error>() {
        return own(error);
    }
    json!({
        "message": error.to_string(),
        "errno": error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error),
        "cause": error.source().map(any),
    })
}

/// Every code and whether it is retryable: for the test that compares them with the types.
#[napi_derive::napi]
pub fn codes() -> Vec<String> {
    Code::ALL.iter().map(|code| format!("{code} {}", code.retryable())).collect()
}

/// Panics: for the test that a panic is caught.
#[napi_derive::napi]
pub fn panic_on_purpose() -> napi::Result<()> {
    guarded(|| panic!("on purpose"))
}
