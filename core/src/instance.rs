//! One reachable process of a service, its status, and the limits that hold on every registry alike.
//! Validation is for what this process publishes; what others wrote is read with far looser bounds.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most metadata pairs of one instance. Consul takes 64 and some of them are callsheet's.
pub const MAX_METADATA: usize = 56;
/// Longest metadata key, in bytes.
pub const MAX_METADATA_KEY: usize = 128;
/// Longest metadata value, in bytes.
pub const MAX_METADATA_VALUE: usize = 512;
/// Most tags of one instance.
pub const MAX_TAGS: usize = 64;
/// Longest tag, in bytes; also the longest zone and version.
pub const MAX_TAG: usize = 256;
/// Longest instance id, in bytes.
pub const MAX_ID: usize = 256;
/// Longest service name, in bytes.
pub const MAX_SERVICE: usize = 127;
/// Longest address, in bytes: the limit of DNS names.
pub const MAX_ADDRESS: usize = 253;
/// Largest weight, Consul's and DNS's limit.
pub const MAX_WEIGHT: u32 = 65_535;

/// Whether an instance should be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Healthy: the only status that lookups, watches and pickers use by default.
    #[default]
    Passing,
    /// Works, but asks for attention.
    Warning,
    /// A check fails.
    Critical,
    /// Finishing its calls; takes no new ones.
    Draining,
}

impl Status {
    /// The word that every language uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Passing => "passing",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Draining => "draining",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "passing" => Ok(Status::Passing),
            "warning" => Ok(Status::Warning),
            "critical" => Ok(Status::Critical),
            "draining" => Ok(Status::Draining),
            other => Err(Error::invalid(format!(
                "there is no status {other:?}; it is one of passing, warning, critical, draining"
            ))),
        }
    }
}

/// One reachable process of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Instance {
    /// Unique within the service; `{address}:{port}` unless chosen.
    pub id: String,
    /// The service it belongs to.
    pub service: String,
    /// An IP address or host name.
    pub address: String,
    /// The port that it listens on.
    pub port: u16,
    /// How to speak to it: `http` unless chosen.
    pub scheme: String,
    /// Labels to filter by, in the order they were given.
    pub tags: Vec<String>,
    /// Free key and value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Its share of calls relative to others, 1 to 65535, for weighted policies.
    pub weight: u32,
    /// Where it runs, such as an availability zone; empty when unknown.
    pub zone: String,
    /// What it runs; empty when unknown.
    pub version: String,
    /// Whether to call it.
    pub status: Status,
    /// Nobody renews it any more, although the registry still lists it, as critical: Consul does so for minutes after a
    /// crash. On the others it would be gone.
    pub(crate) lapsed: bool,
    pub(crate) converted: Converted,
}

/// What a binding made of an instance for its language, once. Belongs to the one instance: a copy has none, and equality
/// does not see it.
#[derive(Default)]
pub(crate) struct Converted(OnceLock<Box<dyn Any + Send + Sync>>);

impl Clone for Converted {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Converted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Converted {}

impl Hash for Converted {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// What `make` makes of `instance` for a host, kept with it for as long as it lives. Only the first of a process's hosts
/// makes anything. No type is asked for here: on the way of a pick that costs as much as the choice.
#[inline]
pub fn converted<T: Any + Send + Sync>(
    instance: &Instance,
    make: impl FnOnce(&Instance) -> T,
) -> &(dyn Any + Send + Sync) {
    &**instance.converted.0.get_or_init(|| Box::new(make(instance)))
}

impl Instance {
    /// An instance with the default id, scheme and weight and nothing else.
    pub fn new(service: impl Into<String>, address: impl Into<String>, port: u16) -> Self {
        let address = address.into();
        Instance {
            id: default_id(&address, port),
            service: service.into(),
            address,
            port,
            scheme: "http".into(),
            tags: Vec::new(),
            metadata: BTreeMap::new(),
            weight: 1,
            zone: String::new(),
            version: String::new(),
            status: Status::Passing,
            lapsed: false,
            converted: Converted::default(),
        }
    }

