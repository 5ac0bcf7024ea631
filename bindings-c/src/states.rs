//! The states of a registration, one after the other.

use std::ffi::c_char;
use std::task::{Context, Poll};

use callsheet::{State, StateChange, States};

use crate::boundary::{Out, answer, answer_unless, free, given, quiet, writable};
use crate::error::{callsheet_code, callsheet_error_t};
use crate::events::callsheet_event_kind;
use crate::feed::{Feed, Source};
use crate::registration::callsheet_registration_t;

/// Where a registration stands.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_state {
    /// Not published yet: held back, waiting for its port, or the registry has not answered.
    CALLSHEET_STATE_PENDING = 1,
    /// The registry has accepted it.
    CALLSHEET_STATE_REGISTERED = 2,
    /// It was registered, and the registry lost it or can't be reached; it is being published again.
    CALLSHEET_STATE_LOST = 3,
    /// The registry said no; tried again every 30 s with fresh credentials.
    CALLSHEET_STATE_REFUSED = 4,
    /// Another live process holds the id; published again when that goes.
    CALLSHEET_STATE_SUPERSEDED = 5,
    /// Ended, for good.
    CALLSHEET_STATE_CLOSED = 6,
}

impl From<State> for callsheet_state {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::CALLSHEET_STATE_PENDING,
            State::Registered => Self::CALLSHEET_STATE_REGISTERED,
            State::Refused => Self::CALLSHEET_STATE_REFUSED,
            State::Superseded => Self::CALLSHEET_STATE_SUPERSEDED,
            State::Closed => Self::CALLSHEET_STATE_CLOSED,
            // A state of a later version is one of not being registered.
            _ => Self::CALLSHEET_STATE_LOST,
        }
    }
}

/// The core's state of this number.
pub(crate) fn state(number: i32) -> callsheet::Result<State> {
    match number {
        1 => Ok(State::Pending),
        2 => Ok(State::Registered),
        3 => Ok(State::Lost),
        4 => Ok(State::Refused),
        5 => Ok(State::Superseded),
        6 => Ok(State::Closed),
        // The core's refusal, which lists what there is.
        _ => number.to_string().parse(),
    }
}

impl Source for States {
    type Item = StateChange;
    const KIND: callsheet_event_kind = callsheet_event_kind::CALLSHEET_EVENT_STATES;
    const NOUN: &'static str = "states";

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<StateChange>> {
        self.poll_next_state(context)
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        States::poll_ready(self, context)
    }

    fn close(&self) {
        States::close(self);
    }
}

/// Every state of a registration from when this was opened, the current one first. At most 64 unread ones are kept.
pub struct callsheet_states_t(Feed<States>);

/// Follows the states of `registration`. Does not wait.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `states` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_open(
    registration: *mut callsheet_registration_t,
    states: *mut *mut callsheet_states_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("states", states)?;
            let registration = given("registration", registration)?;
            let feed = Feed::new(&registration.client, registration.core.states()?)?;
            let made = Box::into_raw(Box::new(callsheet_states_t(feed)));
            (*made).0.placed(made.cast())?;
            out.point_to(made);
            Ok(())
        })
    }
}

/// The next state, the current one first; as `callsheet_watch_next`. `why` may be NULL; else it gets what led to a state
/// that is no good one, to be freed, or NULL.
///
/// `CALLSHEET_TIMEOUT` without an error object when nothing new came in time. `CALLSHEET_CLOSED` after the state `closed`.
///
/// # Safety
/// `states` is NULL or valid; `state`, `why` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_next(
    states: *mut callsheet_states_t,
    timeout_ms: i64,
    state: *mut callsheet_state,
    why: *mut *mut callsheet_error_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer_unless(error, || {
            let why = if why.is_null() { None } else { Some(Out::new("why", why)?) };
            let states = given("states", states)?;
            let state = writable("state", state)?;
            states.0.next(timeout_ms, |change| {
                *state = change.state.into();
                if let (Some(out), Some(reason)) = (why, change.error) {
                    out.fill(callsheet_error_t::new(&reason));
                }
            })
        })
    }
}

/// A descriptor that is readable while a state waits; as `callsheet_watch_fd`.
///
/// # Safety
/// `states` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_fd(states: *mut callsheet_states_t) -> i32 {
    // SAFETY: as the caller promises.
    quiet(-1, || unsafe { states.as_ref() }.and_then(|states| states.0.fd().ok()).unwrap_or(-1))
}

/// Marks the states; as `callsheet_watch_set_tag`.
///
/// # Safety
/// `states` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_set_tag(states: *mut callsheet_states_t, tag: u64) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { states.as_ref() }.into_iter().for_each(|states| states.0.set_tag(tag)));
}

/// Ends the subscription, not the registration; as `callsheet_watch_close`.
///
/// # Safety
/// `states` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_close(states: *mut callsheet_states_t) {
    // SAFETY: as the caller promises.
    quiet((), || unsafe { states.as_ref() }.into_iter().for_each(|states| states.0.close()));
}

/// Frees the states, which closes them. NULL is fine. No thread may still wait for them.
///
/// # Safety
/// `states` is NULL, or came from `callsheet_states_open`, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_states_free(states: *mut callsheet_states_t) {
    // SAFETY: as the caller promises.
    unsafe { free(states) }
}

/// The word that every language uses for a state, such as "registered". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_state_name(state: i32) -> *const c_char {
    let name = match state {
        1 => c"pending",
        2 => c"registered",
        3 => c"lost",
        4 => c"refused",
        5 => c"superseded",
        6 => c"closed",
        _ => c"",
    };
    name.as_ptr()
}
