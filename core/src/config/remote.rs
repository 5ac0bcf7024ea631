//! What a registry with servers is told by its URL, the options and the environment: hosts, credentials, TLS files and
//! the prefix of its keys. Files are named here and read by who connects.

use std::path::PathBuf;

use super::options::{OptionValue, Options, Secret};
use super::url::{decoded, redacted};
use crate::error::{Error, Result};
use crate::instance::check_address;

/// Where etcd listens for clients.
const ETCD_PORT: u16 = 2379;
/// Where DNS is served.
const DNS_PORT: u16 = 53;
/// Longest suffix of names, in bytes, that leaves room for a service.
const MAX_SUFFIX: usize = 180;
/// Longest prefix of keys, in bytes.
const MAX_PREFIX: usize = 512;
/// Most endpoints of one registry.
pub(super) const MAX_ENDPOINTS: usize = 64;

/// One server of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// A name or an address, an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How to reach and to be accepted by a registry with servers.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(any(feature = "etcd", test)),
    expect(dead_code, reason = "no registry of this build has servers")
)]
pub(crate) struct Remote {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) credentials: Option<(String, Secret)>,
    pub(crate) tls: Option<Tls>,
    /// Ends in `/`.
    pub(crate) prefix: String,
}

/// The files and names of TLS. They are read anew for each connection, so that they can be rotated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// A file of authorities, or a folder of such files. `None`: the system's own.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and key of this client.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate, where it is not the host of the URL.
    pub(crate) server_name: Option<String>,
    /// Anybody is taken for the server. Never the default.
    pub(crate) insecure: bool,
}

/// What an etcd URL says before its query: `//[user:pass@]h1:2379,h2:2379[/prefix]`. User, password and prefix come back
/// as options, where arguments win over them.
pub(super) fn etcd_url(
    secure: bool,
    rest: &str,
    source: &str,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<(Vec<Endpoint>, Options)> {
    let mut options = Options::new();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(Error::config(format!(
            "{source:?}: write a '/' in a user name or password as %2F, and an '@' in a prefix as %40"
        )));
    }
    let (user, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    if let Some(user) = user {
        let (name, password) = credentials(user);
        let what = "the user name or password";
        options.set("username", OptionValue::Text(decoded(name, what)?))?;
        if let Some(password) = password {
            options.set("password", OptionValue::Text(decoded(password, what)?))?;
        }
    }
    if !path.trim_matches('/').is_empty() {
        options.set("prefix", OptionValue::Text(format!("/{}", decoded(path, source)?)))?;
    }
    let endpoints = if hosts.is_empty() {
        let listed = environment("ETCDCTL_ENDPOINTS").ok_or_else(|| {
            let scheme = if secure { "etcds" } else { "etcd" };
            Error::config(format!(
                "{scheme}:// names no host and $ETCDCTL_ENDPOINTS is not set: write {scheme}://127.0.0.1:{ETCD_PORT}"
            ))
        })?;
        let bare =
            listed.split(',').map(|endpoint| bare(secure, endpoint.trim())).collect::<Result<Vec<_>>>()?;
        endpoints(bare.iter().map(String::as_str), ETCD_PORT, "$ETCDCTL_ENDPOINTS")?
    } else {
        endpoints(hosts.split(','), ETCD_PORT, source)?
    };
    Ok((endpoints, options))
}

/// What a DNS URL says before its query: `//[r1:53,r2:53]/suffix`. No resolver stands for the system's.
pub(super) fn dns_url(rest: &str, source: &str) -> Result<(Vec<Endpoint>, String)> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (hosts, suffix) = rest.split_once('/').unwrap_or((rest, ""));
    let suffix = decoded(suffix, source)?;
    let suffix = suffix.trim_matches(['/', '.']);
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    if !suffix.is_empty() && (suffix.len() > MAX_SUFFIX || !suffix.split('.').all(label)) {
        return Err(Error::config(format!(
            "{source:?} is not a dns: URL: write dns://10.0.0.2:53/service.consul, or dns:///service.consul for the \
             system's resolvers"
        )));
    }
    let endpoints =
        if hosts.is_empty() { Vec::new() } else { endpoints(hosts.split(','), DNS_PORT, source)? };
    Ok((endpoints, suffix.to_ascii_lowercase()))
}

/// `user:password`, or `user` alone.
pub(super) fn credentials(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(name, password)| (name, Some(password)))
}

/// An endpoint as `etcdctl` takes it, without its scheme, which has to agree with that of the URL.
fn bare(secure: bool, endpoint: &str) -> Result<String> {
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("", endpoint));
    match (scheme, secure) {
        ("", _) | ("http", false) | ("https", true) => Ok(host.trim_end_matches('/').to_owned()),
        ("https", false) => Err(Error::config("$ETCDCTL_ENDPOINTS has https endpoints: write etcds://")),
        ("http", true) => Err(Error::config("$ETCDCTL_ENDPOINTS has http endpoints: write etcd://")),
        _ => Err(Error::config("$ETCDCTL_ENDPOINTS: write host:port, http:// or https:// endpoints")),
    }
}

