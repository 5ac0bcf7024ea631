//! A URL, options and the environment become one checked `Config`. Reads the environment once, does no I/O towards a
//! registry, and never lets a secret into a message.

mod consul;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod options;
mod remote;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::instance::check_address;

pub(crate) use consul::Agent;
#[cfg(feature = "consul")]
pub(crate) use consul::{Consistency, Place, Token};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::fuzz;
#[cfg(any(feature = "etcd", feature = "consul"))]
pub(crate) use options::Secret;
pub use options::{OptionValue, Options};
#[cfg(any(feature = "etcd", feature = "consul", feature = "dns"))]
pub(crate) use remote::Endpoint;
pub(crate) use remote::Remote;
#[cfg(any(feature = "etcd", feature = "consul"))]
pub(crate) use remote::Tls;
pub(crate) use url::{Scheme, Url};

/// Shortest time to live of a registration.
pub const MIN_TTL: Duration = Duration::from_secs(1);
/// Longest time to live of a registration.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// Most registries that stand in for one.
const MAX_FALLBACKS: usize = 8;
/// Longest wait or drain that is taken; more is a mistake of units.
const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Everything that `connect` was told, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) url: Url,
    pub(crate) timeout: Duration,
    pub(crate) ttl: Duration,
    pub(crate) drain: Duration,
    pub(crate) empty_hold: Duration,
    pub(crate) cache_size: usize,
    /// Where lists are saved, and until when they are good.
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) cache_max_age: Duration,
    /// Registries to read while this one can't be.
    pub(crate) fallbacks: Vec<Config>,
    /// Where instances listen that DNS has addresses of only.
    #[cfg_attr(
        not(any(test, feature = "dns")),
        expect(dead_code, reason = "no registry of this build is DNS")
    )]
    pub(crate) port: Option<u16>,
    /// `$CALLSHEET_ADDRESS`: what to advertise where a registration names no address.
    pub(crate) address: Option<String>,
    /// Servers and credentials, of a registry that has some.
    pub(crate) remote: Option<Remote>,
    /// The agent and how it is asked, of Consul.
    pub(crate) agent: Option<Agent>,
}

impl Config {
    /// Arguments win over the URL's query, that over the environment, that over the defaults.
    pub(crate) fn new(
        url: Option<&str>,
        arguments: Options,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        Self::parse(url, arguments, &environment)
    }

    fn parse(
        url: Option<&str>,
        arguments: Options,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let from_environment = set("CALLSHEET_URL");
        let text = url.or(from_environment.as_deref()).unwrap_or("local:");
        let (url, query) = Url::parse(text, &set)?;
        let mut options = arguments.over(query).over(Options::from_environment(&set)?);
        match url.scheme {
            Scheme::Etcd { secure } => {
                let environment = remote::etcd_environment(secure, &options, &set)?;
                options = options.over(environment);
            }
            Scheme::Consul { secure } => {
                let environment = consul::environment(secure, &options, &set)?;
                options = options.over(environment);
            }
            Scheme::Local | Scheme::Memory | Scheme::Static | Scheme::Dns => {}
        }
        let address = set("CALLSHEET_ADDRESS");
        if let Some(address) = &address {
            check_address(address)
                .map_err(|error| Error::config(format!("$CALLSHEET_ADDRESS: {}", error.message())))?;
        }
        let remote = match url.scheme {
            Scheme::Etcd { secure } => Some(Remote::new(secure, url.endpoints.clone(), &options)?),
            _ => None,
        };
        let agent = match (&url.scheme, &url.place) {
            (Scheme::Consul { secure }, Some(place)) => Some(Agent::new(*secure, place.clone(), &options)?),
            _ => None,
        };
        let config = Config {
            remote,
            agent,
            timeout: options.duration("timeout", Duration::from_secs(5))?,
            ttl: options.duration("ttl", Duration::from_secs(10))?,
            drain: options.duration("drain", Duration::ZERO)?,
            empty_hold: options.duration("empty_hold", Duration::from_secs(600))?,
            cache_size: options.count("cache_size", 1000)?,
            cache_dir: options.text("cache_dir").map(PathBuf::from),
            cache_max_age: options.duration("cache_max_age", Duration::from_secs(24 * 3600))?,
            fallbacks: options
                .list("fallback")
                .iter()
                .map(|url| fallback(url, &options, environment))
                .collect::<Result<_>>()?,
            port: port(&url.scheme, &options)?,
            address,
            url,
        };
        if config.fallbacks.len() > MAX_FALLBACKS {
            return Err(Error::config(format!("more than {MAX_FALLBACKS} fallbacks are a mistake")));
        }
        if config.cache_dir.as_ref().is_some_and(|folder| !folder.is_absolute()) {
            return Err(Error::config(
                "cache_dir must be an absolute path: what is saved must be found by the next start, wherever that is",
            ));
        }
        let wrong = |error: Error| Error::config(error.message());
        check_ttl(config.ttl).map_err(wrong)?;
        if config.timeout.is_zero() {
            return Err(Error::config("timeout must be above 0: it is the time that one request may take"));
        }
        if config.cache_size == 0 {
            return Err(Error::config("cache_size must be above 0: it counts watched services"));
        }
        for (name, wait) in [
            ("timeout", config.timeout),
            ("drain", config.drain),
            ("empty_hold", config.empty_hold),
            ("cache_max_age", config.cache_max_age),
        ] {
            check_wait(name, wait).map_err(wrong)?;
        }
        Ok(config)
    }

