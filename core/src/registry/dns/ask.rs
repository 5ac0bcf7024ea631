//! Asking resolvers. Over TCP first: over UDP, servers such as Consul's leave out what does not fit, some without a word. Where
//! TCP can't be had, UDP has to do.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::Mutex;

use super::answer::{Addresses, Answer, Service};
use crate::config::Endpoint;
use crate::error::{Code, Error, Result};

/// Targets of which the addresses are asked for, beyond those that come with an answer.
const MOST_TARGETS: usize = 256;

pub(super) struct Resolvers {
    pub(super) source: String,
    /// Empty: those of the system.
    endpoints: Vec<Endpoint>,
    timeout: Duration,
    /// Made when first asked, and anew after a failure, as the names of resolvers and the system's files may have changed.
    made: Mutex<Option<Arc<Ways>>>,
}

/// The same resolvers over each protocol, the best first.
struct Ways(Vec<TokioResolver>);

impl Resolvers {
    pub(super) fn new(endpoints: Vec<Endpoint>, source: &str, timeout: Duration) -> Self {
        Resolvers { source: source.to_owned(), endpoints, timeout, made: Mutex::default() }
    }

    /// For a person.
    pub(super) fn named(&self) -> String {
        match self.endpoints.is_empty() {
            true => "the system's".to_owned(),
            false => self.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// The instances that the SRV records of a name tell of.
    pub(super) async fn services(&self, service: &str, name: &str) -> Result<Answer> {
        let Some(found) = self.lookup(name, RecordType::SRV).await? else { return Ok(Answer::default()) };
        let mut ttl = ttl(&found);
        let records = services(found.answers());
        let mut addresses = addresses(found.additionals());
        let targets: BTreeSet<String> = records.iter().map(|record| record.target.clone()).collect();
        let missing: Vec<_> = targets.into_iter().filter(|target| !addresses.contains_key(target)).collect();
        for target in missing.into_iter().take(MOST_TARGETS) {
            let found = self.addresses(&target).await?;
            ttl = ttl.min(found.ttl);
            addresses.insert(target, found.found);
        }
        Ok(Answer::of_services(service, &records, &addresses, ttl))
    }

    /// The addresses of a name; none is an answer.
    pub(super) async fn addresses(&self, name: &str) -> Result<Addresses> {
        let (four, six) = tokio::join!(self.lookup(name, RecordType::A), self.lookup(name, RecordType::AAAA));
        let mut addresses = Addresses { found: Vec::new(), ttl: Duration::MAX };
        for lookup in [four?, six?].into_iter().flatten() {
            addresses.ttl = addresses.ttl.min(ttl(&lookup));
            addresses.found.extend(lookup.answers().iter().filter_map(|record| address(&record.data)));
        }
        Ok(addresses)
    }

    /// `None`: there are no such records.
    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Option<Lookup>> {
        let asked = Name::from_ascii(name).map_err(|error| {
            Error::new(
                Code::Unavailable,
                format!("can't ask {} for {name}, which is no name for DNS: {error}", self.source),
            )
        })?;
        let ways = self.ways().await?;
        let mut failed = None;
        for way in &ways.0 {
            match way.lookup(asked.clone(), kind).await {
                Ok(lookup) => return Ok(Some(lookup)),
                Err(error) if is_empty(&error) => return Ok(None),
                Err(error) => {
                    let told = matches!(error, NetError::Dns(_));
                    failed = Some(error);
                    if told {
                        break;
                    }
                }
            }
        }
        *self.made.lock().await = None;
        Err(self.failure(name, failed.unwrap_or(NetError::NoConnections)))
    }

    async fn ways(&self) -> Result<Arc<Ways>> {
        let mut made = self.made.lock().await;
        if let Some(ways) = &*made {
            return Ok(ways.clone());
        }
        let ways = Arc::new(self.make().await?);
        *made = Some(ways.clone());
        Ok(ways)
    }

    async fn make(&self) -> Result<Ways> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::new(Code::Unavailable, format!("can't ask {}: {why}", self.source))
        };
        if self.endpoints.is_empty() {
            let mut builder = TokioResolver::builder_tokio()
                .map_err(|error| wrong(&format!("the system's resolvers are not known: {error}")))?;
            *builder.options_mut() = self.options(builder.options_mut().clone());
            return Ok(Ways(vec![builder.build().map_err(|error| wrong(&error))?]));
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for Endpoint { host, port } in &self.endpoints {
            match tokio::net::lookup_host((host.as_str(), *port)).await {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::debug!(%error, host, "a resolver has no address"),
            }
        }
        if addresses.is_empty() {
            return Err(wrong(&"none of its resolvers has an address: check their names"));
        }
        let way = |connection: fn() -> ConnectionConfig| {
            let servers = addresses.iter().map(|address| {
                let mut connection = connection();
                connection.port = address.port();
                NameServerConfig::new(address.ip(), true, vec![connection])
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            *builder.options_mut() = self.options(ResolverOpts::default());
            builder.build().map_err(|error| wrong(&error))
        };
        Ok(Ways(vec![way(ConnectionConfig::tcp)?, way(ConnectionConfig::udp)?]))
    }

    fn options(&self, mut options: ResolverOpts) -> ResolverOpts {
        options.timeout = self.timeout / 4;
        options.attempts = 1;
        options.edns0 = true;
        // How long answers are good is seen to by who asks.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options
    }

    fn failure(&self, name: &str, error: NetError) -> Error {
        let source = &self.source;
        let (code, why) = match &error {
            NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => (
                Code::PermissionDenied,
                "the resolver refuses to answer: it may not be for this zone, or not for this machine"
                    .to_owned(),
            ),
            NetError::Dns(_) => (Code::Unavailable, format!("the resolver could not find out: {error}")),
            NetError::Timeout => {
                (Code::Unavailable, "no answer: check that a resolver listens there".to_owned())
            }
            _ => (Code::Unavailable, format!("{error}: check that a resolver listens there")),
        };
        Error::new(code, format!("can't ask {source} for {name}: {why}")).with_cause(error)
    }
}

fn is_empty(error: &NetError) -> bool {
    error.is_no_records_found() || error.is_nx_domain()
}

/// The SRV records of an answer. One whose target has no form in which it could be asked for is passed over, as the others
/// are good without it.
pub(super) fn services(answers: &[Record]) -> Vec<Service> {
    let service = |record: &Record| {
        let RData::SRV(srv) = &record.data else { return None };
        let target = srv.target.to_lowercase().to_string();
        Name::from_ascii(&target).ok()?;
        Some(Service { priority: srv.priority, weight: srv.weight, port: srv.port, target })
    };
    answers.iter().filter_map(service).collect()
}

/// The addresses of each name, of those that come along with an answer.
pub(super) fn addresses(additionals: &[Record]) -> HashMap<String, Vec<IpAddr>> {
    let mut addresses: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for record in additionals {
        if let Some(address) = address(&record.data) {
            addresses.entry(record.name.to_lowercase().to_string()).or_default().push(address);
        }
    }
    addresses
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn ttl(lookup: &Lookup) -> Duration {
    let least = lookup.answers().iter().map(|record| record.ttl).min();
    least.map_or_else(
        || lookup.valid_until().saturating_duration_since(Instant::now()),
        |ttl| Duration::from_secs(ttl.into()),
    )
}