    /// `{address}:{port}`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        default_id(&self.address, self.port)
    }

    /// `{scheme}://{address}:{port}`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// Whether lookups, watches and pickers use it by default.
    pub fn is_healthy(&self) -> bool {
        self.status == Status::Passing
    }

    /// Everything that a program is allowed to publish, or why not.
    pub(crate) fn validate(&self) -> Result<()> {
        check_service(&self.service)?;
        check_id(&self.id)?;
        check_address(&self.address)?;
        check_port(self.port.into())?;
        check_scheme(&self.scheme)?;
        check_tags(&self.tags)?;
        check_metadata(&self.metadata)?;
        check_weight(self.weight.into())?;
        check_label("zone", &self.zone)?;
        check_label("version", &self.version)
    }
}

/// `{address}:{port}`, the id of an instance that chose none.
pub(crate) fn default_id(address: &str, port: u16) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// `host:port` or `[::1]:port`, taken apart as [`default_id`] puts it together. The host is whatever stands there.
pub(crate) fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if plain.is_empty() { None } else { Some((plain, port.parse().ok()?)) }
}

/// A text in an error message: quoted, escaped, and not the two megabytes that somebody passed by mistake.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        format!("{short:?}… ({} bytes)", text.len())
    } else {
        format!("{text:?}")
    }
}

/// At most 300 characters of what somebody else said or wrote, for a message.
pub(crate) fn bounded(text: &str) -> String {
    const SHOWN: usize = 300;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

pub(crate) fn check_service(service: &str) -> Result<()> {
    let first = service.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if first && rest && service.len() <= MAX_SERVICE {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "service name {} is not allowed: use 1 to {MAX_SERVICE} ASCII letters, digits, '.', '_' and '-', \
         beginning with a letter or digit",
        quoted(service)
    )))
}

pub(crate) fn check_id(id: &str) -> Result<()> {
    if !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(|c| c == '/' || c.is_control()) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "instance id {} is not allowed: use 1 to {MAX_ID} bytes without '/' and control characters",
        quoted(id)
    )))
}

pub(crate) fn check_address(address: &str) -> Result<()> {
    let host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = !address.is_empty() && address.len() <= MAX_ADDRESS && address.chars().all(host);
    // A scope such as fe80::1%eth0 means something on one machine only, and cannot stand in a URL as it is.
    if named || address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "address {} is neither an IP address nor a host name of at most {MAX_ADDRESS} bytes; \
         the port is an argument of its own",
        quoted(address)
    )))
}

/// `port` as a number of a wider type, so that 0, 65536 and -1 get the same answer in every language.
pub fn check_port(port: i64) -> Result<u16> {
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::invalid(format!("port {port} is not allowed: use 1 to 65535"))),
    }
}

/// `weight` as a number of a wider type, like [`check_port`].
pub fn check_weight(weight: i64) -> Result<u32> {
    match u32::try_from(weight) {
        Ok(weight) if (1..=MAX_WEIGHT).contains(&weight) => Ok(weight),
        _ => Err(Error::invalid(format!("weight {weight} is not allowed: use 1 to {MAX_WEIGHT}"))),
    }
}

pub(crate) fn check_scheme(scheme: &str) -> Result<()> {
    let first = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if first && rest && scheme.len() <= 32 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "scheme {} is not allowed: use what stands before :// in a URL, such as http, https or grpc",
        quoted(scheme)
    )))
}

pub(crate) fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!("{} tags are too many: at most {MAX_TAGS}", tags.len())));
    }
    for tag in tags {
        if tag.is_empty() || tag.len() > MAX_TAG || tag.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "tag {} is not allowed: use 1 to {MAX_TAG} bytes without control characters",
                quoted(tag)
            )));
        }
    }
    Ok(())
}

