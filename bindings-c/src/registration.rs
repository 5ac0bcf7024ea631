//! Registrations: what a program says of itself, and the promise that runs until it is closed.

use std::ffi::{CString, c_char};
use std::sync::{Arc, Mutex, PoisonError};

use callsheet::host::{check_port, check_weight};
use callsheet::{Changeset, Check, Registration, RegistrationHandle, Result, Status, block_on};

use crate::boundary::{Out, answer, duration, free, given, invalid, quiet, required, text, wait};
use crate::call::{Answer, Begin, Unclaimed, callsheet_call_t};
use crate::client::{Client, callsheet_client_t};
use crate::error::{c_string, callsheet_code, callsheet_error_t};
use crate::instance::callsheet_instance_t;
use crate::options::{Options, callsheet_pair_t, pairs, texts};
use crate::states::{callsheet_state, state as read_state};

/// How the health of an instance is decided.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_check_kind {
    /// Healthy while this process lives and renews.
    CALLSHEET_CHECK_TTL = 1,
    /// Healthy while the program calls `callsheet_registration_beat` every `interval_ms`: a deadlocked one goes critical.
    CALLSHEET_CHECK_HEARTBEAT = 2,
    /// Healthy while a port accepts connections: the instance's own, or `address` and `port`.
    CALLSHEET_CHECK_TCP = 3,
    /// Healthy while a GET of `target` is answered with a status of 200 to 299.
    CALLSHEET_CHECK_HTTP = 4,
}

/// A check. Begin with `CALLSHEET_CHECK_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_check_options_t {
    /// `sizeof(callsheet_check_options_t)`.
    pub struct_size: usize,
    /// One of `CALLSHEET_CHECK_*`. Default: `CALLSHEET_CHECK_TTL`.
    pub kind: i32,
    /// Time between two runs, at least 100. -1: 5000. A heartbeat has to name it.
    pub interval_ms: i64,
    /// Time that one run may take. -1: 2000.
    pub timeout_ms: i64,
    /// For tcp: where to connect instead, together with `port`.
    pub address: *const c_char,
    /// For tcp: where to connect instead, together with `address`; -1 when not given.
    pub port: i64,
    /// For http: a path on the instance such as "/health", or a whole `http://` URL.
    pub target: *const c_char,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_check_options_t {
    const NAMES: (&'static str, &'static str) = ("check", "CALLSHEET_CHECK_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_check_options_t {
        struct_size: size_of::<Self>(),
        kind: callsheet_check_kind::CALLSHEET_CHECK_TTL as i32,
        interval_ms: -1,
        timeout_ms: -1,
        address: std::ptr::null(),
        port: -1,
        target: std::ptr::null(),
    };
}

/// What to register. Begin with `CALLSHEET_REGISTRATION_OPTIONS_INIT`; `service` and `port` have to be set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_registration_options_t {
    /// `sizeof(callsheet_registration_options_t)`.
    pub struct_size: usize,
    /// The service's name.
    pub service: *const c_char,
    /// The port that it listens on, 1 to 65535.
    pub port: i64,
    /// The address that others reach it at. NULL: `$CALLSHEET_ADDRESS`, else what the registry suggests.
    pub address: *const c_char,
    /// An id of its own choosing, which is taken over from whoever holds it. NULL: `{address}:{port}`.
    pub id: *const c_char,
    /// How to speak to it. NULL: "http".
    pub scheme: *const c_char,
    /// Tags.
    pub tags: *const *const c_char,
    /// How many tags.
    pub tags_len: usize,
    /// Metadata pairs.
    pub metadata: *const callsheet_pair_t,
    /// How many pairs.
    pub metadata_len: usize,
    /// Its share of calls for weighted policies, 1 to 65535. Default: 1.
    pub weight: i64,
    /// Where it runs, such as an availability zone. NULL: unknown.
    pub zone: *const c_char,
    /// What it runs. NULL: unknown.
    pub version: *const c_char,
    /// How long the registry keeps it without hearing of it, 1000 to 86400000. -1: the client's.
    pub ttl_ms: i64,
    /// How long closing it waits for calls under way. -1: the client's.
    pub drain_ms: i64,
    /// How its health is decided. NULL: it is healthy while this process lives.
    pub check: *const callsheet_check_options_t,
    /// Publish nothing until `callsheet_registration_ready`. Default: false.
    pub hold: bool,
    /// Publish only once the port accepts a connection, at the address or on loopback. Default: false.
    pub wait_for_port: bool,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_registration_options_t {
    const NAMES: (&'static str, &'static str) = ("options", "CALLSHEET_REGISTRATION_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_registration_options_t {
        struct_size: size_of::<Self>(),
        service: std::ptr::null(),
        port: 0,
        address: std::ptr::null(),
        id: std::ptr::null(),
        scheme: std::ptr::null(),
        tags: std::ptr::null(),
        tags_len: 0,
        metadata: std::ptr::null(),
        metadata_len: 0,
        weight: 1,
        zone: std::ptr::null(),
        version: std::ptr::null(),
        ttl_ms: -1,
        drain_ms: -1,
        check: std::ptr::null(),
        hold: false,
        wait_for_port: false,
    };
}

