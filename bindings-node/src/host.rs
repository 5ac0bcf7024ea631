//! One JavaScript environment (the main thread, or a worker): how the core's threads wake it, the calls that it has
//! begun, and the clients that are to withdraw when it ends. No thread of the core's runs JavaScript.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use callsheet::Result;
use callsheet::host::{Call, Outbox, block_on_within};
use napi::bindgen_prelude::{Array, External, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status, sys};
use napi_derive::napi;

use crate::answer::{Answer, Value, array};
use crate::error::{guarded, milliseconds, thrown};

/// Time that withdrawing may take when the environment ends without the event `exit`: a terminated worker.
const LIMIT: Duration = Duration::from_secs(1);

/// Wakes the event loop, without a value. Weak: by itself it does not keep the process running.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true>;

pub(crate) struct Host {
    pub(crate) outbox: Arc<Outbox<Answer>>,
    bell: Arc<Bell>,
    calls: RefCell<HashMap<u32, Call>>,
    /// Clients with a registration, by a number of their own. A registration lasts until it is closed, also past the
    /// last mention of its client.
    registered: RefCell<HashMap<u32, callsheet::Client>>,
}

/// What JavaScript holds of it.
pub(crate) type Handle = External<Rc<Host>>;

impl Host {
    /// Begins `work`; its answer comes with the number `call`.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        call: u32,
        work: impl Future<Output = Result<T>> + Send + 'static,
        value: impl FnOnce(T) -> Value + Send + 'static,
    ) -> Result<()> {
        let begun = self.outbox.run(work, move |result| Answer::Call(call, result.map(value)))?;
        self.calls.borrow_mut().insert(call, begun);
        Ok(())
    }

    /// What a call gave whose caller had given up on it.
    fn discard(&self, value: &Value) {
        if let Value::Registration(handle) = value {
            let handle = handle.clone();
            // Once begun, the withdrawal goes on without anyone awaiting it.
            let closing = Outbox::<()>::new(|| {}).run(async move { handle.close().await }, |_| ());
            // Refused only where the system has no threads left; the instance then goes with its client.
            drop(closing);
        }
    }

    /// Holds `client`, which is about to have a registration.
    pub(crate) fn keep(&self, number: u32, client: &callsheet::Client) {
        self.registered.borrow_mut().entry(number).or_insert_with(|| client.clone());
    }

    /// Holds the client with this number no longer, unless it has a registration.
    pub(crate) fn let_go(&self, number: u32) {
        let has_none = |client: &callsheet::Client| {
            client.is_closed() || client.stats().map_or(true, |stats| stats.registrations == 0)
        };
        let mut registered = self.registered.borrow_mut();
        if registered.get(&number).is_some_and(has_none) {
            registered.remove(&number);
        }
    }

    /// Closes what has a registration, for at most `limit`. Whether it was done in time changes nothing that follows.
    fn close_all(&self, limit: Duration) {
        let clients = std::mem::take(&mut *self.registered.borrow_mut());
        if clients.is_empty() {
            return;
        }
        let close = |client: callsheet::Client| async move { drop(client.close().await) };
        let mut closing: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        closing.extend(clients.into_values().map(|client| Box::pin(close(client)) as Pin<Box<_>>));
        let all = poll_fn(move |context| {
            closing.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if closing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = block_on_within(all, limit);
    }
}

/// Once per environment: `drain` is called on its thread whenever there is something to `take`.
#[napi]
pub fn open(env: Env, drain: Function<'_, (), ()>) -> napi::Result<Handle> {
    let bell = drain.build_threadsafe_function::<()>().callee_handled::<false>().weak::<true>().build()?;
    let bell: Arc<Bell> = Arc::new(bell);
    let rung = bell.clone();
    let outbox = Outbox::new(move || {
        // Refused only by an environment that ends, which has nobody to tell.
        rung.call((), ThreadsafeFunctionCallMode::NonBlocking);
    });
    let host = Rc::new(Host { outbox, bell, calls: RefCell::default(), registered: RefCell::default() });
    env.add_env_cleanup_hook(host.clone(), |host| {
        // A panic must not cross into Node; there is nobody left to be told of it.
        let _ = guarded(|| {
            host.close_all(LIMIT);
            Ok(())
        });
    })?;
    Ok(External::new(host))
}

/// Everything that came since the last time: see `answer::array`.
#[napi]
pub fn take<'env>(env: &'env Env, host: &Handle) -> napi::Result<Array<'env>> {
    let answers = guarded(|| {
        let mut answers = host.outbox.take();
        answers.retain_mut(|answer| match answer {
            Answer::Call(id, result) => {
                let awaited = host.calls.borrow_mut().remove(id).is_some();
                if !awaited && let Ok(value) = result {
                    host.discard(value);
                }
                awaited
            }
            Answer::Ready(_) => true,
        });
        Ok(answers)
    })?;
    array(env, answers)
}

/// Gives up on a call. Its answer does not come, unless it was on its way.
#[napi]
pub fn cancel(host: &Handle, call: u32) -> napi::Result<()> {
    guarded(|| {
        let begun = host.calls.borrow_mut().remove(&call);
        begun.inspect(Call::cancel);
        Ok(())
    })
}

/// Whether the environment has to stay for what is to come.
#[napi]
pub fn hold(env: Env, host: &Handle, on: bool) {
    host.bell.handle.with_read_aborted(|aborted| {
        if aborted {
            return;
        }
        // SAFETY: not aborted, so the function exists, and this is the thread of its environment.
        unsafe {
            if on {
                sys::napi_ref_threadsafe_function(env.raw(), host.bell.handle.get_raw());
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), host.bell.handle.get_raw());
            }
        }
    });
}

/// Closes every client that has a registration, for at most `limit` milliseconds: for exit.
#[napi]
pub fn close_all(host: &Handle, limit: f64) -> napi::Result<()> {
    let limit = milliseconds("limit", limit).map_err(|error| thrown(&error))?;
    guarded(|| {
        host.close_all(limit);
        Ok(())
    })
}