    pub(crate) fn scheme(&self) -> &Scheme {
        &self.url.scheme
    }

    /// What tells apart two registries in which lists of one name may differ.
    pub(crate) fn identity(&self) -> String {
        let Remote { endpoints, prefix, .. } = match &self.remote {
            None => {
                let datacenter = self.agent.as_ref().and_then(|agent| agent.datacenter.as_deref());
                return format!("{}#{}", self.source(), datacenter.unwrap_or_default());
            }
            Some(remote) => remote,
        };
        let mut endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        endpoints.sort_unstable();
        format!("etcd://{}#{prefix}", endpoints.join(","))
    }

    /// Whether anybody is taken for the registry.
    pub(crate) fn insecure(&self) -> bool {
        let tls = match (&self.remote, &self.agent) {
            (Some(remote), _) => &remote.tls,
            (_, Some(agent)) => &agent.tls,
            (None, None) => return false,
        };
        tls.as_ref().is_some_and(|tls| tls.insecure)
    }

    /// The URL without secrets and options.
    pub(crate) fn source(&self) -> &str {
        &self.url.source
    }
}

fn port(scheme: &Scheme, options: &Options) -> Result<Option<u16>> {
    match options.count("port", 0)? {
        _ if !options.is_set("port") => Ok(None),
        _ if *scheme != Scheme::Dns => {
            Err(Error::config("port is an option of dns: only; write it after the host"))
        }
        port => match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(Error::config(format!("port {port} is not allowed: use 1 to 65535"))),
        },
    }
}

/// A fallback: a URL with options of its own. Those of the registry that it stands in for are not meant for it, secrets above
/// all, whether they came as arguments or from the environment; but it need not answer later.
fn fallback(url: &str, of: &Options, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
    let wrong = |error: Error| Error::config(format!("fallback: {}", error.message()));
    let its_own = |name: &str| environment(name).filter(|_| !name.starts_with("CALLSHEET_"));
    let mut config = Config::parse(Some(url), Options::new(), &its_own).map_err(wrong)?;
    if !config.fallbacks.is_empty() || config.cache_dir.is_some() {
        return Err(Error::config("fallback: a fallback has neither fallback nor cache_dir of its own"));
    }
    config.timeout = config.timeout.min(of.duration("timeout", config.timeout)?);
    Ok(config)
}

/// A time to live within its limits, or `invalid_argument`.
pub(crate) fn check_ttl(ttl: Duration) -> Result<()> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(format!("ttl {ttl:?} is not allowed: use 1 second to 1 day")))
}

/// A wait within its limits, or `invalid_argument`.
pub(crate) fn check_wait(what: &str, wait: Duration) -> Result<()> {
    if wait <= MAX_WAIT {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} {wait:?} is not allowed: use at most 30 days")))
}

/// A duration from a number of seconds of any sign and size, or `invalid_argument` that names `what`. Bindings call
/// this, so that every language refuses the same numbers with the same words.
pub fn seconds(what: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Error::invalid(format!("{what} {seconds} is not a duration: use a number of at least 0"))
    })
}