/// What `callsheet_registration_update` changes. Begin with `CALLSHEET_UPDATE_OPTIONS_INIT`; what is left as it is stays.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_update_options_t {
    /// `sizeof(callsheet_update_options_t)`.
    pub struct_size: usize,
    /// These tags instead of the present ones. NULL: as they are.
    pub tags: *const *const c_char,
    /// How many tags; with 0 and `tags` not NULL there are none from now on.
    pub tags_len: usize,
    /// These pairs instead of the present ones. NULL: as they are.
    pub metadata: *const callsheet_pair_t,
    /// How many pairs; with 0 and `metadata` not NULL there are none from now on.
    pub metadata_len: usize,
    /// This weight instead of the present one, 1 to 65535. -1: as it is.
    pub weight: i64,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_update_options_t {
    const NAMES: (&'static str, &'static str) = ("changes", "CALLSHEET_UPDATE_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_update_options_t {
        struct_size: size_of::<Self>(),
        tags: std::ptr::null(),
        tags_len: 0,
        metadata: std::ptr::null(),
        metadata_len: 0,
        weight: -1,
    };
}

/// A registration that runs until it or its client is closed. Freeing this does not end it.
pub struct callsheet_registration_t {
    pub(crate) core: RegistrationHandle,
    pub(crate) client: Arc<Client>,
    /// Ids that were given out; it changes once at most.
    ids: Mutex<Vec<CString>>,
}

