//! The core's errors as the exceptions of `callsheet._errors`, chosen by their code alone, causes included.
//! Also where a panic stops.

use std::any::Any;
use std::error::Error as StdError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use callsheet::{Code, Error};
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Why a call of this module fails: the core said so, or Python did.
pub(crate) enum Failure {
    Core(Error),
    Python(PyErr),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Core(error) => Python::attach(|py| exception(py, &error)),
            Failure::Python(error) => error,
        }
    }
}

/// The exception for `error`, with its causes as `__cause__`.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let raised = match class(py, error.code()) {
        Ok(class) => PyErr::from_type(class, (error.to_string(),)),
        Err(unavailable) => return unavailable,
    };
    if let Some(cause) = error.source() {
        raised.set_cause(py, Some(foreign(py, cause)));
    }
    raised
}

/// A cause that may not be the core's own.
fn foreign(py: Python<'_>, error: &(dyn StdError + 'static)) -> PyErr {
    if let Some(error) = error.downcast_ref::<Error>() {
        return exception(py, error);
    }
    let raised = match error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
        // With a number OSError becomes the subclass for it, such as ConnectionRefusedError.
        Some(number) => PyOSError::new_err((number, error.to_string())),
        None => PyException::new_err(error.to_string()),
    };
    if let Some(cause) = error.source() {
        raised.set_cause(py, Some(foreign(py, cause)));
    }
    raised
}

fn class(py: Python<'_>, code: Code) -> PyResult<Bound<'_, PyType>> {
    static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();
    let classes = CLASSES.get_or_try_init(py, || {
        let module = py.import("callsheet._errors")?;
        let class = |code: &Code| {
            let class = module.getattr(class_name(*code))?;
            Ok::<_, PyErr>(class.cast_into::<PyType>()?.unbind())
        };
        Code::ALL.iter().map(class).collect::<PyResult<_>>()
    })?;
    let at = Code::ALL.iter().position(|known| *known == code).unwrap_or(Code::ALL.len() - 1);
    Ok(classes[at].bind(py).clone())
}

/// `invalid_argument` is raised as `InvalidArgument`.
fn class_name(code: Code) -> String {
    let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
    code.as_str().split('_').map(capitalized).collect()
}

/// Every code, the name of its class, and whether it is retryable: for the test that compares them.
#[pyfunction]
pub(crate) fn codes() -> Vec<(&'static str, String, bool)> {
    Code::ALL.iter().map(|code| (code.as_str(), class_name(*code), code.retryable())).collect()
}

/// Runs `call`; a panic in it becomes `internal`. Python would else see pyo3's `PanicException`, which no
/// `except Exception` catches.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = format!("callsheet panicked; please report this: {}", said(&*panic));
        Err(Error::new(Code::Internal, message).into())
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Panic, while waiting or not: for the test that a panic is caught.
#[pyfunction]
pub(crate) fn panic_on_purpose(py: Python<'_>, waiting: bool) -> Result<()> {
    if waiting {
        let mut polled = false;
        let second_poll = std::future::poll_fn(move |context| {
            assert!(!polled, "on purpose");
            polled = true;
            context.waker().wake_by_ref();
            std::task::Poll::<callsheet::Result<()>>::Pending
        });
        return crate::wait::block(py, second_poll);
    }
    guarded(|| panic!("on purpose"))
}
