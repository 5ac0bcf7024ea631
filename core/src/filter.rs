//! Which instances of a service a caller wants. The same filter serves lookups, watches and pickers, and two equal
//! filters share one filtered list.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::instance::{Instance, check_label, check_metadata, check_tags};

/// Which instances a lookup, watch or picker sees. The default is every healthy one.
///
/// ```
/// use callsheet::Filter;
/// let filter = Filter::new().tag("v2").zone("eu-1").metadata("team", "pay");
/// let everything = Filter::new().healthy(false);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    tags: Vec<String>,
    zone: Option<String>,
    version: Option<String>,
    metadata: BTreeMap<String, String>,
    healthy: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Filter { tags: Vec::new(), zone: None, version: None, metadata: BTreeMap::new(), healthy: true }
    }
}

impl Filter {
    /// Every healthy instance.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only instances with this tag; more than one call asks for all of them.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        // Order and repetition mean nothing here; equal filters must compare equal.
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }

    /// Only instances in this zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Only instances of this version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Only instances whose metadata has this pair; more than one call asks for all of them.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// `false` takes instances of every status: warning, critical and draining ones too.
    #[must_use]
    pub fn healthy(mut self, healthy: bool) -> Self {
        self.healthy = healthy;
        self
    }

    /// Whether this filter lets `instance` through.
    pub fn matches(&self, instance: &Instance) -> bool {
        (!self.healthy || instance.is_healthy())
            && self.tags.iter().all(|tag| instance.tags.contains(tag))
            && self.zone.as_ref().is_none_or(|zone| *zone == instance.zone)
            && self.version.as_ref().is_none_or(|version| *version == instance.version)
            && self.metadata.iter().all(|(key, value)| instance.metadata.get(key) == Some(value))
    }

    /// Whether only healthy instances are let through.
    pub(crate) fn wants_healthy(&self) -> bool {
        self.healthy
    }

    /// What no instance could ever have is a mistake of the caller's, not an empty answer.
    pub(crate) fn validate(&self) -> Result<()> {
        check_tags(&self.tags)?;
        check_metadata(&self.metadata)?;
        check_label("zone", self.zone.as_deref().unwrap_or_default())?;
        check_label("version", self.version.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Status;

    #[test]
    fn every_condition_must_hold() {
        let mut instance = Instance::new("billing", "10.0.0.1", 80);
        instance.tags = vec!["v2".into(), "canary".into()];
        instance.zone = "eu-1".into();
        instance.metadata.insert("team".into(), "pay".into());
        assert!(Filter::new().matches(&instance));
        assert!(
            Filter::new().tag("canary").tag("v2").zone("eu-1").metadata("team", "pay").matches(&instance)
        );
        for other in [
            Filter::new().tag("v2").tag("v3"),
            Filter::new().zone("eu-2"),
            Filter::new().version("1"),
            Filter::new().metadata("team", "ops"),
            Filter::new().metadata("other", "pay"),
        ] {
            assert!(!other.matches(&instance), "{other:?}");
        }
        for status in [Status::Warning, Status::Critical, Status::Draining] {
            instance.status = status;
            assert!(!Filter::new().matches(&instance));
            assert!(Filter::new().healthy(false).matches(&instance));
        }
    }

    #[test]
    fn order_and_repetition_of_tags_mean_nothing() {
        assert_eq!(Filter::new().tag("b").tag("a").tag("b"), Filter::new().tag("a").tag("b"));
    }
}
