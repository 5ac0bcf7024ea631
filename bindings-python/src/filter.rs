//! Which instances a lookup, watch or picker sees, as it was named in the call.

use pyo3::prelude::*;

use crate::argument::{pairs, text, texts};
use crate::error::Result;

/// The arguments that every verb of discovery shares, read once.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Filter(pub(crate) callsheet::Filter);

#[pymethods]
impl Filter {
    #[new]
    #[pyo3(signature = (tags=None, zone=None, version=None, metadata=None, healthy=true))]
    pub(crate) fn new(
        tags: Option<&Bound<'_, PyAny>>,
        zone: Option<&Bound<'_, PyAny>>,
        version: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        healthy: bool,
    ) -> Result<Self> {
        let mut filter = callsheet::Filter::new().healthy(healthy);
        for tag in tags.map_or(Ok(Vec::new()), |tags| texts("tags", tags))? {
            filter = filter.tag(tag);
        }
        if let Some(zone) = zone {
            filter = filter.zone(text("zone", zone)?);
        }
        if let Some(version) = version {
            filter = filter.version(text("version", version)?);
        }
        for (key, value) in metadata.map_or(Ok(Vec::new()), |pairs_| pairs("metadata", pairs_))? {
            filter = filter.metadata(key, value);
        }
        Ok(Filter(filter))
    }
}
