//! What Consul's registry is told by its URL, the options and the environment of Consul's own tools: where the agent
//! listens, as whom it is asked, and which datacenter is meant.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::options::{OptionValue, Options, Secret, truth};
use super::remote::{Endpoint, Tls, credentials, endpoint, user};
use super::url::{decoded, redacted};
use crate::error::{Error, Result};

/// Where an agent listens for HTTP; with TLS it has no port of its own by default.
const PORT: u16 = 8500;
/// What has a meaning of its own where the path of a socket stands in a URL.
const NOT_IN_A_HOST: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b'?').add(b'@');
/// Longest name of a datacenter or node.
const MAX_NAME: usize = 255;

/// Where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Tcp(Endpoint),
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(endpoint) => endpoint.fmt(f),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As whom the agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// As nobody: what Consul calls the anonymous token.
    None,
    Given(Secret),
    /// Read again when the file changes.
    File(PathBuf),
}

/// From whom reads that follow a service may be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// Any server, which may be behind the leader for a moment.
    #[default]
    Stale,
    /// The leader.
    Leader,
    /// The leader, after it has made sure that it still is.
    Consistent,
}

/// How to reach and to be accepted by an agent, and what is asked of it.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "consul"), expect(dead_code, reason = "no registry of this build has an agent"))]
pub(crate) struct Agent {
    pub(crate) place: Place,
    pub(crate) token: Token,
    /// HTTP's own user and password, for a proxy before the agent.
    pub(crate) credentials: Option<(String, Secret)>,
    pub(crate) tls: Option<Tls>,
    /// Whose services are read; that of the agent where there is none.
    pub(crate) datacenter: Option<String>,
    pub(crate) near: Option<String>,
    pub(crate) consistency: Consistency,
}

/// What an URL of Consul says before its query.
pub(super) struct Found {
    pub(super) secure: bool,
    pub(super) place: Place,
    /// As it may be shown.
    pub(super) source: String,
    pub(super) options: Options,
}

/// `//[user:password@]host:port[/datacenter]`, where the host may be the path of a Unix socket with %2F for each `/`.
pub(super) fn consul_url(
    secure: bool,
    rest: &str,
    source: &str,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Found> {
    let mut options = Options::new();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(Error::config(format!("{source:?}: write a '/' in a user name or password as %2F")));
    }
    let (who, host) = authority.rsplit_once('@').map_or((None, authority), |(who, host)| (Some(who), host));
    if let Some(who) = who {
        let what = "the user name or password";
        let (name, password) = credentials(who);
        options.set("username", OptionValue::Text(decoded(name, what)?))?;
        if let Some(password) = password {
            options.set("password", OptionValue::Text(decoded(password, what)?))?;
        }
    }
    let path = path.trim_end_matches('/');
    if !path.is_empty() {
        options.set("datacenter", OptionValue::Text(decoded(path, source)?))?;
    }
    let (secure, place) = match host {
        "" => from_environment(secure, environment)?,
        host => (secure, named(&decoded(host, source)?, source)?),
    };
    let scheme = if secure { "consuls" } else { "consul" };
    let hidden = if who.is_some() { "***@" } else { "" };
    let tail = if path.is_empty() { String::new() } else { format!("/{path}") };
    let source = match &place {
        Place::Tcp(endpoint) => format!("{scheme}://{hidden}{endpoint}{tail}"),
        Place::Unix(path) => {
            let path = path.to_string_lossy();
            format!("{scheme}://{hidden}{}{tail}", utf8_percent_encode(&path, NOT_IN_A_HOST))
        }
    };
    Ok(Found { secure, place, source, options })
}

fn named(host: &str, whence: &str) -> Result<Place> {
    if host.starts_with('/') && !host.contains('\0') {
        return Ok(Place::Unix(PathBuf::from(host)));
    }
    endpoint(host, PORT).map(Place::Tcp).ok_or_else(|| {
        let shown = redacted(host);
        Error::config(format!(
            "{whence:?} names {shown:?}, which is not host:port: write one name or address with a port from 1 to 65535, \
             an IPv6 address in brackets, or the path of a Unix socket with %2F for each '/'"
        ))
    })
}