/// A count from a number of any sign and size, like [`seconds`]. One too large for anything stays too large.
pub fn count(what: &str, number: i64) -> Result<u32> {
    if number < 0 {
        return Err(Error::invalid(format!("{what} {number} is not allowed: use at least 0")));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use std::collections::HashMap;

    fn config(url: Option<&str>, options: Options, environment: &[(&str, &str)]) -> Result<Config> {
        let environment: HashMap<_, _> =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Config::new(url, options, |name| environment.get(name).cloned())
    }

    fn refused(url: &str) -> String {
        let error = config(Some(url), Options::new(), &[]).unwrap_err();
        assert_eq!(error.code(), Code::Config, "{url}");
        error.to_string()
    }

    #[test]
    fn arguments_win_over_the_url_and_that_over_the_environment() {
        let environment = [("CALLSHEET_URL", "memory:?ttl=30s&timeout=500ms"), ("CALLSHEET_TTL", "40")];
        let all = config(None, Options::new().with("ttl", 20.0).unwrap(), &environment).unwrap();
        assert_eq!((all.ttl, all.timeout), (Duration::from_secs(20), Duration::from_millis(500)));
        let query = config(None, Options::new(), &environment).unwrap();
        assert_eq!(query.ttl, Duration::from_secs(30));
        let rest = config(Some("memory:"), Options::new(), &environment).unwrap();
        assert_eq!((rest.ttl, rest.timeout), (Duration::from_secs(40), Duration::from_secs(5)));
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        assert!(refused("memory:?tll=5s").contains("did you mean ttl?"));
        assert!(refused("memory:?time_out=5s").contains("did you mean timeout?"));
        assert!(refused("memroy:").contains("did you mean memory?"));
        let error = Options::new().with("emptyhold", 1.0).unwrap_err();
        assert!(error.code() == Code::Config && error.to_string().contains("did you mean empty_hold?"));
    }

    #[test]
    fn what_is_wrong_in_a_url_is_said_without_its_secrets() {
        for url in [
            "",
            "memory",
            "127.0.0.1:2379",
            "ftp://h",
            "local://relative",
            "local:relative",
            "memory:a/b",
            "memory:?ttl",
            "memory:?ttl=0",
            "memory:?ttl=-1",
            "memory:?ttl=nan",
            "memory:?ttl=inf",
            "memory:?ttl=2d",
            "memory:?ttl=10x",
            "memory:?cache_size=0",
            "memory:?timeout=0",
            "memory:?ttl=5s&ttl=6s",
            "memory:%ff",
        ] {
            refused(url);
        }
        for url in [
            "etcd://root:hunter2@h:0/p",
            "etcd://root:hun/ter2@h",
            "etcd://root:hunter2@/%ff",
            "etcd://root:%ffhunter2@h",
            "etcd://h?password=hunter2",
            "etdc://root:hunter2@h",
            "memory:?tokn=hunter2",
            "://root:hunter2@h",
            "etcd://root:hunter2?x@h",
            "etcd:root:hunter2@h:0/a://b",
            "etcd:root:hunter2://a?x@h",
            "etcd://root:x?hunter2@h:2379/p",
            "etcd://root:x?y&hunter2=@h",
            "etcd://root@h?password=hunter2&password=hunter2",
            "memory://hunter2?@h",
            "local:///a/b?hunter2",
        ] {
            let message = refused(url);
            assert!(!message.contains("hunter2") && !message.contains("ter2"), "{message}");
        }
    }

    #[test]
    fn dns_urls_name_resolvers_and_a_suffix() {
        let parsed = |url: &str| {
            let config = config(Some(url), Options::new(), &[]).unwrap();
            let resolvers: Vec<_> = config.url.endpoints.iter().map(ToString::to_string).collect();
            (resolvers.join(","), config.url.name, config.port)
        };
        assert_eq!(
            parsed("dns://10.0.0.2/Service.Consul."),
            ("10.0.0.2:53".into(), "service.consul".into(), None)
        );
        assert_eq!(parsed("dns://a:1,[::1]:2/x?port=80"), ("a:1,[::1]:2".into(), "x".into(), Some(80)));
        assert_eq!(parsed("dns:///x"), (String::new(), "x".into(), None));
        for url in [
            "dns://h/a..b",
            "dns://h/a b",
            "dns://h:0/a",
            "dns://h/a?port=0",
            "dns://h/a?port=70000",
            "memory:?port=1",
        ] {
            refused(url);
        }
    }

    #[test]
    fn fallbacks_are_urls_of_their_own() {
        let environment =
            [("CALLSHEET_TOKEN", "hunter2"), ("CALLSHEET_TIMEOUT", "2s"), ("CALLSHEET_CACHE_DIR", "/tmp/x")];
        let list = "static:///a.toml,etcd://h:1,i:2/p,memory:x?ttl=3s, local:";
        let options = Options::new().with("fallback", list).unwrap();
        let config = config(Some("etcd://h"), options, &environment).unwrap();
        let sources: Vec<_> = config.fallbacks.iter().map(|one| one.source()).collect();
        assert_eq!(sources, ["static:///a.toml", "etcd://h:1,i:2/p", "memory:x", "local:"]);
        assert!(
            config
                .fallbacks
                .iter()
                .all(|one| one.timeout == Duration::from_secs(2) && one.cache_dir.is_none())
        );
        assert!(refused("memory:?fallback=nothing").contains("fallback: \"nothing\" is not a registry URL"));
        assert!(refused("memory:?fallback=memory:b%3Ffallback%3Dmemory:c").contains("neither fallback nor"));
        assert!(refused("memory:?cache_dir=x").contains("absolute"));
        assert!(!refused("memory:?fallback=etcd://u:hunter2@/%25ff").contains("hunter2"));
    }

    #[test]
    fn lists_are_saved_apart_where_they_may_differ() {
        let identity = |url: &str| config(Some(url), Options::new(), &[]).unwrap().identity();
        assert_eq!(identity("etcd://u:p@a:1,b:2/p"), identity("etcd://b:2,a:1/p/"));
        assert_ne!(identity("etcd://a:1/p"), identity("etcd://a:1/q"));
        assert_ne!(identity("consul://a:1?datacenter=x"), identity("consul://a:1?datacenter=y"));
    }

    #[test]
    fn durations_refuse_what_is_no_duration() {
        for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(seconds("ttl", bad).unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(seconds("ttl", 0.5).unwrap(), Duration::from_millis(500));
    }
}