impl callsheet_registration_t {
    pub(crate) fn new(core: RegistrationHandle, client: Arc<Client>) -> Self {
        callsheet_registration_t { core, client, ids: Mutex::default() }
    }
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
unsafe fn check(options: *const callsheet_check_options_t) -> Result<Check> {
    // SAFETY: as the caller promises.
    unsafe {
        let options = callsheet_check_options_t::read(options)?;
        let interval = duration("check interval", options.interval_ms)?;
        let mut check = match options.kind {
            1 => Check::ttl(),
            2 => Check::heartbeat(interval.ok_or_else(|| {
                invalid("a heartbeat check takes interval_ms: how long may be between two")
            })?),
            3 => match (text("address", options.address)?, options.port) {
                (None, -1) => Check::tcp(),
                (Some(address), port) if port != -1 => Check::tcp_target(address, check_port(port)?),
                _ => return Err(invalid("a tcp check takes address and port together, or neither")),
            },
            4 => Check::http(required("target", options.target)?),
            kind => return Err(invalid(format!("there is no check {kind}; it is one of CALLSHEET_CHECK_*"))),
        };
        if let Some(interval) = interval {
            check = check.interval(interval);
        }
        if let Some(timeout) = duration("check timeout", options.timeout_ms)? {
            check = check.timeout(timeout);
        }
        Ok(check)
    }
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
unsafe fn registration(options: *const callsheet_registration_options_t) -> Result<Registration> {
    // SAFETY: as the caller promises.
    unsafe {
        given("options", options)?;
        let options = Options::read(options)?;
        let mut registration = Registration::new(required("service", options.service)?)
            .port(check_port(options.port)?)
            .weight(check_weight(options.weight)?)
            .check(check(options.check)?)
            .hold(options.hold)
            .wait_for_port(options.wait_for_port);
        if let Some(address) = text("address", options.address)? {
            registration = registration.address(address);
        }
        if let Some(id) = text("id", options.id)? {
            registration = registration.id(id);
        }
        if let Some(scheme) = text("scheme", options.scheme)? {
            registration = registration.scheme(scheme);
        }
        if let Some(zone) = text("zone", options.zone)? {
            registration = registration.zone(zone);
        }
        if let Some(version) = text("version", options.version)? {
            registration = registration.version(version);
        }
        for tag in texts("tags", options.tags, options.tags_len)? {
            registration = registration.tag(tag);
        }
        for (key, value) in pairs("metadata", options.metadata, options.metadata_len)? {
            registration = registration.metadata(key, value);
        }
        if let Some(ttl) = duration("ttl", options.ttl_ms)? {
            registration = registration.ttl(ttl);
        }
        if let Some(drain) = duration("drain", options.drain_ms)? {
            registration = registration.drain(drain);
        }
        Ok(registration)
    }
}

/// Registers an instance and keeps it registered. Waits for the first try, at most the client's timeout: on return the
/// instance is registered, or `callsheet_registration_last_error` says why not yet, and it goes on trying.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`; `CALLSHEET_CONFLICT` when this client has a registration of this service and id;
/// `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`. Never because the registry is down or refuses.
///
/// # Safety
/// `client` and `options` are NULL or valid; `made` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_register(
    client: *mut callsheet_client_t,
    options: *const callsheet_registration_options_t,
    made: *mut *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("registration", made)?;
            let client = &given("client", client)?.0;
            let core = block_on(client.core.register(registration(options)?))?;
            out.fill(callsheet_registration_t::new(core, client.clone()));
            Ok(())
        })
    }
}

/// Begins `callsheet_register`; take its answer with `callsheet_call_take_registration`.
///
/// # Safety
/// `client` and `options` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_register_begin(
    client: *mut callsheet_client_t,
    options: *const callsheet_registration_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (core, registration) = (client.core.clone(), registration(options)?);
            let work = async move {
                let registered = core.register(registration).await?;
                Ok(Answer::Registration(Unclaimed::from(registered)))
            };
            begin.run(client, tag, work)
        })
    }
}

/// The registration of this client with this id.
///
/// Errors: `CALLSHEET_NOT_FOUND`; `CALLSHEET_CONFLICT` when registrations of several services have it; `CALLSHEET_CLOSED`,
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `found` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_find(
    client: *mut callsheet_client_t,
    id: *const c_char,
    found: *mut *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("registration", found)?;
            let client = &given("client", client)?.0;
            let core = client.core.registration(required("id", id)?)?;
            out.fill(callsheet_registration_t::new(core, client.clone()));
            Ok(())
        })
    }
}

/// Closes the registration of this client with this id.
///
/// Errors: as of `callsheet_registration_find` and `callsheet_registration_close`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_deregister(
    client: *mut callsheet_client_t,
    id: *const c_char,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || block_on(given("client", client)?.0.core.deregister(required("id", id)?))) }
}

/// Begins `callsheet_deregister`; see `callsheet_call_result`.
///
/// # Safety
/// `client` and `id` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_deregister_begin(
    client: *mut callsheet_client_t,
    id: *const c_char,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let client = &given("client", client)?.0;
            let (core, id) = (client.core.clone(), required("id", id)?.to_owned());
            begin.run(client, tag, async move { core.deregister(&id).await.map(|()| Answer::Done) })
        })
    }
}

