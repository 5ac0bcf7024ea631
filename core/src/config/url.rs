//! The URL that names a registry. Secrets in it never leave this file but in a type that does not show them.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::consul::{Place, consul_url};
use super::options::{OptionValue, Options, is_option, nearest};
use super::remote::{Endpoint, dns_url, etcd_url};
use crate::error::{Error, Result};
use crate::instance::check_service;

const SCHEMES: [&str; 8] = ["local", "memory", "etcd", "etcds", "consul", "consuls", "static", "dns"];

/// Which registry a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Local,
    Memory,
    /// etcd, with or without TLS.
    Etcd {
        secure: bool,
    },
    /// Consul, with or without TLS.
    Consul {
        secure: bool,
    },
    /// A file.
    Static,
    Dns,
}

/// A registry's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// The URL as it may be shown: no user, no password, no options.
    pub(crate) source: String,
    /// `memory:name`, empty for a registry that is private to the client; of DNS what names end in.
    pub(crate) name: String,
    /// `local:///path`, `static:///path`.
    pub(crate) path: Option<PathBuf>,
    /// The servers of a registry that has some.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The agent of a registry that has one.
    pub(super) place: Option<Place>,
}

impl Url {
    /// Takes a URL apart; its query comes back as options.
    pub(super) fn parse(
        text: &str,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Options)> {
        let (body, query) = text.split_once('?').unwrap_or((text, ""));
        if let Some(shown) = cut_in_a_password(body, query) {
            return Err(Error::config(format!(
                "{shown:?}: write a '?' in a user name or password as %3F; what follows a '?' are options"
            )));
        }
        let source = redacted(body);
        let Some((scheme, rest)) = body.split_once(':') else {
            return Err(Error::config(format!(
                "{source:?} is not a registry URL: write a scheme and a colon first, such as local: or {}",
                "etcd://127.0.0.1:2379"
            )));
        };
        let scheme = scheme.to_ascii_lowercase();
        let Some(scheme) = SCHEMES.iter().find(|known| **known == scheme) else {
            return Err(Error::config(format!(
                "{source:?} names no registry: {}",
                nearest(&scheme, &SCHEMES)
            )));
        };
        let mut url = Url {
            scheme: Scheme::Memory,
            source,
            name: String::new(),
            path: None,
            endpoints: Vec::new(),
            place: None,
        };
        let mut told = Options::new();
        match *scheme {
            "memory" => {
                url.name = decoded(rest, &url.source)?;
                if !url.name.is_empty() {
                    check_service(&url.name).map_err(|_| {
                        Error::config(format!(
                            "{:?} is not a memory: URL: write memory: or memory:name, with letters, digits, '.', \
                             '_' and '-'",
                            url.source
                        ))
                    })?;
                }
            }
            "local" => {
                url.scheme = Scheme::Local;
                url.path = local_path(rest, &url.source)?;
            }
            "static" => {
                url.scheme = Scheme::Static;
                url.path = Some(static_path(rest, &url.source)?);
            }
            "etcd" | "etcds" => {
                let secure = *scheme == "etcds";
                url.scheme = Scheme::Etcd { secure };
                (url.endpoints, told) = etcd_url(secure, rest, &url.source, environment)?;
                if rest.trim_start_matches('/').is_empty() {
                    let hosts: Vec<_> = url.endpoints.iter().map(ToString::to_string).collect();
                    url.source = format!("{scheme}://{}", hosts.join(","));
                }
            }
            "consul" | "consuls" => {
                let found = consul_url(*scheme == "consuls", rest, &url.source, environment)?;
                url.scheme = Scheme::Consul { secure: found.secure };
                url.source = found.source;
                url.place = Some(found.place);
                told = found.options;
            }
            _ => {
                url.scheme = Scheme::Dns;
                (url.endpoints, url.name) = dns_url(rest, &url.source)?;
            }
        }
        Ok((url, told.and(options(query)?)?))
    }
}

/// `local:` has no path; `local:///a/b` has one, from the root.
fn local_path(rest: &str, source: &str) -> Result<Option<PathBuf>> {
    if rest.is_empty() || rest == "//" {
        return Ok(None);
    }
    let path = decoded(rest.strip_prefix("//").unwrap_or(rest), source)?;
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(Error::config(format!(
            "{source:?} is not a local: URL: write local: or local:///absolute/path/registry.db"
        )));
    }
    Ok(Some(PathBuf::from(path)))
}

/// `static:///a/b.toml`, from the root.
fn static_path(rest: &str, source: &str) -> Result<PathBuf> {
    let path = decoded(rest.strip_prefix("//").unwrap_or(rest), source)?;
    let known = path
        .rsplit_once('.')
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case("toml") || end.eq_ignore_ascii_case("json"));
    if !path.starts_with('/') || !known || path.contains('\0') {
        return Err(Error::config(format!(
            "{source:?} is not a static: URL: write static:///absolute/path/services.toml, or .json"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Several URLs with commas between them. What follows a comma is a URL if it begins as one: a URL may have commas itself.
pub(super) fn several(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        let scheme =
            part.trim_start().split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let begins = scheme.is_some_and(|(scheme, rest)| {
            let bare =
                matches!(&*scheme, "local" | "memory") && !rest.starts_with(|c: char| c.is_ascii_digit());
            SCHEMES.contains(&&*scheme) && (rest.starts_with("//") || bare)
        });
        match urls.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(part);
            }
            _ => urls.push(part.to_owned()),
        }
    }
    urls.iter().map(|url| url.trim().to_owned()).collect()
}

fn options(query: &str) -> Result<Options> {
    let mut options = Options::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            // Anything but an option's name may be the rest of a password.
            let what = match is_option(pair) {
                true => pair.to_owned(),
                false => format!("a part of {} characters", pair.chars().count()),
            };
            return Err(Error::config(format!(
                "the URL's query has {what} without a value: write name=value"
            )));
        };
        let value = decoded(value, name)?;
        if options.is_set(name) {
            return Err(Error::config(format!("the URL's query has {name} twice")));
        }
        options.set(name, OptionValue::Text(value))?;
    }
    Ok(options)
}

pub(super) fn decoded(text: &str, whole: &str) -> Result<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Error::config(format!("{whole:?} is not UTF-8 once its %xx are decoded"))),
    }
}

/// What to show of a URL whose first `?` seems to stand in a password: its scheme alone.
fn cut_in_a_password(body: &str, query: &str) -> Option<String> {
    let name = query.split(['=', '&']).next().unwrap_or_default();
    let cut = query.contains('@') && !body.contains('@') && !is_option(name);
    cut.then(|| format!("{}***", &body[..after_scheme(body)]))
}

/// A URL as it may be shown. Everything before the last `@` may be a password, whatever characters are in it.
pub(super) fn redacted(body: &str) -> String {
    let start = after_scheme(body);
    match body.rfind('@') {
        Some(at) if at >= start => format!("{}***{}", &body[..start], &body[at..]),
        _ => body.to_owned(),
    }
}

/// Where a scheme ends, if the text begins with one: `://` alone may stand in a password or a path too.
fn after_scheme(text: &str) -> usize {
    match text.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") => scheme.len() + 3,
        Some((scheme, _)) if SCHEMES.contains(&&*scheme.to_ascii_lowercase()) => scheme.len() + 1,
        _ => 0,
    }
}
