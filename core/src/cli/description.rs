//! What a command line says of an instance to register, beside its service and port. Part of `run` and of `register`.

use std::time::Duration;

use super::value;
use crate::registration::Registration;

#[derive(clap::Args)]
pub(super) struct Description {
    /// The address that others reach it at. Default: $CALLSHEET_ADDRESS, else what suits the registry
    #[arg(long)]
    address: Option<String>,
    /// Its id within the service. Default: ADDRESS:PORT
    #[arg(long)]
    id: Option<String>,
    /// A tag; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A metadata pair; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::pair)]
    metadata: Vec<(String, String)>,
    /// Where it runs, such as an availability zone
    #[arg(long)]
    zone: Option<String>,
    /// What it runs
    #[arg(long)]
    version: Option<String>,
    /// Its share of calls for weighted policies, 1 to 65535. Default: 1
    #[arg(long)]
    weight: Option<u32>,
    /// How long the registry keeps it without hearing of it, such as 10s. Default: $CALLSHEET_TTL, else 10s
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    ttl: Option<Duration>,
    /// How to speak to it. Default: http
    #[arg(long)]
    scheme: Option<String>,
}

impl Description {
    /// `registration` with all of it.
    pub(super) fn of(&self, mut registration: Registration) -> Registration {
        for tag in &self.tags {
            registration = registration.tag(tag);
        }
        for (key, value) in &self.metadata {
            registration = registration.metadata(key, value);
        }
        if let Some(address) = &self.address {
            registration = registration.address(address);
        }
        if let Some(id) = &self.id {
            registration = registration.id(id);
        }
        if let Some(zone) = &self.zone {
            registration = registration.zone(zone);
        }
        if let Some(version) = &self.version {
            registration = registration.version(version);
        }
        if let Some(weight) = self.weight {
            registration = registration.weight(weight);
        }
        if let Some(ttl) = self.ttl {
            registration = registration.ttl(ttl);
        }
        if let Some(scheme) = &self.scheme {
            registration = registration.scheme(scheme);
        }
        registration
    }
}
