//! What a program says of itself when it registers, and what it changes of that later.

use std::ffi::c_char;

use callsheet::host::{check_port, check_weight};
use callsheet::{Changeset, Check, Registration, Result};

use crate::boundary::{duration, given, invalid, required, text};
use crate::options::{Options, callsheet_pair_t, pairs, texts};

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
    /// Healthy while a gRPC server says of itself that it is `SERVING`, in the gRPC health protocol and without TLS: the
    /// instance's own server as a whole, or `target`.
    CALLSHEET_CHECK_GRPC = 5,
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
    /// For http: a path on the instance such as "/health", or a whole `http://` URL. For grpc: "host:port",
    /// "host:port/service", or "/service" on the instance itself; NULL: the instance's own server as a whole.
    pub target: *const c_char,
    /// Time that the instance may be critical before the registry removes it, at least 60000. Only Consul does. -1: 60000
    /// with `CALLSHEET_CHECK_TTL`, else 600000.
    pub deregister_critical_after_ms: i64,
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
        deregister_critical_after_ms: -1,
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
            5 => match text("target", options.target)? {
                Some(target) => Check::grpc_target(target),
                None => Check::grpc(),
            },
            kind => return Err(invalid(format!("there is no check {kind}; it is one of CALLSHEET_CHECK_*"))),
        };
        if let Some(interval) = interval {
            check = check.interval(interval);
        }
        if let Some(timeout) = duration("check timeout", options.timeout_ms)? {
            check = check.timeout(timeout);
        }
        if let Some(after) = duration("deregister_critical_after", options.deregister_critical_after_ms)? {
            check = check.deregister_critical_after(after);
        }
        Ok(check)
    }
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
pub(crate) unsafe fn registration(options: *const callsheet_registration_options_t) -> Result<Registration> {
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

/// # Safety
/// `changes` is NULL or valid, and so is what it points to.
pub(crate) unsafe fn changeset(changes: *const callsheet_update_options_t) -> Result<Changeset> {
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
