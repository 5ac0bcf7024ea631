//! Errors: the core's code as a number, and the rest of it as an object with its causes.

use std::error::Error as StdError;
use std::ffi::{CString, c_char};

use callsheet::{Code, Error};

use crate::boundary::{answer, free, quiet};

/// How a call ended. The numbers never change and are never used again for something else.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_code {
    /// It did what was asked.
    CALLSHEET_OK = 0,
    /// An argument of this call is wrong; nothing was done.
    CALLSHEET_INVALID_ARGUMENT = 1,
    /// The URL, an option, the environment or a file given to `callsheet_connect` is wrong.
    CALLSHEET_CONFIG = 2,
    /// No registration with this id.
    CALLSHEET_NOT_FOUND = 3,
    /// The picker has nothing to pick.
    CALLSHEET_NO_INSTANCES = 4,
    /// The registry can't be reached or does not answer.
    CALLSHEET_UNAVAILABLE = 5,
    /// The time allowed for the call is over.
    CALLSHEET_TIMEOUT = 6,
    /// The registry does not accept the credentials.
    CALLSHEET_UNAUTHENTICATED = 7,
    /// The registry accepts the credentials but not this operation.
    CALLSHEET_PERMISSION_DENIED = 8,
    /// Something else already holds what was asked for.
    CALLSHEET_CONFLICT = 9,
    /// The client, watch or registration is closed.
    CALLSHEET_CLOSED = 10,
    /// The call was cancelled.
    CALLSHEET_CANCELLED = 11,
    /// The object belongs to the parent of this forked process.
    CALLSHEET_FORKED = 12,
    /// The registry answered with something that it never should.
    CALLSHEET_PROTOCOL = 13,
    /// A defect in callsheet itself.
    CALLSHEET_INTERNAL = 14,
    /// Only of a cause: an error of the operating system or of a library, see `callsheet_error_errno`.
    CALLSHEET_FOREIGN = 100,
}

impl From<Code> for callsheet_code {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::CALLSHEET_INVALID_ARGUMENT,
            Code::Config => Self::CALLSHEET_CONFIG,
            Code::NotFound => Self::CALLSHEET_NOT_FOUND,
            Code::NoInstances => Self::CALLSHEET_NO_INSTANCES,
            Code::Unavailable => Self::CALLSHEET_UNAVAILABLE,
            Code::Timeout => Self::CALLSHEET_TIMEOUT,
            Code::Unauthenticated => Self::CALLSHEET_UNAUTHENTICATED,
            Code::PermissionDenied => Self::CALLSHEET_PERMISSION_DENIED,
            Code::Conflict => Self::CALLSHEET_CONFLICT,
            Code::Closed => Self::CALLSHEET_CLOSED,
            Code::Cancelled => Self::CALLSHEET_CANCELLED,
            Code::Forked => Self::CALLSHEET_FORKED,
            Code::Protocol => Self::CALLSHEET_PROTOCOL,
            // The core's codes are non-exhaustive; one that this crate does not know is a defect of it.
            _ => Self::CALLSHEET_INTERNAL,
        }
    }
}

/// An error: its code, a message for a person, and what caused it.
pub struct callsheet_error_t {
    code: callsheet_code,
    retryable: bool,
    errno: i32,
    message: CString,
    cause: Option<Box<callsheet_error_t>>,
}

impl callsheet_error_t {
    pub(crate) fn new(error: &Error) -> Self {
        callsheet_error_t {
            code: error.code().into(),
            retryable: error.retryable(),
            errno: 0,
            message: c_string(error.to_string()),
            cause: error.source().map(Self::foreign),
        }
    }

    fn foreign(error: &(dyn StdError + 'static)) -> Box<Self> {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Box::new(Self::new(error));
        }
        let io = error.downcast_ref::<std::io::Error>();
        Box::new(callsheet_error_t {
            code: callsheet_code::CALLSHEET_FOREIGN,
            retryable: false,
            errno: io.and_then(std::io::Error::raw_os_error).unwrap_or(0),
            message: c_string(error.to_string()),
            cause: error.source().map(Self::foreign),
        })
    }
}

/// A text for C, which ends at the first NUL.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    CString::new(bytes).unwrap_or_default()
}

/// The code of `error`; `CALLSHEET_OK` for NULL.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_code(error: *const callsheet_error_t) -> callsheet_code {
    // SAFETY: as the caller promises.
    quiet(callsheet_code::CALLSHEET_INTERNAL, || match unsafe { error.as_ref() } {
        Some(error) => error.code,
        None => callsheet_code::CALLSHEET_OK,
    })
}

/// What happened and what to do, with the causes. Lives as long as `error`; "" for NULL.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_message(error: *const callsheet_error_t) -> *const c_char {
    // SAFETY: as the caller promises.
    quiet(c"".as_ptr(), || match unsafe { error.as_ref() } {
        Some(error) => error.message.as_ptr(),
        None => c"".as_ptr(),
    })
}

/// Whether the same call may succeed later unchanged; false for NULL.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_retryable(error: *const callsheet_error_t) -> bool {
    // SAFETY: as the caller promises.
    quiet(false, || unsafe { error.as_ref() }.is_some_and(|error| error.retryable))
}

/// What caused `error`, or NULL. Lives as long as `error` and is not freed.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_cause(error: *const callsheet_error_t) -> *const callsheet_error_t {
    quiet(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        let cause = unsafe { error.as_ref() }.and_then(|error| error.cause.as_deref());
        cause.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// The `errno` of a `CALLSHEET_FOREIGN` cause that came from the operating system, else 0.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_errno(error: *const callsheet_error_t) -> i32 {
    // SAFETY: as the caller promises.
    quiet(0, || unsafe { error.as_ref() }.map_or(0, |error| error.errno))
}

/// Frees an error that a call gave out. NULL is fine.
///
/// # Safety
/// `error` is NULL, or was given out by a call and not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_error_free(error: *mut callsheet_error_t) {
    // SAFETY: as the caller promises.
    unsafe { free(error) }
}

/// The word that every language uses for a code, such as "invalid_argument". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_code_name(code: i32) -> *const c_char {
    let name = match code {
        0 => c"ok",
        1 => c"invalid_argument",
        2 => c"config",
        3 => c"not_found",
        4 => c"no_instances",
        5 => c"unavailable",
        6 => c"timeout",
        7 => c"unauthenticated",
        8 => c"permission_denied",
        9 => c"conflict",
        10 => c"closed",
        11 => c"cancelled",
        12 => c"forked",
        13 => c"protocol",
        14 => c"internal",
        100 => c"foreign",
        _ => c"",
    };
    name.as_ptr()
}

/// For the test that a panic stops at the boundary, in a call that waits and in one that does not.
///
/// cbindgen:ignore
///
/// # Safety
/// `error` is NULL or may be written to.
#[doc(hidden)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_test_panic(
    waiting: bool,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let mut polled = false;
            let second_poll = std::future::poll_fn(move |context| {
                assert!(waiting && !polled, "on purpose");
                polled = true;
                context.waker().wake_by_ref();
                std::task::Poll::<callsheet::Result<()>>::Pending
            });
            callsheet::block_on(second_poll)
        })
    }
}
