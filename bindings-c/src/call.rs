//! Calls that were begun, for programs whose threads must not wait: each is announced when it ends, and its answer taken.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use callsheet::host;
use callsheet::{Code, Error, Picker, RegistrationHandle, Result, Snapshot};

use crate::boundary::{Out, answer_unless, free, given, invalid, quiet, writable};
use crate::client::Client;
use crate::error::{callsheet_code, callsheet_error_t};
use crate::events::{Bell, callsheet_event_kind};
use crate::names::callsheet_names_t;
use crate::pick::callsheet_pick_t;
use crate::picker::callsheet_picker_t;
use crate::registration::callsheet_registration_t;
use crate::snapshot::callsheet_snapshot_t;

/// What a call ended with.
pub(crate) enum Answer {
    Done,
    Registration(Unclaimed),
    Snapshot(Snapshot),
    Names(Arc<[String]>),
    Picker(Picker),
    Pick(host::Untaken),
}

/// A registration that nobody has taken yet. One that nobody takes is closed: no one else could.
pub(crate) struct Unclaimed(Option<RegistrationHandle>);

impl From<RegistrationHandle> for Unclaimed {
    fn from(registration: RegistrationHandle) -> Self {
        Unclaimed(Some(registration))
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(registration) = self.0.take() {
            // Begun, it goes on by itself.
            let _ = pin!(registration.close()).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

enum State {
    Running,
    Ended(Result<Answer>),
    Taken,
}

struct Inner {
    client: Arc<Client>,
    bell: Arc<Bell>,
    state: Mutex<State>,
    running: OnceLock<host::Call>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether it was the first end.
    fn end(&self, result: Result<Answer>) -> bool {
        let late = {
            let mut state = self.lock();
            match *state {
                State::Running => {
                    *state = State::Ended(result);
                    return true;
                }
                _ => result,
            }
        };
        drop(late);
        false
    }
}

/// A call that was begun with a `callsheet_X_begin`. Its end is announced by `callsheet_client_next_event`.
pub struct callsheet_call_t(Arc<Inner>);

impl Drop for callsheet_call_t {
    fn drop(&mut self) {
        if let Ok(shared) = self.0.client.shared() {
            shared.events.forget(&self.0.bell);
            self.0.running.get().into_iter().for_each(host::Call::cancel);
            let unheard = std::mem::replace(&mut *self.0.lock(), State::Taken);
            drop(unheard);
        }
    }
}

/// A call about to begin.
pub(crate) struct Begin(Out<callsheet_call_t>);

impl Begin {
    /// # Safety
    /// `call` is NULL or may be written to until the export returns.
    pub(crate) unsafe fn new(call: *mut *mut callsheet_call_t) -> Result<Self> {
        // SAFETY: as the caller promises.
        unsafe { Out::new("call", call) }.map(Begin)
    }

    /// Begins `work`, whose end is announced with `tag`.
    pub(crate) fn run(
        self,
        client: &Arc<Client>,
        tag: u64,
        work: impl Future<Output = Result<Answer>> + Send + 'static,
    ) -> Result<()> {
        let events = &client.shared()?.events;
        let bell = events.bell(tag);
        let inner = Arc::new(Inner {
            client: client.clone(),
            bell: bell.clone(),
            state: Mutex::new(State::Running),
            running: OnceLock::new(),
        });
        let call = Box::new(callsheet_call_t(inner.clone()));
        let place = std::ptr::from_ref(&*call) as usize;
        events.place(&bell, callsheet_event_kind::CALLSHEET_EVENT_CALL, place, None);
        let theirs = inner.clone();
        // Looked at here once: what only has to be begun, such as a close, then goes on whatever becomes of the call, and what
        // is in memory needs no other thread.
        let mut work = Box::pin(work);
        let first = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let work = async move {
            match first {
                Poll::Ready(answer) => answer,
                Poll::Pending => work.await,
            }
        };
        let running = events.outbox.run(work, move |result| {
            theirs.end(result);
            theirs.bell.ends()
        })?;
        // Set here only.
        let _ = inner.running.set(running);
        self.0.point_to(Box::into_raw(call));
        Ok(())
    }
}

/// Takes the answer of `call` if it is what `fits` says; `CALLSHEET_TIMEOUT` while it runs.
fn take<T>(
    call: &callsheet_call_t,
    what: &str,
    fits: impl FnOnce(&Answer) -> bool,
    hand_over: impl FnOnce(Answer, &Arc<Client>) -> T,
) -> Result<callsheet_code> {
    call.0.client.shared()?;
    let ended = {
        let mut state = call.0.lock();
        match &*state {
            State::Running => return Ok(callsheet_code::CALLSHEET_TIMEOUT),
            State::Taken => return Err(invalid("the answer of this call was taken before")),
            State::Ended(Ok(answer)) if !fits(answer) => {
                return Err(invalid(format!("this call does not answer with {what}")));
            }
            State::Ended(Err(error)) => return Err(error.clone()),
            State::Ended(Ok(_)) => std::mem::replace(&mut *state, State::Taken),
        }
    };
    if let State::Ended(Ok(answer)) = ended {
        hand_over(answer, &call.0.client);
    }
    Ok(callsheet_code::CALLSHEET_OK)
}

/// How a call ended, whatever it answers with; the answer stays to be taken. `CALLSHEET_TIMEOUT` without an error object
/// while it still runs, else the code and error that the call without `_begin` would have given; `CALLSHEET_CANCELLED`
/// after `callsheet_call_cancel`.
///
/// # Safety
/// `call` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_result(
    call: *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let call = given("call", call)?;
            call.0.client.shared()?;
            match &*call.0.lock() {
                State::Running => Ok(callsheet_code::CALLSHEET_TIMEOUT),
                State::Ended(Err(error)) => Err(error.clone()),
                State::Ended(Ok(_)) | State::Taken => Ok(callsheet_code::CALLSHEET_OK),
            }
        })
    }
}