fn endpoints<'a>(hosts: impl Iterator<Item = &'a str>, port: u16, whence: &str) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    for text in hosts.map(str::trim).filter(|text| !text.is_empty()) {
        let endpoint = endpoint(text, port).ok_or_else(|| {
            let shown = redacted(text);
            Error::config(format!(
                "{whence:?} names {shown:?}, which is not host:port: write names or addresses with ports from 1 to \
                 65535, commas between them, IPv6 addresses in brackets"
            ))
        })?;
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    match endpoints.len() {
        0 => Err(Error::config(format!("{whence:?} names no host"))),
        1..=MAX_ENDPOINTS => Ok(endpoints),
        many => {
            Err(Error::config(format!("{whence:?} names {many} endpoints: name at most {MAX_ENDPOINTS}")))
        }
    }
}

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
pub(super) fn endpoint(text: &str, default: u16) -> Option<Endpoint> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    check_address(host).ok()?;
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port > 0))?;
    Some(Endpoint { host: host.to_owned(), port })
}

/// What `etcdctl` would take from the environment, as options that everything else wins over.
pub(super) fn etcd_environment(
    secure: bool,
    set: &Options,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Options> {
    let mut options = Options::new();
    if !set.is_set("username")
        && let Some(user) = environment("ETCDCTL_USER")
    {
        let (name, password) = credentials(&user);
        options.set("username", OptionValue::from(name))?;
        let separate = environment("ETCDCTL_PASSWORD");
        if let Some(password) = password.map(str::to_owned).or(separate) {
            options.set("password", OptionValue::Text(password))?;
        }
    }
    if secure {
        let pair = ["cert", "key"].iter().any(|name| set.is_set(name));
        for (name, variable) in [("ca", "ETCDCTL_CACERT"), ("cert", "ETCDCTL_CERT"), ("key", "ETCDCTL_KEY")] {
            let file = environment(variable).filter(|_| name == "ca" || !pair);
            if let Some(file) = file {
                options.set(name, OptionValue::Text(file))?;
            }
        }
    }
    Ok(options)
}

/// A user and a password, both or none.
pub(super) fn user(options: &Options) -> Result<Option<(String, Secret)>> {
    match (options.text("username"), options.secret("password")) {
        (Some(""), _) => Err(Error::config("username is empty: leave it out to use none")),
        (Some(name), Some(password)) => Ok(Some((name.to_owned(), password.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::config("username without a password: give both or none")),
        (None, Some(_)) => Err(Error::config("password without a username: give both or none")),
    }
}

impl Remote {
    /// Everything that is needed for `endpoints`, checked.
    pub(super) fn new(secure: bool, endpoints: Vec<Endpoint>, options: &Options) -> Result<Self> {
        let credentials = user(options)?;
        let tls = Tls::wanted(secure, "etcd", options)?;
        let prefix = options.text("prefix").unwrap_or("/services/").trim_end_matches('/');
        if prefix.len() > MAX_PREFIX || prefix.contains('\0') {
            return Err(Error::config(format!("prefix must have at most {MAX_PREFIX} bytes and no NUL")));
        }
        Ok(Remote { endpoints, credentials, tls, prefix: format!("{prefix}/") })
    }
}

impl Tls {
    /// What the options say of TLS, which is nothing without it.
    pub(super) fn wanted(secure: bool, scheme: &str, options: &Options) -> Result<Option<Self>> {
        if secure {
            return Self::new(options).map(Some);
        }
        let meant = ["ca", "cert", "key", "server_name"].into_iter().find(|name| options.is_set(name));
        let meant = meant.or(options.flag("insecure").then_some("insecure"));
        match meant {
            None => Ok(None),
            Some(name) => {
                Err(Error::config(format!("{name} is for TLS: write {scheme}s:// instead of {scheme}://")))
            }
        }
    }

    fn new(options: &Options) -> Result<Self> {
        let path = |name: &str| options.text(name).map(PathBuf::from);
        let identity = match (path("cert"), path("key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(Error::config("cert without key: give both files or none")),
            (None, Some(_)) => return Err(Error::config("key without cert: give both files or none")),
        };
        let server_name = options.text("server_name").map(str::to_owned);
        Ok(Tls { ca: path("ca"), identity, server_name, insecure: options.flag("insecure") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn remote(url: &str, environment: &[(&str, &str)]) -> Result<Remote> {
        let find =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Config::new(Some(url), Options::new(), find).map(|config| config.remote.expect("it has servers"))
    }

    fn shown(url: &str, environment: &[(&str, &str)]) -> String {
        let remote = remote(url, environment).unwrap();
        let hosts: Vec<_> = remote.endpoints.iter().map(ToString::to_string).collect();
        let user =
            remote.credentials.map(|(name, word)| format!("{name}:{}@", word.reveal())).unwrap_or_default();
        format!("{user}{}{}", hosts.join(","), remote.prefix)
    }

    #[test]
    fn nobody_is_taken_for_the_registry_unless_that_is_said() {
        let tls = |url: &str, environment: &[(&str, &str)]| remote(url, environment).unwrap().tls;
        assert!(!tls("etcds://h", &[]).unwrap().insecure);
        assert!(tls("etcds://h?insecure=true", &[]).unwrap().insecure);
        assert!(tls("etcds://h", &[("CALLSHEET_INSECURE", "1")]).unwrap().insecure);
        assert!(!tls("etcds://h?insecure=false", &[("CALLSHEET_INSECURE", "1")]).unwrap().insecure);
        assert_eq!(tls("etcd://h?insecure=false", &[]), None);
        for (url, said) in [
            ("etcd://h?insecure=true", "insecure is for TLS: write etcds://"),
            ("etcds://h?insecure=yes", "option insecure takes true or false"),
        ] {
            let error = remote(url, &[]).unwrap_err();
            assert!(error.message().contains(said), "{error}");
        }
    }

    #[test]
    fn hosts_credentials_and_prefix() {
        for (url, expected) in [
            ("etcd://h", "h:2379/services/"),
            ("etcd://h:1,i,h:1,[::1]:9,[fe80::2]/a/b", "h:1,i:2379,[::1]:9,[fe80::2]:2379/a/b/"),
            ("etcd://h/a", "h:2379/a/"),
            ("etcd://h/a/", "h:2379/a/"),
            ("etcd://h/", "h:2379/services/"),
            ("etcd://h?prefix=bare", "h:2379bare/"),
            ("etcd://ro%40ot:p%2Fw%3A:x@h", "ro@ot:p/w::x@h:2379/services/"),
            ("etcd://h?username=u&password=", "u:@h:2379/services/"),
        ] {
            assert_eq!(shown(url, &[]), expected, "{url}");
        }
    }

    #[test]
    fn the_environment_of_etcdctl_fills_in() {
        let environment = [
            ("ETCDCTL_ENDPOINTS", "http://a:1, b:2"),
            ("ETCDCTL_USER", "u:p:q"),
            ("ETCDCTL_CACERT", "/ca"),
            ("ETCDCTL_CERT", "/cert"),
            ("ETCDCTL_KEY", "/key"),
        ];
        assert_eq!(shown("etcd://", &environment), "u:p:q@a:1,b:2/services/");
        assert_eq!(shown("etcd://v:w@h", &environment), "v:w@h:2379/services/");
        assert_eq!(
            remote("etcd://h", &environment).unwrap().tls,
            None,
            "plain text has no use for its files"
        );
        let tls = remote("etcds://h?cert=/mine&key=/mine.key", &environment).unwrap().tls.unwrap();
        assert_eq!(tls.ca, Some("/ca".into()));
        assert_eq!(tls.identity, Some(("/mine".into(), "/mine.key".into())), "a pair is never mixed");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, expected) in [
            ("etcd://", "names no host"),
            ("etcd://h:0", "host:port"),
            ("etcd://h:65536", "host:port"),
            ("etcd://::1", "host:port"),
            ("etcd://[h]:1", "host:port"),
            ("etcd://a b", "host:port"),
            ("etcd://,", "names no host"),
            ("etcd://u@h", "without a password"),
            ("etcd://:p@h", "username is empty"),
            ("etcd://h?password=p", "without a username"),
            ("etcd://h?ca=/x", "etcds://"),
            ("etcds://h?cert=/x", "without key"),
            ("etcd://h/a?prefix=b", "twice"),
        ] {
            let error = remote(url, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        for (url, environment) in [
            ("etcd://", ("ETCDCTL_ENDPOINTS", "http://root:hunter2@h:2379")),
            ("consul://", ("CONSUL_HTTP_ADDR", "http://root:hunter2@h:8500")),
            ("consul://", ("CONSUL_HTTP_ADDR", "ftp://root:hunter2@h")),
            ("dns://root:hunter2@h/x", ("", "")),
        ] {
            let error = remote(url, &[environment]).unwrap_err().to_string();
            assert!(error.contains("@h") && !error.contains("hunter2"), "{url}: {error}");
        }
        let https = [("ETCDCTL_ENDPOINTS", "https://h:2379")];
        assert!(remote("etcd://", &https).unwrap_err().to_string().contains("etcds://"));
    }
}
