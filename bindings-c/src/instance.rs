//! An instance as C reads it: its texts end with a NUL and are made once per instance, however many snapshots and picks
//! it is in.

use std::ffi::{CStr, c_char};

use callsheet::host::converted;
use callsheet::{Instance, Status};

use crate::boundary::{free, quiet};
use crate::mark::Mark;

/// Whether an instance should be called.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum callsheet_status {
    /// Healthy: the only status that lookups, watches and pickers use by default.
    CALLSHEET_STATUS_PASSING = 1,
    /// Works, but asks for attention.
    CALLSHEET_STATUS_WARNING = 2,
    /// A check fails.
    CALLSHEET_STATUS_CRITICAL = 3,
    /// Finishing its calls; takes no new ones.
    CALLSHEET_STATUS_DRAINING = 4,
}

impl From<Status> for callsheet_status {
    fn from(status: Status) -> Self {
        match status {
            Status::Passing => Self::CALLSHEET_STATUS_PASSING,
            Status::Warning => Self::CALLSHEET_STATUS_WARNING,
            Status::Draining => Self::CALLSHEET_STATUS_DRAINING,
            // A status of a later version is nothing to be called.
            _ => Self::CALLSHEET_STATUS_CRITICAL,
        }
    }
}

/// One reachable process of a service, as of when it was read.
pub struct callsheet_instance_t {
    /// Every text, each with its NUL.
    text: Box<[u8]>,
    id: u32,
    service: u32,
    pub(crate) address: u32,
    scheme: u32,
    zone: u32,
    version: u32,
    pub(crate) url: u32,
    tags: Box<[u32]>,
    metadata: Box<[(u32, u32)]>,
    weight: u32,
    pub(crate) port: u16,
    status: callsheet_status,
    pub(crate) mark: Mark,
}

/// Collects texts; each is known by where it begins.
struct Texts(Vec<u8>);

impl Texts {
    /// With room for all of an instance: growing would cost more than the rest.
    fn of(instance: &Instance, url: &str) -> Self {
        let Instance { id, service, address, scheme, zone, version, tags, metadata, .. } = instance;
        let single = [id, service, address, scheme, zone, version].into_iter();
        let texts = single.chain(tags).chain(metadata.iter().flat_map(|(key, value)| [key, value]));
        let room = texts.map(|text| text.len() + 1).sum::<usize>() + url.len() + 1;
        Texts(Vec::with_capacity(room))
    }

    fn push(&mut self, text: &str) -> u32 {
        let at = u32::try_from(self.0.len()).unwrap_or_default();
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

impl callsheet_instance_t {
    /// What the core's instance is for C. Made on first use, and lives as long as the core's.
    #[inline]
    pub(crate) fn of(instance: &Instance) -> &Self {
        let made = converted(instance, Self::new);
        debug_assert!(made.is::<Self>());
        // SAFETY: nothing else in this library asks for something converted, and the core in it is nobody else's.
        unsafe { &*std::ptr::from_ref(made).cast() }
    }

    pub(crate) fn new(instance: &Instance) -> Self {
        let url = instance.url();
        let mut texts = Texts::of(instance, &url);
        let mut made = callsheet_instance_t {
            id: texts.push(&instance.id),
            service: texts.push(&instance.service),
            address: texts.push(&instance.address),
            scheme: texts.push(&instance.scheme),
            zone: texts.push(&instance.zone),
            version: texts.push(&instance.version),
            url: texts.push(&url),
            tags: instance.tags.iter().map(|tag| texts.push(tag)).collect(),
            metadata: instance.metadata.iter().map(|(k, v)| (texts.push(k), texts.push(v))).collect(),
            weight: instance.weight,
            port: instance.port,
            status: instance.status.into(),
            mark: Mark::default(),
            text: Box::default(),
        };
        made.text = texts.0.into_boxed_slice();
        made
    }

    #[inline]
    pub(crate) fn at(&self, offset: u32) -> *const c_char {
        self.text.get(offset as usize..).map_or(c"".as_ptr(), |text| text.as_ptr().cast())
    }

    #[inline]
    pub(crate) fn id(&self) -> *const c_char {
        self.at(self.id)
    }
}

/// What `read` reads of an instance; `otherwise` for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
unsafe fn of<T>(
    instance: *const callsheet_instance_t,
    otherwise: T,
    read: impl FnOnce(&callsheet_instance_t) -> Option<T>,
) -> T
where
    T: Copy,
{
    // SAFETY: as the caller promises.
    quiet(otherwise, || unsafe { instance.as_ref() }.and_then(read).unwrap_or(otherwise))
}

const NOTHING: *const c_char = c"".as_ptr();

/// Unique within the service. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_id(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.id))) }
}

/// The service that it belongs to. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_service(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.service))) }
}

