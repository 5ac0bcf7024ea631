//! What a program that waits in one place is told: which of its watches has news, which of its calls has ended. Each is
//! announced once, through one descriptor per client, and taken by `callsheet_client_next_event`.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Wake;
use std::time::{Duration, Instant};

use callsheet::host::{Descriptor, Outbox};
use callsheet::{Code, Error, Result};

/// What has something to tell.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_event_kind {
    /// `object` is a `callsheet_watch_t *` with news, or at its end.
    CALLSHEET_EVENT_WATCH = 1,
    /// `object` is a `callsheet_names_watch_t *` with news, or at its end.
    CALLSHEET_EVENT_NAMES_WATCH = 2,
    /// `object` is a `callsheet_states_t *` with news, or at its end.
    CALLSHEET_EVENT_STATES = 3,
    /// `object` is a `callsheet_call_t *` that has ended.
    CALLSHEET_EVENT_CALL = 4,
}

/// Something that has news. `object` is the program's own, to be freed by the program.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct callsheet_event_t {
    /// What `object` is.
    pub kind: callsheet_event_kind,
    /// What the program marked it with: the `tag` of a call, or what `callsheet_X_set_tag` set, else 0.
    pub tag: u64,
    /// The watch, states or call.
    pub object: *mut c_void,
}

/// Nothing to tell, or told and taken.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// Out of the queue, and not looked at since.
const TOLD: u8 = 2;
/// At its end, and the program has seen that: it is never told of again.
const ENDED: u8 = 3;

/// The number of no object: what is told of it is passed over.
pub(crate) const NOBODY: u64 = 0;

/// How one object announces itself. Being woken announces it.
pub(crate) struct Bell {
    id: u64,
    tag: AtomicU64,
    state: AtomicU8,
    own: OnceLock<Descriptor>,
    events: Arc<Events>,
}

impl Bell {
    /// Whether anyone waits for a descriptor, so that news have to be announced.
    pub(crate) fn is_heard(&self) -> bool {
        self.own.get().is_some() || self.events.descriptor.get().is_some()
    }

    /// The descriptor of this object alone.
    pub(crate) fn own(&self) -> Result<&Descriptor> {
        made(&self.own)
    }