/// The id, which differs from the default one when that belongs to a live process of another machine. Lives as long as
/// `registration`; "" for NULL.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_id(
    registration: *mut callsheet_registration_t,
) -> *const c_char {
    quiet(c"".as_ptr(), || {
        // SAFETY: as the caller promises.
        let Some(registration) = (unsafe { registration.as_ref() }) else { return c"".as_ptr() };
        let id = c_string(registration.core.id());
        if registration.client.shared().is_err() {
            // A lock of this registration's may be held by a thread that the child does not have.
            return id.into_raw();
        }
        let mut ids = registration.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ids.iter().find(|known| **known == id) {
            return known.as_ptr();
        }
        ids.push(id);
        ids.last().map_or(c"".as_ptr(), |id| id.as_ptr())
    })
}

/// The instance as it is to be published now, to be freed with `callsheet_instance_free`; NULL for NULL.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_instance(
    registration: *mut callsheet_registration_t,
) -> *mut callsheet_instance_t {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let Some(registration) = (unsafe { registration.as_ref() }) else { return std::ptr::null_mut() };
        Box::into_raw(Box::new(callsheet_instance_t::new(&registration.core.instance())))
    })
}

/// Where it stands; closed for NULL and in a forked child.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_state(
    registration: *mut callsheet_registration_t,
) -> callsheet_state {
    let closed = callsheet_state::CALLSHEET_STATE_CLOSED;
    // SAFETY: as the caller promises.
    quiet(closed, || unsafe { registration.as_ref() }.map_or(closed, |one| one.core.state().into()))
}

/// Why it is not registered, or why the last update did not reach the registry, to be freed; NULL when nothing is wrong.
///
/// # Safety
/// `registration` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_last_error(
    registration: *mut callsheet_registration_t,
) -> *mut callsheet_error_t {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let error = unsafe { registration.as_ref() }.and_then(|registration| registration.core.last_error());
        error.map_or(std::ptr::null_mut(), |error| Box::into_raw(Box::new(callsheet_error_t::new(&error))))
    })
}

/// A sign of life for a heartbeat check. Never waits.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_beat(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe { answer(error, || given("registration", registration)?.core.beat()) }
}

/// # Safety
/// `changes` is NULL or valid, and so is what it points to.
unsafe fn changeset(changes: *const callsheet_update_options_t) -> Result<Changeset> {
    // SAFETY: as the caller promises.
    unsafe {
        let changes = Options::read(changes)?;
        let callsheet_update_options_t { tags, tags_len, metadata, metadata_len, weight, .. } = changes;
        let mut changeset = Changeset::new();
        if !tags.is_null() || tags_len > 0 {
            changeset = changeset.tags(texts("tags", tags, tags_len)?);
        }
        if !metadata.is_null() || metadata_len > 0 {
            changeset = changeset.metadata(pairs("metadata", metadata, metadata_len)?);
        }
        if weight != -1 {
            changeset = changeset.weight(check_weight(weight)?);
        }
        Ok(changeset)
    }
}

fn status(number: i32) -> Result<Status> {
    match number {
        1 => Ok(Status::Passing),
        2 => Ok(Status::Warning),
        3 => Ok(Status::Critical),
        4 => Ok(Status::Draining),
        // The core's refusal, which lists what there is.
        _ => number.to_string().parse(),
    }
}

/// Publishes what `hold` held back, and waits until it is registered, at most `timeout_ms` milliseconds; a negative one has
/// no end. The timeout ends the wait, not the registration.
///
/// Errors: `CALLSHEET_TIMEOUT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_ready(
    registration: *mut callsheet_registration_t,
    timeout_ms: i64,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let limit = wait(timeout_ms);
            block_on(core.ready(limit))
        })
    }
}

/// Begins `callsheet_registration_ready`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_ready_begin(
    registration: *mut callsheet_registration_t,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let limit = wait(timeout_ms);
            let core = registration.core.clone();
            begin.run(
                &registration.client,
                tag,
                async move { core.ready(limit).await.map(|()| Answer::Done) },
            )
        })
    }
}

