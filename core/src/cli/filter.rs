//! The options that choose among the instances of a service, the same for every command that reads.

use super::value;
use crate::filter::Filter;

#[derive(clap::Args, Debug)]
pub(super) struct Choice {
    /// Only instances with this tag; may be given again, all must match
    #[arg(long = "tag", value_name = "TAG", requires = "service")]
    tags: Vec<String>,
    /// Only instances in this zone
    #[arg(long, requires = "service")]
    zone: Option<String>,
    /// Only instances of this version
    #[arg(long, requires = "service")]
    version: Option<String>,
    /// Only instances with this metadata; may be given again, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::pair, requires = "service")]
    metadata: Vec<(String, String)>,
}

impl Choice {
    /// What lets through the chosen instances that are healthy, or of any status.
    pub(super) fn filter(&self, healthy: bool) -> Filter {
        let mut filter = Filter::new().healthy(healthy);
        for tag in &self.tags {
            filter = filter.tag(tag);
        }
        if let Some(zone) = &self.zone {
            filter = filter.zone(zone);
        }
        if let Some(version) = &self.version {
            filter = filter.version(version);
        }
        for (key, value) in &self.metadata {
            filter = filter.metadata(key, value);
        }
        filter
    }
}
