//! Picks: a value in the program's own memory that holds one reference, from the choice until the report.

use std::ffi::c_char;

use callsheet::{Outcome, Pick};

use crate::boundary::quiet;
use crate::instance::callsheet_instance_t;

/// How a call to a picked instance went.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_outcome {
    /// It answered.
    CALLSHEET_OUTCOME_OK = 1,
    /// It failed to answer, or answered with a failure of its own.
    CALLSHEET_OUTCOME_FAILED = 2,
    /// The program gave up, which says nothing about the instance.
    CALLSHEET_OUTCOME_CANCELLED = 3,
}

/// One picked instance. Its pointers live until `callsheet_pick_done`, which clears it; a copy of the struct is not another
/// pick. One that is not reported stops counting as a call under way after 60 to 120 s, and still has to be reported to
/// be let go of.
#[repr(C)]
pub struct callsheet_pick_t {
    /// The instance's id.
    pub id: *const c_char,
    /// An IP address or host name.
    pub address: *const c_char,
    /// `scheme://address:port`, without a trailing slash.
    pub url: *const c_char,
    /// The instance; NULL when this is no pick, or was reported.
    pub instance: *const callsheet_instance_t,
    /// callsheet's own.
    pub held: [u64; 2],
    /// The port that it listens on.
    pub port: u16,
}

// Where the core's pick lies in `held`.
const _: () = assert!(size_of::<Pick>() == size_of::<[u64; 2]>() && align_of::<Pick>() <= align_of::<u64>());

impl callsheet_pick_t {
    pub(crate) const NONE: Self = callsheet_pick_t {
        id: std::ptr::null(),
        address: std::ptr::null(),
        url: std::ptr::null(),
        instance: std::ptr::null(),
        held: [0; 2],
        port: 0,
    };

    #[inline]
    pub(crate) fn new(pick: Pick) -> Self {
        // It lives as long as the core's instance, which the pick holds.
        let instance = callsheet_instance_t::of(pick.instance());
        callsheet_pick_t {
            id: instance.id(),
            address: instance.at(instance.address),
            url: instance.at(instance.url),
            instance: std::ptr::from_ref(instance),
            port: instance.port,
            // SAFETY: of the same size, as asserted above, and plain integers have no invalid value.
            held: unsafe { std::mem::transmute::<Pick, [u64; 2]>(pick) },
        }
    }
}

/// Reports how the call went, with one of `CALLSHEET_OUTCOME_*`, lets go of the instance, and clears the pick. NULL is fine,
/// and so is a pick that failed, or was reported before. Any other number counts as cancelled.
///
/// # Safety
/// `pick` is NULL, or was written by `callsheet_pick`, `callsheet_pick_within`, `callsheet_pick_other` or
/// `callsheet_call_take_pick`, or is all zeroes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_pick_done(pick: *mut callsheet_pick_t, outcome: i32) {
    quiet((), || {
        // SAFETY: as the caller promises.
        let Some(pick) = (unsafe { pick.as_mut() }) else { return };
        if pick.instance.is_null() {
            return;
        }
        let held = std::mem::replace(pick, callsheet_pick_t::NONE).held;
        // SAFETY: made of a core's pick by `new`, and taken back once because it was cleared.
        let core = unsafe { std::mem::transmute::<[u64; 2], Pick>(held) };
        core.done(match outcome {
            1 => Outcome::Ok,
            2 => Outcome::Failed,
            _ => Outcome::Cancelled,
        });
    });
}
