//! What callsheet has to say, for the program's own log.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use callsheet::host::{PerProcess, capture, leave_signals_to_the_host, next_line};
use callsheet::{Code, Error, Result, block_on};

use crate::boundary::{answer, invalid};
use crate::callbacks::Context;
use crate::error::{c_string, callsheet_code, callsheet_error_t};

/// How important a line is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_log_level {
    /// Something is broken.
    CALLSHEET_LOG_ERROR = 1,
    /// Something asks for attention.
    CALLSHEET_LOG_WARN = 2,
    /// What happens.
    CALLSHEET_LOG_INFO = 3,
    /// What happens, in detail.
    CALLSHEET_LOG_DEBUG = 4,
    /// Everything.
    CALLSHEET_LOG_TRACE = 5,
}

/// What `callsheet_set_log` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing is
/// called. `drop` may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_log_closure_t {
    /// Handed to both functions.
    pub context: *mut c_void,
    /// Called with each line, which lives until the call returns.
    pub call: Option<
        unsafe extern "C" fn(context: *mut c_void, level: callsheet_log_level, message: *const c_char),
    >,
    /// Called once at the end.
    pub drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

struct Hook {
    context: Context,
    call: unsafe extern "C" fn(*mut c_void, callsheet_log_level, *const c_char),
}

#[derive(Default)]
struct Log {
    hook: Option<Arc<Hook>>,
    /// Whether the thread that calls it was started.
    served: bool,
}

static LOG: PerProcess<Mutex<Log>> = PerProcess::new(Mutex::default);

/// Hands callsheet's log, of `level` and above, to `closure.call` from now on, on one thread of its own and one line at a
/// time: at most 100 lines a second, and 1024 that wait. Instead of whoever had it before, whose context is dropped when
/// its last call has returned. A `call` of NULL ends it. The context belongs to callsheet from here on, even if this fails.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT` for a level that is none of `CALLSHEET_LOG_*`.
///
/// # Safety
/// `error` is NULL or may be written to; the functions of `closure` may be called on any thread until `drop` was called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_set_log(
    level: i32,
    closure: callsheet_log_closure_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    let context = Context { pointer: closure.context, drop: closure.drop };
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let context = context;
            let level = match level {
                1 => "error",
                2 => "warn",
                3 => "info",
                4 => "debug",
                5 => "trace",
                _ => return Err(invalid(format!("there is no level {level}; it is one of CALLSHEET_LOG_*"))),
            };
            let hook = closure.call.map(|call| Arc::new(Hook { context, call }));
            if hook.is_some() {
                capture(level);
            }
            set(hook)
        })
    }
}

fn set(hook: Option<Arc<Hook>>) -> Result<()> {
    let before = {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        if hook.is_some() && !log.served {
            let thread = std::thread::Builder::new().name("callsheet-log".into()).spawn(serve);
            thread.map_err(|error| {
                Error::new(Code::Internal, "can't start the log thread (see `ulimit -u`)").with_cause(error)
            })?;
            log.served = true;
        }
        std::mem::replace(&mut log.hook, hook)
    };
    // Outside the lock: this may call the program.
    drop(before);
    Ok(())
}

fn serve() {
    leave_signals_to_the_host();
    while let Some(line) = block_on(next_line()) {
        let hook = LOG.lock().unwrap_or_else(PoisonError::into_inner).hook.clone();
        let Some(hook) = hook else { continue };
        let level = match line.level {
            "error" => callsheet_log_level::CALLSHEET_LOG_ERROR,
            "warn" => callsheet_log_level::CALLSHEET_LOG_WARN,
            "info" => callsheet_log_level::CALLSHEET_LOG_INFO,
            "debug" => callsheet_log_level::CALLSHEET_LOG_DEBUG,
            _ => callsheet_log_level::CALLSHEET_LOG_TRACE,
        };
        let message = c_string(line.message);
        // SAFETY: the program gave this function for this context, which was not dropped yet.
        unsafe { (hook.call)(hook.context.pointer, level, message.as_ptr()) }
    }
}