/// Where Consul's own tools would look.
fn from_environment(secure: bool, environment: &impl Fn(&str) -> Option<String>) -> Result<(bool, Place)> {
    const NAME: &str = "$CONSUL_HTTP_ADDR";
    let secure = secure || flag("CONSUL_HTTP_SSL", environment)?.unwrap_or(false);
    let Some(address) = environment("CONSUL_HTTP_ADDR") else {
        return Ok((secure, Place::Tcp(Endpoint { host: "127.0.0.1".into(), port: PORT })));
    };
    let (scheme, rest) = address.split_once("://").unwrap_or(("", &address));
    match scheme {
        "unix" => Ok((secure, named(rest, NAME)?)),
        "https" => Ok((true, named(rest.trim_end_matches('/'), NAME)?)),
        "" | "http" => Ok((secure, named(rest.trim_end_matches('/'), NAME)?)),
        _ => Err(Error::config(format!(
            "{NAME} is {:?}: write host:port, http://, https:// or unix://",
            redacted(&address)
        ))),
    }
}

/// A boolean as Consul's tools read it.
fn flag(name: &str, environment: &impl Fn(&str) -> Option<String>) -> Result<Option<bool>> {
    match environment(name) {
        None => Ok(None),
        Some(text) => match truth(&text) {
            None => Err(Error::config(format!("${name}: write true or false"))),
            flag => Ok(flag),
        },
    }
}