    /// From here on it may be announced again.
    pub(crate) fn looked_at(&self) {
        let _ = self.state.compare_exchange(TOLD, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if let Some(own) = self.own.get() {
            own.silence();
        }
    }

    /// Nothing comes any more, and the program knows. Its own descriptor stays readable, as that of a closed socket does.
    pub(crate) fn has_ended(&self) {
        self.state.store(ENDED, Ordering::Release);
        self.own.get().into_iter().for_each(Descriptor::ring);
    }

    /// The call is over; it is announced now by whoever says so.
    pub(crate) fn ends(&self) -> u64 {
        let _ = self.state.compare_exchange(IDLE, QUEUED, Ordering::AcqRel, Ordering::Acquire);
        self.id
    }

    pub(crate) fn set_tag(&self, tag: u64) {
        self.tag.store(tag, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(own) = self.own.get() {
            own.ring();
        }
        let first = || self.state.compare_exchange(IDLE, QUEUED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if self.events.descriptor.get().is_some() && first() {
            self.events.outbox.push(self.id);
        }
    }
}

/// Can say whether it has news, and rings when it gets some.
pub(crate) trait Armed: Send + Sync {
    fn arm(&self) -> bool;
}

struct Announced {
    kind: callsheet_event_kind,
    /// The address of what the program holds.
    object: usize,
    bell: Arc<Bell>,
    /// Not of a call, which is announced by its end.
    armed: Option<Weak<dyn Armed>>,
}

#[derive(Default)]
struct State {
    announced: HashMap<u64, Announced>,
    /// Taken from the outbox and not told yet.
    queue: VecDeque<u64>,
    next_id: u64,
    /// Calls whose end was not told yet.
    calls: usize,
    closed: bool,
}

impl State {
    /// Whether nothing will ever be told again.
    fn is_over(&self) -> bool {
        self.closed && self.calls == 0 && self.queue.is_empty()
    }
}

/// The announcements of one client.
pub(crate) struct Events {
    /// Each object at most once.
    pub(crate) outbox: Arc<Outbox<u64>>,
    descriptor: Arc<OnceLock<Descriptor>>,
    state: Mutex<State>,
}

/// `cell`'s descriptor, made if there is none yet.
fn made(cell: &OnceLock<Descriptor>) -> Result<&Descriptor> {
    if let Some(descriptor) = cell.get() {
        return Ok(descriptor);
    }
    let fresh = Descriptor::new()?;
    // What was announced before is looked for once.
    fresh.ring();
    Ok(cell.get_or_init(|| fresh))
}

impl Events {
    pub(crate) fn new() -> Arc<Self> {
        let descriptor = Arc::new(OnceLock::<Descriptor>::new());
        let rung = descriptor.clone();
        let outbox = Outbox::new(move || rung.get().into_iter().for_each(Descriptor::ring));
        Arc::new(Events { outbox, descriptor, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bell of a new object, which is not announced before `place` said where it is.
    pub(crate) fn bell(self: &Arc<Self>, tag: u64) -> Arc<Bell> {
        let mut state = self.lock();
        state.next_id += 1;
        let (id, tag) = (state.next_id, AtomicU64::new(tag));
        Arc::new(Bell { id, tag, state: AtomicU8::new(IDLE), own: OnceLock::new(), events: self.clone() })
    }

    pub(crate) fn place(
        &self,
        bell: &Arc<Bell>,
        kind: callsheet_event_kind,
        object: usize,
        armed: Option<Weak<dyn Armed>>,
    ) {
        let mut state = self.lock();
        state.calls += usize::from(armed.is_none());
        state.announced.insert(bell.id, Announced { kind, object, bell: bell.clone(), armed });
    }

    /// The object is gone: it is never told of again.
    pub(crate) fn forget(&self, bell: &Bell) {
        let mut state = self.lock();
        let gone = state.announced.remove(&bell.id);
        let now = bell.state.load(Ordering::Acquire);
        if gone.is_some_and(|gone| gone.armed.is_none() && now != TOLD) {
            state.calls -= 1;
        }
        if now == QUEUED {
            state.queue.retain(|id| *id != bell.id);
            self.outbox.retain(|id| *id != bell.id);
        }
        if state.is_over() {
            // Whoever waits for what is told next waits in vain.
            self.descriptor.get().into_iter().for_each(Descriptor::ring);
        }
    }

    /// The descriptor that is readable while there is something to tell.
    pub(crate) fn listen(&self) -> Result<&Descriptor> {
        let fresh = self.descriptor.get().is_none();
        let descriptor = made(&self.descriptor)?;
        if fresh {
            // Those that were opened before anyone listened begin to announce themselves.
            let armed: Vec<_> = {
                let state = self.lock();
                state
                    .announced
                    .values()
                    .filter_map(|one| Some((one.bell.clone(), one.armed.clone()?)))
                    .collect()
            };
            for (bell, armed) in armed {
                if armed.upgrade().is_some_and(|armed| armed.arm()) {
                    bell.wake();
                }
            }
        }
        Ok(descriptor)
    }

    /// What is told next, at most after `limit`; with `watches` everything else is passed over. `None` when there was
    /// nothing.
    pub(crate) fn next(&self, limit: Duration, watches: bool) -> Result<Option<callsheet_event_t>> {
        let descriptor = self.listen()?;
        let deadline = Instant::now().checked_add(limit);
        loop {
            if let Some(event) = self.take(watches) {
                return Ok(Some(event));
            }
            if self.ended() {
                return Err(Error::new(Code::Closed, "this client is closed; open a new one"));
            }
            if limit.is_zero() || !descriptor.wait(deadline) {
                return Ok(None);
            }
        }
    }

    fn take(&self, watches: bool) -> Option<callsheet_event_t> {
        let mut state = self.lock();
        self.collect(&mut state);
        let wanted =
            |event: &callsheet_event_t| !watches || event.kind == callsheet_event_kind::CALLSHEET_EVENT_WATCH;
        let mut found = None;
        while found.is_none()
            && let Some(id) = state.queue.pop_front()
        {
            found = tell(&mut state, id).filter(wanted);
        }
        // Readable exactly while something is left.
        self.collect(&mut state);
        if !state.queue.is_empty() || state.is_over() {
            self.descriptor.get().into_iter().for_each(Descriptor::ring);
        }
        found
    }

    fn collect(&self, state: &mut State) {
        self.descriptor.get().into_iter().for_each(Descriptor::silence);
        state.queue.extend(self.outbox.take());
    }

    fn ended(&self) -> bool {
        self.lock().is_over()
    }

    /// The client is closed: once everything is told, that is.
    pub(crate) fn end(&self) {
        self.lock().closed = true;
        self.descriptor.get().into_iter().for_each(Descriptor::ring);
    }
}

/// The event of what is `id`, unless it was told, looked at, or is gone.
fn tell(state: &mut State, id: u64) -> Option<callsheet_event_t> {
    let one = state.announced.get(&id)?;
    let progress = &one.bell.state;
    let told = progress
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now != ENDED).then_some(TOLD))
        .ok()?;
    match one.armed.as_ref().map(Weak::upgrade) {
        // The end of a call is told once.
        None if told == TOLD => return None,
        Some(None) => return None,
        // Looked at since it was announced, and empty now. From here on its bell is armed again.
        Some(Some(armed)) => {
            let _ = progress.compare_exchange(TOLD, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if !armed.arm() {
                return None;
            }
            // Woken meanwhile, it is in the queue once more, and told from there.
            progress.compare_exchange(IDLE, TOLD, Ordering::AcqRel, Ordering::Acquire).ok()?;
        }
        None => {}
    }
    let event = callsheet_event_t {
        kind: one.kind,
        tag: one.bell.tag.load(Ordering::Acquire),
        object: one.object as *mut c_void,
    };
    state.calls -= usize::from(one.kind == callsheet_event_kind::CALLSHEET_EVENT_CALL);
    Some(event)
}