/// An IP address or host name. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_address(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.address))) }
}

/// How to speak to it, such as "http". Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_scheme(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.scheme))) }
}

/// Where it runs; "" when unknown. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_zone(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.zone))) }
}

/// What it runs; "" when unknown. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_version(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.version))) }
}

/// `scheme://address:port`, with brackets around an IPv6 address and without a trailing slash. Lives as long as `instance`; "" for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_url(instance: *const callsheet_instance_t) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, NOTHING, |instance| Some(instance.at(instance.url))) }
}

/// The port that it listens on; 0 for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_port(instance: *const callsheet_instance_t) -> u16 {
    // SAFETY: as the caller promises.
    unsafe { of(instance, 0, |instance| Some(instance.port)) }
}

/// Its share of calls relative to others, for weighted policies; 0 for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_weight(instance: *const callsheet_instance_t) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { of(instance, 0, |instance| Some(instance.weight)) }
}

/// Whether to call it; critical for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_status(
    instance: *const callsheet_instance_t,
) -> callsheet_status {
    // SAFETY: as the caller promises.
    unsafe { of(instance, callsheet_status::CALLSHEET_STATUS_CRITICAL, |instance| Some(instance.status)) }
}

/// How many tags it has.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_tags_len(instance: *const callsheet_instance_t) -> usize {
    // SAFETY: as the caller promises.
    unsafe { of(instance, 0, |instance| Some(instance.tags.len())) }
}

/// The tag at `index`, in the order they were given. Lives as long as `instance`; NULL beyond the last.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_tag(
    instance: *const callsheet_instance_t,
    index: usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, std::ptr::null(), |instance| Some(instance.at(*instance.tags.get(index)?))) }
}

/// How many metadata pairs it has.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_metadata_len(instance: *const callsheet_instance_t) -> usize {
    // SAFETY: as the caller promises.
    unsafe { of(instance, 0, |instance| Some(instance.metadata.len())) }
}

/// The key of the metadata pair at `index`, sorted by key. Lives as long as `instance`; NULL beyond the last.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_metadata_key(
    instance: *const callsheet_instance_t,
    index: usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, std::ptr::null(), |instance| Some(instance.at(instance.metadata.get(index)?.0))) }
}

/// The value of the metadata pair at `index`, sorted by key. Lives as long as `instance`; NULL beyond the last.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_metadata_value(
    instance: *const callsheet_instance_t,
    index: usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { of(instance, std::ptr::null(), |instance| Some(instance.at(instance.metadata.get(index)?.1))) }
}

/// The metadata value of `key`. Lives as long as `instance`; NULL when it has none.
///
/// # Safety
/// `instance` is NULL or valid; `key` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_metadata(
    instance: *const callsheet_instance_t,
    key: *const c_char,
) -> *const c_char {
    let find = |instance: &callsheet_instance_t| {
        // SAFETY: as the caller promises; and every text of an instance ends with a NUL.
        let (key, text) = unsafe {
            if key.is_null() {
                return None;
            }
            (CStr::from_ptr(key), |at| CStr::from_ptr(instance.at(at)))
        };
        instance.metadata.iter().find(|pair| text(pair.0) == key).map(|pair| instance.at(pair.1))
    };
    // SAFETY: as the caller promises.
    unsafe { of(instance, std::ptr::null(), find) }
}

/// A copy that lives until `callsheet_instance_free`, whatever becomes of the snapshot or pick; NULL for NULL.
///
/// # Safety
/// `instance` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_copy(
    instance: *const callsheet_instance_t,
) -> *mut callsheet_instance_t {
    let copy = |instance: &callsheet_instance_t| {
        Some(Box::into_raw(Box::new(callsheet_instance_t {
            text: instance.text.clone(),
            tags: instance.tags.clone(),
            metadata: instance.metadata.clone(),
            mark: Mark::default(),
            ..*instance
        })))
    };
    // SAFETY: as the caller promises.
    unsafe { of(instance, std::ptr::null_mut(), copy) }
}

/// Frees a copy. NULL is fine; an instance that belongs to a snapshot, pick or list of changes is not to be freed.
///
/// # Safety
/// `instance` is NULL, or came from `callsheet_instance_copy` or `callsheet_registration_instance` and was not freed
/// before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn callsheet_instance_free(instance: *mut callsheet_instance_t) {
    // SAFETY: as the caller promises.
    unsafe { free(instance) }
}

/// The word that every language uses for a status, such as "passing". Lives for ever; "" for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_status_name(status: i32) -> *const c_char {
    let name = match status {
        1 => c"passing",
        2 => c"warning",
        3 => c"critical",
        4 => c"draining",
        _ => c"",
    };
    name.as_ptr()
}