/// The answer of `callsheet_register_begin`; results as of `callsheet_call_result`. It is taken once.
///
/// # Safety
/// `call` is NULL or valid; `registration` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_take_registration(
    call: *mut callsheet_call_t,
    registration: *mut *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("registration", registration)?;
            let fits = |answer: &Answer| matches!(answer, Answer::Registration(_));
            take(given("call", call)?, "a registration", fits, |answer, client| {
                if let Answer::Registration(mut unclaimed) = answer
                    && let Some(core) = unclaimed.0.take()
                {
                    out.fill(callsheet_registration_t::new(core, client.clone()));
                }
            })
        })
    }
}

/// The answer of `callsheet_lookup_begin` and `callsheet_wait_for_begin`; results as of `callsheet_call_result`. It is
/// taken once.
///
/// # Safety
/// `call` is NULL or valid; `snapshot` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_take_snapshot(
    call: *mut callsheet_call_t,
    snapshot: *mut *mut callsheet_snapshot_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("snapshot", snapshot)?;
            let fits = |answer: &Answer| matches!(answer, Answer::Snapshot(_));
            take(given("call", call)?, "a snapshot", fits, |answer, _| {
                if let Answer::Snapshot(core) = answer {
                    out.fill(callsheet_snapshot_t::new(core));
                }
            })
        })
    }
}

/// The answer of `callsheet_services_begin`; results as of `callsheet_call_result`. It is taken once.
///
/// # Safety
/// `call` is NULL or valid; `names` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_take_names(
    call: *mut callsheet_call_t,
    names: *mut *mut callsheet_names_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("names", names)?;
            let fits = |answer: &Answer| matches!(answer, Answer::Names(_));
            take(given("call", call)?, "names", fits, |answer, _| {
                if let Answer::Names(names) = answer {
                    out.fill(callsheet_names_t::new(&names));
                }
            })
        })
    }
}

/// The answer of `callsheet_picker_open_begin`; results as of `callsheet_call_result`. It is taken once.
///
/// # Safety
/// `call` is NULL or valid; `picker` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_take_picker(
    call: *mut callsheet_call_t,
    picker: *mut *mut callsheet_picker_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let out = Out::new("picker", picker)?;
            let fits = |answer: &Answer| matches!(answer, Answer::Picker(_));
            take(given("call", call)?, "a picker", fits, |answer, client| {
                if let Answer::Picker(core) = answer
                    && let Ok(picker) = callsheet_picker_t::new(core, client.clone())
                {
                    out.fill(picker);
                }
            })
        })
    }
}

/// The answer of `callsheet_pick_within_begin`, to be reported with `callsheet_pick_done`; results as of
/// `callsheet_call_result`. It is taken once.
///
/// # Safety
/// `call` is NULL or valid; `pick` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_take_pick(
    call: *mut callsheet_call_t,
    pick: *mut callsheet_pick_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let pick = writable("pick", pick)?;
            pick.write(callsheet_pick_t::NONE);
            let fits = |answer: &Answer| matches!(answer, Answer::Pick(_));
            take(given("call", call)?, "a pick", fits, |answer, _| {
                if let Answer::Pick(untaken) = answer {
                    pick.write(callsheet_pick_t::new(untaken.take()));
                }
            })
        })
    }
}

/// Gives up on a call: unless it has ended, it ends now, as `CALLSHEET_CANCELLED`, and is announced. What it had begun in
/// the registry may have taken effect; a registration that it had made is closed. NULL is fine.
///
/// # Safety
/// `call` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_cancel(call: *mut callsheet_call_t) {
    quiet((), || {
        // SAFETY: as the caller promises.
        let Some(call) = (unsafe { call.as_ref() }) else { return };
        let Ok(shared) = call.0.client.shared() else { return };
        call.0.running.get().into_iter().for_each(host::Call::cancel);
        if call.0.end(Err(Error::new(Code::Cancelled, "the call was cancelled"))) {
            shared.events.outbox.push(call.0.bell.ends());
        }
    });
}

/// Frees a call. One that runs is cancelled, and is not announced any more; an answer that was not taken is let go of. NULL
/// is fine.
///
/// # Safety
/// `call` is NULL, or came from a `callsheet_X_begin`, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_call_free(call: *mut callsheet_call_t) {
    // SAFETY: as the caller promises.
    unsafe { free(call) }
}