/// Waits until `state`, one of `CALLSHEET_STATE_*`, is reached, at most `timeout_ms` milliseconds; a negative one has no end.
/// Already being in it is success.
///
/// Errors: `CALLSHEET_TIMEOUT`, with the last error as its cause; `CALLSHEET_CLOSED` when it can never be reached;
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_wait(
    registration: *mut callsheet_registration_t,
    state: i32,
    timeout_ms: i64,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let (state, limit) = (read_state(state)?, wait(timeout_ms));
            block_on(core.wait(state, limit))
        })
    }
}

/// Begins `callsheet_registration_wait`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_wait_begin(
    registration: *mut callsheet_registration_t,
    state: i32,
    timeout_ms: i64,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let (state, limit) = (read_state(state)?, wait(timeout_ms));
            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move {
                core.wait(state, limit).await.map(|()| Answer::Done)
            })
        })
    }
}

/// Changes tags, metadata or weight without a gap. Returns when the registry has it, or after the first try that failed:
/// then `callsheet_registration_last_error` says why, and it goes on trying.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, and nothing is changed; `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` and `changes` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_update(
    registration: *mut callsheet_registration_t,
    changes: *const callsheet_update_options_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let changes = changeset(changes)?;
            block_on(core.update(changes))
        })
    }
}

/// Begins `callsheet_registration_update`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` and `changes` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_update_begin(
    registration: *mut callsheet_registration_t,
    changes: *const callsheet_update_options_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let changes = changeset(changes)?;
            let core = registration.core.clone();
            begin.run(
                &registration.client,
                tag,
                async move { core.update(changes).await.map(|()| Answer::Done) },
            )
        })
    }
}

/// Sets the status, one of `CALLSHEET_STATUS_*`, by hand; passing gives it back to the check. A failing check still wins
/// over a better one. `note` says why and may be NULL.
///
/// Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` and `note` are NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_set_status(
    registration: *mut callsheet_registration_t,
    status: i32,
    note: *const c_char,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;
            let (status, note) = (self::status(status)?, text("note", note)?.unwrap_or_default().to_owned());
            block_on(core.set_status(status, &note))
        })
    }
}

/// Begins `callsheet_registration_set_status`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` and `note` are NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_set_status_begin(
    registration: *mut callsheet_registration_t,
    status: i32,
    note: *const c_char,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;
            let (status, note) = (self::status(status)?, text("note", note)?.unwrap_or_default().to_owned());
            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move {
                core.set_status(status, &note).await.map(|()| Answer::Done)
            })
        })
    }
}

/// Says draining: pickers, watches and lookups skip it from now on, while it finishes its calls.
///
/// Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_drain(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;

            block_on(core.drain())
        })
    }
}

/// Begins `callsheet_registration_drain`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_drain_begin(
    registration: *mut callsheet_registration_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;

            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move { core.drain().await.map(|()| Answer::Done) })
        })
    }
}

/// Withdraws the instance if it is still this registration's, then waits out the drain. Closing twice is fine.
///
/// Errors: `CALLSHEET_TIMEOUT` when the registry could not be told within 5 s; the instance then goes with its TTL.
/// `CALLSHEET_FORKED`.
///
/// # Safety
/// `registration` is NULL or valid; `error` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_close(
    registration: *mut callsheet_registration_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let core = &given("registration", registration)?.core;

            block_on(core.close())
        })
    }
}

/// Begins `callsheet_registration_close`; see `callsheet_call_result`.
///
/// # Safety
/// `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_close_begin(
    registration: *mut callsheet_registration_t,
    tag: u64,
    call: *mut *mut callsheet_call_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let begin = Begin::new(call)?;
            let registration = given("registration", registration)?;

            let core = registration.core.clone();
            begin.run(&registration.client, tag, async move { core.close().await.map(|()| Answer::Done) })
        })
    }
}

/// Frees a registration without ending it. NULL is fine.
///
/// # Safety
/// `registration` is NULL, or was given out by a call, was not freed before, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_registration_free(registration: *mut callsheet_registration_t) {
    // SAFETY: as the caller promises.
    unsafe { free(registration) }
}
