//! Connecting: the options of a client, and the client that they make.

use std::ffi::c_char;
use std::sync::Arc;

use callsheet::{Code, Error, OptionValue, Options as CoreOptions, Result};

use crate::boundary::{Out, answer, duration, text};
use crate::client::{Client, callsheet_client_t};
use crate::error::{callsheet_code, callsheet_error_t};
use crate::options::{Options, callsheet_pair_t, pairs, texts};

/// How to connect. Begin with `CALLSHEET_CONNECT_OPTIONS_INIT`; what is left as it is comes from the URL's query, the
/// environment, or the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_connect_options_t {
    /// `sizeof(callsheet_connect_options_t)`.
    pub struct_size: usize,
    /// A token for the registry. NULL: not given, as for every text here.
    pub token: *const c_char,
    /// A file that holds the token.
    pub token_file: *const c_char,
    /// A user's name.
    pub username: *const c_char,
    /// The user's password.
    pub password: *const c_char,
    /// A file with the authorities to trust.
    pub ca: *const c_char,
    /// A file with this program's certificate.
    pub cert: *const c_char,
    /// A file with the key of that certificate.
    pub key: *const c_char,
    /// The name that the registry's certificate is of.
    pub server_name: *const c_char,
    /// What keys begin with.
    pub prefix: *const c_char,
    /// The datacenter to ask.
    pub datacenter: *const c_char,
    /// A folder for saved lists.
    pub cache_dir: *const c_char,
    /// URLs of registries to fall back to, in turn.
    pub fallback: *const *const c_char,
    /// How many of them.
    pub fallback_len: usize,
    /// Time that one request may take, in milliseconds. -1: not given, as for every number here. Default: 5000.
    pub timeout_ms: i64,
    /// How long the registry keeps registrations without hearing of them, 1000 to 86400000. Default: 10000.
    pub ttl_ms: i64,
    /// How long closing a registration waits for calls under way. Default: 0.
    pub drain_ms: i64,
    /// How long an empty list that nothing proves is held back. Default: 600000.
    pub empty_hold_ms: i64,
    /// How long saved lists are used. Default: 86400000.
    pub cache_max_age_ms: i64,
    /// How many services are followed at most while unused ones can give way. Default: 1000.
    pub cache_size: i64,
    /// More options by name, as in a URL's query: `{ "ttl", "10s" }`.
    pub more: *const callsheet_pair_t,
    /// How many of them.
    pub more_len: usize,
    /// Takes anybody for the registry: its certificate is not verified. For trials only; a warning says so. False: not
    /// given.
    pub insecure: bool,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_connect_options_t {
    const NAMES: (&'static str, &'static str) = ("options", "CALLSHEET_CONNECT_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_connect_options_t {
        struct_size: size_of::<Self>(),
        token: std::ptr::null(),
        token_file: std::ptr::null(),
        username: std::ptr::null(),
        password: std::ptr::null(),
        ca: std::ptr::null(),
        cert: std::ptr::null(),
        key: std::ptr::null(),
        server_name: std::ptr::null(),
        prefix: std::ptr::null(),
        datacenter: std::ptr::null(),
        cache_dir: std::ptr::null(),
        fallback: std::ptr::null(),
        fallback_len: 0,
        timeout_ms: -1,
        ttl_ms: -1,
        drain_ms: -1,
        empty_hold_ms: -1,
        cache_max_age_ms: -1,
        cache_size: -1,
        more: std::ptr::null(),
        more_len: 0,
        insecure: false,
    };
}

/// # Safety
/// `options` is NULL or valid, and so is what it points to.
unsafe fn connect_options(options: *const callsheet_connect_options_t) -> Result<CoreOptions> {
    let mut read = CoreOptions::new();
    // SAFETY: as the caller promises.
    unsafe {
        let given = Options::read(options)?;
        for (key, value) in pairs("more", given.more, given.more_len)? {
            read.set(&key, OptionValue::Text(value))?;
        }
        for (name, value) in [
            ("token", given.token),
            ("token_file", given.token_file),
            ("username", given.username),
            ("password", given.password),
            ("ca", given.ca),
            ("cert", given.cert),
            ("key", given.key),
            ("server_name", given.server_name),
            ("prefix", given.prefix),
            ("datacenter", given.datacenter),
            ("cache_dir", given.cache_dir),
        ] {
            if let Some(value) = text(name, value)? {
                read.set(name, value.into())?;
            }
        }
        if given.fallback_len > 0 {
            read.set("fallback", texts("fallback", given.fallback, given.fallback_len)?.into())?;
        }
        for (name, milliseconds) in [
            ("timeout", given.timeout_ms),
            ("ttl", given.ttl_ms),
            ("drain", given.drain_ms),
            ("empty_hold", given.empty_hold_ms),
            ("cache_max_age", given.cache_max_age_ms),
        ] {
            if let Some(duration) = duration(name, milliseconds)? {
                read.set(name, duration.into())?;
            }
        }
        if given.insecure {
            read.set("insecure", true.into())?;
        }
        if given.cache_size != -1 {
            read.set("cache_size", (given.cache_size as f64).into())?;
        }
    }
    Ok(read)
}

/// Whatever is wrong with the arguments of `connect` is `config`, but for a place for the answer that is missing.
fn as_config(error: Error) -> Error {
    match error.code() {
        Code::InvalidArgument => Error::new(Code::Config, error.message()),
        _ => error,
    }
}

/// A client of the registry at `url`; NULL for the one that `$CALLSHEET_URL` names, else `local:`. `options` may be NULL.
/// Does no I/O towards the registry, so it also works while that is down.
///
/// Errors: `CALLSHEET_CONFIG`, which says what is wrong with the URL, an option or the environment.
///
/// # Safety
/// `url` and `options` are NULL or valid; `client` and `error` are NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_connect(
    url: *const c_char,
    options: *const callsheet_connect_options_t,
    client: *mut *mut callsheet_client_t,
    error: *mut *mut callsheet_error_t,
) -> callsheet_code {
    // SAFETY: as the caller promises.
    unsafe {
        answer(error, || {
            let out = Out::new("client", client)?;
            let mut builder = callsheet::Client::builder();
            if let Some(url) = text("url", url).map_err(as_config)? {
                builder = builder.url(url);
            }
            let options = connect_options(options).map_err(as_config)?;
            let core = builder.options(options).connect()?;
            out.fill(callsheet_client_t(Arc::new(Client::new(core))));
            Ok(())
        })
    }
}
