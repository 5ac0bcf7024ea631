//! How a Python thread waits for the core: without the GIL, and on the main thread with an ear for Ctrl-C.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use callsheet::host::block_on_interruptible;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::error::{Result, guarded};

/// How often a blocked main thread looks for signals; Ctrl-C is to be felt within 100 ms.
const SIGNALS: Duration = Duration::from_millis(50);
/// What no timeout means to the core, which takes none.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Blocks this thread until `future` is ready. What a signal handler raises, `KeyboardInterrupt` above all, ends the
/// wait and drops the future.
pub(crate) fn block<T: Send>(
    py: Python<'_>,
    future: impl Future<Output = callsheet::Result<T>> + Send,
) -> Result<T> {
    guarded(|| {
        let mut future = pin!(future);
        // Most lookups are answered from memory: then the GIL need not change hands.
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Ok(output?);
        }
        let main = on_main_thread(py)?;
        let output = py.detach(|| {
            if main {
                block_on_interruptible(future, SIGNALS, || Python::attach(|py| py.check_signals()))
            } else {
                Ok(callsheet::block_on(future))
            }
        });
        Ok(output??)
    })
}

/// Signal handlers run on the main thread only; the others need not wake up to look.
fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    static THREADING: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let (current, main) = THREADING.get_or_try_init(py, || {
        let threading = py.import("threading")?;
        let function = |name| threading.getattr(name).map(Bound::unbind);
        Ok::<_, PyErr>((function("get_ident")?, function("main_thread")?))
    })?;
    main.bind(py).call0()?.getattr("ident")?.eq(current.bind(py).call0()?)
}
