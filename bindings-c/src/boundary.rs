//! What every export is made of: a panic stops here, pointers become references, texts are read, results become a code,
//! an error object and an out pointer.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use callsheet::host::seconds;
use callsheet::{Code, Error, Result};

use crate::error::{callsheet_code, callsheet_error_t};

/// Longest wait that is handed to the core; for a caller it is for ever.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, message)
}

fn panicked() -> Error {
    Error::new(Code::Internal, "callsheet panicked; please report this")
}

/// Runs `call` and says how it went: the code is returned, the error goes to `error` unless that is NULL.
///
/// # Safety
/// `error` is NULL or may be written to.
#[inline]
pub(crate) unsafe fn answer(
    error: *mut *mut callsheet_error_t,
    call: impl FnOnce() -> Result<()>,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer_unless(error, || call().map(|()| callsheet_code::CALLSHEET_OK)) }
}

/// [`answer`] of a call that may end with a code and no error object.
///
/// # Safety
/// `error` is NULL or may be written to.
#[inline]
pub(crate) unsafe fn answer_unless(
    error: *mut *mut callsheet_error_t,
    call: impl FnOnce() -> Result<callsheet_code>,
) -> callsheet_code {
    if !error.is_null() {
        // SAFETY: as the caller promises.
        unsafe { *error = std::ptr::null_mut() };
    }
    match catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked())) {
        Ok(code) => code,
        // SAFETY: as the caller promises.
        Err(failure) => unsafe { fail(error, &failure) },
    }
}

/// # Safety
/// As for [`answer`].
#[cold]
unsafe fn fail(error: *mut *mut callsheet_error_t, failure: &Error) -> callsheet_code {
    if !error.is_null() {
        let made = Box::new(callsheet_error_t::new(failure));
        // SAFETY: as the caller promises.
        unsafe { *error = Box::into_raw(made) };
    }
    failure.code().into()
}

/// Runs `call`; a panic in it gives `otherwise`.
pub(crate) fn quiet<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(otherwise)
}

/// What `object` points to, or `invalid_argument` that names it.
///
/// # Safety
/// `object` is NULL or valid for as long as the reference is used.
#[inline]
pub(crate) unsafe fn given<'a, T>(name: &str, object: *const T) -> Result<&'a T> {
    // SAFETY: as the caller promises.
    match unsafe { object.as_ref() } {
        Some(object) => Ok(object),
        None => Err(null(name)),
    }
}

/// Where an answer that is no object goes, or `invalid_argument` that names it.
pub(crate) fn writable<T>(name: &str, place: *mut T) -> Result<*mut T> {
    if place.is_null() { Err(null(name)) } else { Ok(place) }
}

#[cold]
fn null(name: &str) -> Error {
    invalid(format!("{name} is NULL"))
}

/// Where an object that is made goes; NULL is stored there until then.
pub(crate) struct Out<T>(*mut *mut T);

impl<T> Out<T> {
    /// # Safety
    /// `out` is NULL or may be written to until the export returns.
    pub(crate) unsafe fn new(name: &str, out: *mut *mut T) -> Result<Self> {
        if out.is_null() {
            return Err(null(name));
        }
        // SAFETY: as the caller promises.
        unsafe { *out = std::ptr::null_mut() };
        Ok(Out(out))
    }

    pub(crate) fn fill(self, object: T) {
        self.point_to(Box::into_raw(Box::new(object)));
    }

    pub(crate) fn point_to(self, object: *mut T) {
        // SAFETY: `new` was promised that it may be written to.
        unsafe { *self.0 = object };
    }
}

/// Drops what a constructor made; NULL is nothing.
///
/// # Safety
/// `object` is NULL or came from a constructor and was not freed before.
pub(crate) unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        quiet((), || {
            // SAFETY: as the caller promises.
            drop(unsafe { Box::from_raw(object) });
        });
    }
}

/// A text, if one was given.
///
/// # Safety
/// `text` is NULL or ends with a NUL, and stays for as long as the reference is used.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller promises.
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(invalid(format!("{name} is not valid UTF-8"))),
    }
}

/// A text that has to be given.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn required<'a>(name: &str, given: *const c_char) -> Result<&'a str> {
    // SAFETY: as the caller promises.
    unsafe { text(name, given)? }.ok_or_else(|| null(name))
}

/// The elements of an array; NULL with a length of 0 is an empty one.
///
/// # Safety
/// `first` is NULL or the first of `count` elements that stay for as long as the slice is used.
pub(crate) unsafe fn elements<'a, T>(name: &str, first: *const T, count: usize) -> Result<&'a [T]> {
    /// More is a length that was never set.
    const MOST: usize = 1 << 20;
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(null(name));
    }
    if count > MOST {
        return Err(invalid(format!("{count} {name} are too many")));
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// A wait; a negative one has no end.
pub(crate) fn wait(milliseconds: i64) -> Duration {
    u64::try_from(milliseconds).map_or(FOR_EVER, |ms| Duration::from_millis(ms).min(FOR_EVER))
}

/// A duration that may be left out, which is what -1 means.
pub(crate) fn duration(name: &str, milliseconds: i64) -> Result<Option<Duration>> {
    match milliseconds {
        -1 => Ok(None),
        // So that a negative one is refused with the words that every language uses.
        _ if milliseconds < 0 => seconds(name, milliseconds as f64 / 1000.0).map(Some),
        _ => Ok(Some(Duration::from_millis(milliseconds.unsigned_abs()))),
    }
}
