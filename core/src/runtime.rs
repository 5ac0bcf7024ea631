//! The tokio runtime that the core owns, and the ways in: spawning from any executor, and blocking a host's thread
//! on a future without a runtime of its own. Nothing here knows what a service is.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Code, Error, Result};
use crate::fork::{Owned, PerProcess};

/// Worker threads when `CALLSHEET_WORKERS` is not set. Discovery waits far more than it computes.
const WORKERS: usize = 2;

static RUNTIME: PerProcess<Option<Workers>> = PerProcess::new(Workers::start);

/// The runtime. Two threads that need it first at once both make one, and the one that came too late has to be dropped
/// wherever that thread is, a task of the host's own executor included.
struct Workers(Option<Runtime>);

impl Workers {
    fn start() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers())
            // Probes and name lookups are the only blocking work; SQLite has a thread of its own.
            .max_blocking_threads(16)
            .thread_name("callsheet")
            .on_thread_start(leave_signals_to_the_host)
            .enable_all()
            .build();
        runtime.ok().map(|runtime| Workers(Some(runtime)))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Does not block, unlike dropping it.
        self.0.take().map_or((), Runtime::shutdown_background)
    }
}

/// The kernel may give a signal for the process to any of its threads. The host expects that on its own: its handlers may
/// need a stack of a size that ours lack, and a language that runs handlers on one thread only is not woken by another.
pub fn leave_signals_to_the_host() {
    #[cfg(unix)]
    // SAFETY: fills a set on this stack and changes the mask of this thread, which is ours.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        // Those that a thread causes itself end the process silently when blocked, and profilers choose their threads.
        for own in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS] {
            libc::sigdelset(&mut all, own);
        }
        libc::sigdelset(&mut all, libc::SIGABRT);
        libc::sigdelset(&mut all, libc::SIGPROF);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}

fn workers() -> usize {
    let wanted = std::env::var("CALLSHEET_WORKERS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(WORKERS).clamp(1, 64)
}

/// The process-wide runtime, made on first use and made anew after a fork.
pub(crate) fn handle() -> Result<Handle> {
    match RUNTIME.as_ref().and_then(|workers| workers.0.as_ref()) {
        Some(runtime) => Ok(runtime.handle().clone()),
        None => Err(Error::new(
            Code::Internal,
            "can't start callsheet's threads: the system refused them (see `ulimit -u`)",
        )),
    }
}

/// A spawned task's result, for any executor. A panic inside becomes `internal`; in a forked child it is `forked`.
pub(crate) struct Task<T> {
    handle: Owned<JoinHandle<Result<T>>>,
    /// Whether dropping this cancels the task.
    cancels: bool,
}

impl<T> Task<T> {
    /// Gives up on it. It still has a result if it came to its end before.
    pub(crate) fn abort(&self) {
        if let Ok(handle) = self.handle.get() {
            handle.abort();
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let handle = match self.handle.get_mut() {
            Ok(handle) => handle,
            Err(forked) => return Poll::Ready(Err(forked)),
        };
        Pin::new(handle).poll(context).map(|joined| match joined {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                Err(Error::new(Code::Internal, "callsheet panicked; please report this").with_cause(error))
            }
            Err(_) => Err(Error::closed("client")),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let (true, Ok(handle)) = (self.cancels, self.handle.get()) {
            handle.abort();
        }
    }
}

/// Runs a future on `runtime` and gives its result to whichever executor awaits it. Dropping that cancels it.
pub(crate) fn spawn<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Task<T> {
    Task { handle: Owned::new(runtime.spawn(future)), cancels: true }
}

/// [`spawn`] of what is to be done even if nobody awaits it to the end.
pub(crate) fn spawn_detached<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Task<T> {
    Task { handle: Owned::new(runtime.spawn(future)), cancels: false }
}

/// `future`, or `timeout` with what `late` says.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T>>,
    late: impl FnOnce() -> String,
) -> Result<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(Code::Timeout, late())),
    }
}

/// Runs an actor until it ends. One that panics is reported and started anew, so that a defect costs a gap and not
/// the service.
pub(crate) async fn supervise<F>(what: &'static str, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Dropping the set, as when this task is aborted, aborts the actor too.
        let mut actor = JoinSet::new();
        actor.spawn(start());
        match actor.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "callsheet panicked while {what}; please report this");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            _ => return,
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until `future` is ready. Works on any thread that may block; the futures of this crate need
/// no runtime around them.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let park = || {
        std::thread::park();
        Ok::<(), std::convert::Infallible>(())
    };
    match block(future, park) {
        Ok(output) => output,
        Err(impossible) => match impossible {},
    }
}

/// Blocks this thread until `future` is ready, for at most `limit`; `None` when it was not by then.
pub fn block_on_within<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let began = Instant::now();
    let park = || {
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(());
        }
        std::thread::park_timeout(left);
        Ok(())
    };
    block(future, park).ok()
}

/// Blocks this thread until `future` is ready, calling `check` every `interval` and before every look at the future that
/// something woke it for: an interrupt that came first must not cost what the future would give. Its error ends the wait
/// and drops the future. This is how a host language lets Ctrl-C through.
pub fn block_on_interruptible<F: Future, E>(
    future: F,
    interval: Duration,
    mut check: impl FnMut() -> Result<(), E>,
) -> Result<F::Output, E> {
    let park = || {
        std::thread::park_timeout(interval);
        check()
    };
    block(future, park)
}

/// Looks at `future`, and parks this thread between the looks until that fails.
fn block<F: Future, E>(future: F, mut park: impl FnMut() -> Result<(), E>) -> Result<F::Output, E> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        park()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_that_came_too_late_is_dropped_inside_a_task() {
        drop(Workers::start());
    }

    #[test]
    fn a_panic_in_a_task_is_an_internal_error() {
        let runtime = handle().unwrap();
        let task = spawn::<()>(&runtime, async { panic!("on purpose") });
        assert_eq!(block_on(task).unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let mut checks = 0;
        let interrupted =
            block_on_interruptible(std::future::pending::<()>(), Duration::from_millis(1), || {
                checks += 1;
                if checks == 3 { Err("ctrl-c") } else { Ok(()) }
            });
        assert_eq!(interrupted, Err("ctrl-c"));
    }

    #[test]
    fn a_limit_ends_the_wait_and_no_wake_before_it_does() {
        let mut looks = 0;
        let began = Instant::now();
        let restless = std::future::poll_fn(|context| {
            looks += 1;
            if looks < 100 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!(block_on_within(restless, Duration::from_millis(20)), None);
        assert!(began.elapsed() >= Duration::from_millis(20) && looks >= 100);
        assert_eq!(block_on_within(async { 5 }, Duration::ZERO), Some(5));
    }

    #[test]
    fn an_interrupt_that_came_first_takes_nothing_with_it() {
        let slot = crate::slot::Slot::new(1);
        let next = std::future::poll_fn(|context| slot.poll_take(context));
        let interrupted = block_on_interruptible(next, Duration::from_millis(1), || {
            // The value and the interrupt come while the thread waits.
            slot.offer(5);
            Err("ctrl-c")
        });
        assert_eq!(interrupted, Err("ctrl-c"));
        assert_eq!(block_on(std::future::poll_fn(|context| slot.poll_take(context))), Some(5));
    }
}
