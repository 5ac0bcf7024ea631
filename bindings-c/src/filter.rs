//! Which instances a lookup, watch, callback or picker sees.

use std::ffi::c_char;

use callsheet::{Filter, Result};

use crate::boundary::text;
use crate::options::{Options, callsheet_pair_t, pairs, texts};

/// Which instances to see: those for which all of this holds. Begin with `CALLSHEET_FILTER_OPTIONS_INIT`, which is every
/// healthy instance, as is NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_filter_options_t {
    /// `sizeof(callsheet_filter_options_t)`.
    pub struct_size: usize,
    /// Only instances with all of these tags.
    pub tags: *const *const c_char,
    /// How many tags.
    pub tags_len: usize,
    /// Only instances in this zone; NULL for any.
    pub zone: *const c_char,
    /// Only instances of this version; NULL for any.
    pub version: *const c_char,
    /// Only instances whose metadata has all of these pairs.
    pub metadata: *const callsheet_pair_t,
    /// How many pairs.
    pub metadata_len: usize,
    /// Only healthy instances. `false` takes warning, critical and draining ones too. Default: true.
    pub healthy: bool,
}

// SAFETY: `repr(C)`, and the size is first.
unsafe impl Options for callsheet_filter_options_t {
    const NAMES: (&'static str, &'static str) = ("filter", "CALLSHEET_FILTER_OPTIONS_INIT");
    const LEAST: usize = size_of::<Self>();
    const DEFAULT: Self = callsheet_filter_options_t {
        struct_size: size_of::<Self>(),
        tags: std::ptr::null(),
        tags_len: 0,
        zone: std::ptr::null(),
        version: std::ptr::null(),
        metadata: std::ptr::null(),
        metadata_len: 0,
        healthy: true,
    };
}

/// The core's filter.
///
/// # Safety
/// `options` is NULL or valid, and so is what it points to.
pub(crate) unsafe fn filter(options: *const callsheet_filter_options_t) -> Result<Filter> {
    // SAFETY: as the caller promises.
    unsafe {
        let options = Options::read(options)?;
        let callsheet_filter_options_t {
            tags, tags_len, zone, version, metadata, metadata_len, healthy, ..
        } = options;
        let mut filter = Filter::new().healthy(healthy);
        for tag in texts("tags", tags, tags_len)? {
            filter = filter.tag(tag);
        }
        for (key, value) in pairs("metadata", metadata, metadata_len)? {
            filter = filter.metadata(key, value);
        }
        if let Some(zone) = text("zone", zone)? {
            filter = filter.zone(zone);
        }
        if let Some(version) = text("version", version)? {
            filter = filter.version(version);
        }
        Ok(filter)
    }
}
