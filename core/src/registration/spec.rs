//! What a program says of itself when it registers, checked before anything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{check_ttl, check_wait};
use crate::error::Result;
use crate::health::Check;
use crate::instance::{Instance, check_address, check_id, check_port, default_id};

/// What to register: a service and a port at least, everything else has a default.
///
/// ```
/// use callsheet::{Check, Registration};
/// let registration = Registration::new("billing")
///     .port(8080)
///     .tag("v2")
///     .metadata("team", "pay")
///     .check(Check::tcp())
///     .wait_for_port(true);
/// ```
#[derive(Clone, Debug)]
pub struct Registration {
    pub(crate) service: String,
    pub(crate) port: u16,
    pub(crate) address: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) scheme: String,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) weight: u32,
    pub(crate) zone: String,
    pub(crate) version: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) drain: Option<Duration>,
    pub(crate) check: Check,
    pub(crate) hold: bool,
    pub(crate) wait_for_port: bool,
}

impl Registration {
    /// An instance of `service`; its port still has to be named.
    pub fn new(service: impl Into<String>) -> Self {
        Registration {
            service: service.into(),
            port: 0,
            address: None,
            id: None,
            scheme: "http".into(),
            tags: Vec::new(),
            metadata: BTreeMap::new(),
            weight: 1,
            zone: String::new(),
            version: String::new(),
            ttl: None,
            drain: None,
            check: Check::ttl(),
            hold: false,
            wait_for_port: false,
        }
    }

    /// The port that it listens on, 1 to 65535.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address that others reach it at. Default: `$CALLSHEET_ADDRESS`, else what the registry suggests.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// An id of its own choosing. Default: `{address}:{port}`, so that a restarted instance replaces itself. A chosen
    /// id is taken over from whoever holds it.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How to speak to it. Default: `http`.
    #[must_use]
    pub fn scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// One more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// One more metadata pair.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Its share of calls for weighted policies, 1 to 65535. Default: 1.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Where it runs, such as an availability zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        self
    }

    /// What it runs.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// How long the registry keeps it without hearing of it, 1 s to 1 day. Default: the client's.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long `close` waits after withdrawing, so that calls under way can end. Default: the client's.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// How its health is decided. Default: [`Check::ttl`].
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// `true` publishes nothing until `ready` is called.
    #[must_use]
    pub fn hold(mut self, hold: bool) -> Self {
        self.hold = hold;
        self
    }

    /// `true` publishes only once the port accepts a connection, at the address or on loopback.
    #[must_use]
    pub fn wait_for_port(mut self, wait: bool) -> Self {
        self.wait_for_port = wait;
        self
    }

    /// Everything that can be said without knowing the default address.
    pub(crate) fn validate(&self) -> Result<()> {
        check_port(self.port.into())?;
        if let Some(address) = &self.address {
            check_address(address)?;
        }
        if let Some(id) = &self.id {
            check_id(id)?;
        }
        if let Some(ttl) = self.ttl {
            check_ttl(ttl)?;
        }
        check_wait("drain", self.drain.unwrap_or_default())?;
        self.check.validate()?;
        self.instance("localhost").validate()
    }

    /// The instance as first published, at `address` where none was chosen.
    pub(crate) fn instance(&self, address: &str) -> Instance {
        let address = self.address.as_deref().unwrap_or(address);
        let mut instance = Instance::new(&self.service, address, self.port);
        instance.id = self.id.clone().unwrap_or_else(|| default_id(address, self.port));
        instance.scheme = self.scheme.clone();
        instance.tags = self.tags.clone();
        instance.metadata = self.metadata.clone();
        instance.weight = self.weight;
        instance.zone = self.zone.clone();
        instance.version = self.version.clone();
        instance
    }
}

/// What [`RegistrationHandle::update`](crate::RegistrationHandle::update) changes; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct Changeset {
    pub(super) tags: Option<Vec<String>>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) weight: Option<u32>,
}

impl Changeset {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These tags instead of the present ones.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// These metadata pairs instead of the present ones.
    #[must_use]
    pub fn metadata<K: Into<String>, V: Into<String>>(
        mut self,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.metadata = Some(metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
        self
    }

    /// This weight instead of the present one.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    pub(super) fn apply(self, instance: &mut Instance) -> Result<()> {
        if let Some(tags) = self.tags {
            instance.tags = tags;
        }
        if let Some(metadata) = self.metadata {
            instance.metadata = metadata;
        }
        if let Some(weight) = self.weight {
            instance.weight = weight;
        }
        instance.validate()
    }
}
