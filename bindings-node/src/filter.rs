//! Which instances a lookup, watch or picker sees, as it was named in the call.

use std::collections::HashMap;

use napi_derive::napi;

/// The options that every verb of discovery shares.
#[napi(object)]
pub struct Filter {
    pub tags: Option<Vec<String>>,
    pub zone: Option<String>,
    pub version: Option<String>,
    pub metadata: Option<HashMap<String, String>>,
    pub healthy: Option<bool>,
}

impl From<Filter> for callsheet::Filter {
    fn from(given: Filter) -> Self {
        let mut filter = callsheet::Filter::new().healthy(given.healthy.unwrap_or(true));
        for tag in given.tags.unwrap_or_default() {
            filter = filter.tag(tag);
        }
        if let Some(zone) = given.zone {
            filter = filter.zone(zone);
        }
        if let Some(version) = given.version {
            filter = filter.version(version);
        }
        for (key, value) in given.metadata.unwrap_or_default() {
            filter = filter.metadata(key, value);
        }
        filter
    }
}