/// What Consul's own tools would take from the environment, as options that everything else wins over.
pub(super) fn environment(
    secure: bool,
    set: &Options,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Options> {
    let mut options = Options::new();
    if !set.is_set("token") && !set.is_set("token_file") {
        // As there, a token wins over a file.
        for (name, variable) in [("token_file", "CONSUL_HTTP_TOKEN_FILE"), ("token", "CONSUL_HTTP_TOKEN")] {
            if let Some(text) = environment(variable) {
                options = Options::new().with(name, text)?;
            }
        }
    }
    if !set.is_set("username")
        && let Some(auth) = environment("CONSUL_HTTP_AUTH")
    {
        let (name, password) = credentials(&auth);
        options.set("username", OptionValue::from(name))?;
        options.set("password", OptionValue::from(password.unwrap_or_default()))?;
    }
    if secure {
        let pair = ["cert", "key"].iter().any(|name| set.is_set(name));
        for (name, variable) in [
            ("ca", "CONSUL_CAPATH"),
            ("ca", "CONSUL_CACERT"),
            ("cert", "CONSUL_CLIENT_CERT"),
            ("key", "CONSUL_CLIENT_KEY"),
            ("server_name", "CONSUL_TLS_SERVER_NAME"),
        ] {
            if let Some(text) = environment(variable).filter(|_| !(pair && matches!(name, "cert" | "key"))) {
                options.set(name, OptionValue::Text(text))?;
            }
        }
        if flag("CONSUL_HTTP_SSL_VERIFY", environment)? == Some(false) {
            options.set("insecure", OptionValue::Flag(true))?;
        }
    }
    Ok(options)
}

impl Agent {
    /// Everything that is needed for the agent at `place`, checked.
    pub(super) fn new(secure: bool, place: Place, options: &Options) -> Result<Self> {
        let token = match (options.secret("token"), options.text("token_file")) {
            (Some(_), Some(_)) => return Err(Error::config("token and token_file: give one of them")),
            (Some(token), None) if token.reveal().is_empty() => Token::None,
            (Some(token), None) if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err(Error::config(
                    "token has characters that no token of Consul has: look at its end",
                ));
            }
            (Some(token), None) => Token::Given(token.clone()),
            (None, Some(path)) => Token::File(PathBuf::from(path)),
            (None, None) => Token::None,
        };
        let name = |option: &str| match options.text(option) {
            None | Some("") => Ok(None),
            Some(text) if text.len() > MAX_NAME || text.chars().any(char::is_control) => Err(Error::config(
                format!("{option} must have at most {MAX_NAME} bytes and no control characters"),
            )),
            Some(text) => Ok(Some(text.to_owned())),
        };
        let consistency = match options.text("consistency") {
            None | Some("stale") => Consistency::Stale,
            Some("default") => Consistency::Leader,
            Some("consistent") => Consistency::Consistent,
            Some(other) => {
                let shown = super::options::shortened(other);
                return Err(Error::config(format!(
                    "there is no consistency {shown:?}; it is one of stale, default, consistent"
                )));
            }
        };
        Ok(Agent {
            place,
            token,
            credentials: user(options)?,
            tls: Tls::wanted(secure, "consul", options)?,
            datacenter: name("datacenter")?,
            near: name("near")?,
            consistency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(url: &str, environment: &[(&str, &str)]) -> Result<Config> {
        let find =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Config::new(Some(url), Options::new(), find)
    }

    fn agent(url: &str, environment: &[(&str, &str)]) -> Agent {
        config(url, environment).unwrap().agent.expect("it has an agent")
    }

    #[test]
    fn hosts_sockets_and_datacenters() {
        for (url, place, datacenter, source) in [
            ("consul://h", "h:8500", None, "consul://h:8500"),
            ("consul://h:1/eu", "h:1", Some("eu"), "consul://h:1/eu"),
            ("consul://[::1]/", "[::1]:8500", None, "consul://[::1]:8500"),
            ("consul://", "127.0.0.1:8500", None, "consul://127.0.0.1:8500"),
            ("consul:", "127.0.0.1:8500", None, "consul://127.0.0.1:8500"),
            ("consuls://u:p@h:8501/eu", "h:8501", Some("eu"), "consuls://***@h:8501/eu"),
            (
                "consul://%2Frun%2Fconsul.sock/eu",
                "/run/consul.sock",
                Some("eu"),
                "consul://%2Frun%2Fconsul.sock/eu",
            ),
            ("consul://h?datacenter=us", "h:8500", Some("us"), "consul://h:8500"),
            ("consul://%2Fa%3Fb%25/e%3Fu", "/a?b%", Some("e?u"), "consul://%2Fa%3Fb%25/e%3Fu"),
        ] {
            let config = config(url, &[]).unwrap();
            assert_eq!(config.source(), source);
            let agent = config.agent.unwrap();
            assert_eq!(
                (agent.place.to_string().as_str(), agent.datacenter.as_deref()),
                (place, datacenter),
                "{url}"
            );
        }
    }

    #[test]
    fn the_environment_of_consul_fills_in() {
        let environment = [
            ("CONSUL_HTTP_ADDR", "https://a:1"),
            ("CONSUL_HTTP_TOKEN", "secret"),
            ("CONSUL_HTTP_TOKEN_FILE", "/token"),
            ("CONSUL_HTTP_AUTH", "u:p:q"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_CAPATH", "/cas"),
            ("CONSUL_CLIENT_CERT", "/cert"),
            ("CONSUL_CLIENT_KEY", "/key"),
            ("CONSUL_TLS_SERVER_NAME", "name"),
        ];
        let all = agent("consul://", &environment);
        assert_eq!(all.place.to_string(), "a:1");
        assert_eq!(all.token, Token::Given(Secret::new("secret")));
        assert_eq!(all.credentials, Some(("u".into(), Secret::new("p:q"))));
        let tls = all.tls.unwrap();
        assert_eq!(tls.ca, Some("/cas".into()));
        assert_eq!(tls.identity, Some(("/cert".into(), "/key".into())));
        assert_eq!((tls.server_name.as_deref(), tls.insecure), (Some("name"), true));
        assert!(!agent("consul://?insecure=false", &environment).tls.unwrap().insecure);

        let plain = agent("consul://h?token_file=/mine", &environment);
        assert_eq!((plain.place.to_string().as_str(), plain.tls), ("h:8500", None));
        assert_eq!(plain.token, Token::File("/mine".into()));
        let socket = agent("consul://", &[("CONSUL_HTTP_ADDR", "unix:///run/c.sock")]);
        assert_eq!(socket.place, Place::Unix("/run/c.sock".into()));
        let secure = agent("consul:", &[("CONSUL_HTTP_SSL", "true"), ("CONSUL_CACERT", "/ca")]);
        assert_eq!(secure.tls.unwrap().ca, Some("/ca".into()));
        assert!(!agent("consuls://h", &[]).tls.unwrap().insecure, "verified unless told");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, expected) in [
            ("consul://h:0", "host:port"),
            ("consul://a,b", "host:port"),
            ("consul://h?token=a&token_file=b", "one of them"),
            ("consul://h?token=a%0a", "look at its end"),
            ("consul://h?consistency=strong", "one of stale, default, consistent"),
            ("consul://h?ca=/x", "consuls://"),
            ("consul://u@h", "without a password"),
            ("consul://h/eu?datacenter=us", "twice"),
        ] {
            let error = config(url, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        for (variable, value) in [("CONSUL_HTTP_ADDR", "ftp://h"), ("CONSUL_HTTP_SSL", "yes")] {
            let error = config("consul://", &[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable), "{error}");
        }
    }
}