pub(crate) fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<()> {
    if metadata.len() > MAX_METADATA {
        return Err(Error::invalid(format!(
            "{} metadata pairs are too many: at most {MAX_METADATA}",
            metadata.len()
        )));
    }
    for (key, value) in metadata {
        if key.is_empty() || key.len() > MAX_METADATA_KEY || key.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "metadata key {} is not allowed: use 1 to {MAX_METADATA_KEY} bytes without control characters",
                quoted(key)
            )));
        }
        if value.len() > MAX_METADATA_VALUE || value.contains('\0') {
            return Err(Error::invalid(format!(
                "the metadata value of {} is not allowed ({} bytes): use at most {MAX_METADATA_VALUE} bytes without NUL",
                quoted(key),
                value.len()
            )));
        }
    }
    Ok(())
}

pub(crate) fn check_label(what: &str, text: &str) -> Result<()> {
    if text.len() <= MAX_TAG && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} {} is not allowed: use at most {MAX_TAG} bytes without control characters",
        quoted(text)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn refused(result: Result<impl fmt::Debug>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        error.message().to_owned()
    }

    #[test]
    fn service_names() {
        for good in ["a", "billing", "Billing-2.eu_west", "9lives", &"x".repeat(127)] {
            check_service(good).unwrap();
        }
        for bad in ["", "a/b", "a b", "a\0b", "größe", "-a", ".a", "_a", "+a", &"x".repeat(128)] {
            assert!(refused(check_service(bad)).contains("ASCII letters"), "{bad}");
        }
    }

    #[test]
    fn ports_and_weights_of_any_size() {
        assert_eq!(check_port(65_535).unwrap(), 65_535);
        for bad in [0, -1, 65_536, i64::MIN, i64::MAX] {
            assert!(refused(check_port(bad)).contains("1 to 65535"));
        }
        assert_eq!(check_weight(1).unwrap(), 1);
        refused(check_weight(0));
        refused(check_weight(65_536));
    }

    #[test]
    fn addresses() {
        for good in ["10.0.0.1", "::1", "fe80::1", "db.internal", "web_1", "bücher.example"] {
            check_address(good).unwrap();
        }
        for bad in ["", "a b", "http://a", "10.0.0.1:80", "a/b", "[::1]", "fe80::1%eth0", &"a".repeat(254)] {
            refused(check_address(bad));
        }
    }

    #[test]
    fn the_limits_of_metadata_and_tags_are_exact() {
        let pairs = |n: usize| (0..n).map(|i| (format!("k{i}"), "v".repeat(512))).collect::<BTreeMap<_, _>>();
        check_metadata(&pairs(56)).unwrap();
        refused(check_metadata(&pairs(57)));
        check_metadata(&BTreeMap::from([("k".repeat(128), String::new())])).unwrap();
        refused(check_metadata(&BTreeMap::from([("k".repeat(129), String::new())])));
        refused(check_metadata(&BTreeMap::from([("k".into(), "v".repeat(513))])));
        let huge = refused(check_metadata(&BTreeMap::from([("k".into(), "v".repeat(2 << 20))])));
        assert!(huge.len() < 300 && huge.contains("2097152"), "{huge}");
        check_tags(&vec!["t".repeat(256); 64]).unwrap();
        refused(check_tags(&vec!["t".into(); 65]));
        refused(check_tags(&["t".repeat(257)]));
        refused(check_tags(&[String::new()]));
    }

    #[test]
    fn what_a_host_made_stays_with_the_one_instance() {
        let instance = Instance::new("a", "h", 1);
        let of = |instance, number: u8| *converted(instance, |_| number).downcast_ref::<u8>().unwrap();
        assert_eq!([of(&instance, 1), of(&instance, 2)], [1, 1]);
        assert!(converted(&instance, |_| "another host's").is::<u8>());
        let copy = instance.clone();
        assert_eq!(of(&copy, 3), 3);
        assert_eq!(instance, copy);
    }

    #[test]
    fn urls_bracket_ipv6() {
        assert_eq!(Instance::new("a", "::1", 80).url(), "http://[::1]:80");
        assert_eq!(Instance::new("a", "10.0.0.1", 80).id, "10.0.0.1:80");
    }
}
