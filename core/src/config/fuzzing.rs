//! What holds for whatever a program is told to connect to. The input is a URL, then lines: `NAME=value` of an environment,
//! `name=value` of arguments.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::options::is_option;
use super::remote::MAX_ENDPOINTS;
use super::{
    Config, MAX_FALLBACKS, MAX_TTL, MAX_WAIT, MIN_TTL, OptionValue, Options, Remote, check_address, seconds,
};
use crate::error::{Code, Result};

/// Inputs have this where a secret stands.
const SECRET: &str = "hunter2";
/// From which variables hosts are taken.
const HOSTS: [&str; 2] = ["ETCDCTL_ENDPOINTS", "CONSUL_HTTP_ADDR"];

pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let url = lines.next().filter(|url| !url.is_empty());
    let told: HashMap<_, _> = lines.filter_map(|line| line.split_once('=')).collect();
    let environment = |name: &str| told.get(name).map(ToString::to_string);
    let result = arguments(&told).and_then(|options| Config::new(url, options, environment));
    let kept_secret = !url.is_some_and(|url| public(url).contains(SECRET))
        && !told.iter().any(|(name, value)| public_value(name, value).contains(SECRET));
    match &result {
        Ok(config) => {
            check(config);
            assert!(!kept_secret || !shown(config).contains(SECRET), "{}", shown(config));
            // What is shown of a registry leads to it, but for what is not shown.
            if !config.source().contains("***") {
                let hosts = |name: &str| HOSTS.contains(&name).then(|| environment(name)).flatten();
                let again = Config::new(Some(config.source()), Options::new(), hosts);
                assert_eq!(again.expect("what is shown is a URL").source(), config.source());
            }
        }
        Err(error) => {
            assert_eq!(error.code(), Code::Config, "{error}");
            assert!(!kept_secret || !format!("{error:?} {error}").contains(SECRET), "{error}");
        }
    }
}

/// Numbers as languages hand them over, else texts.
fn arguments(told: &HashMap<&str, &str>) -> Result<Options> {
    let mut options = Options::new();
    for (name, value) in told.iter().filter(|(name, _)| is_option(name)) {
        let value = match value.parse::<f64>() {
            Ok(number) => {
                let is_one = (0.0..u64::MAX as f64).contains(&number);
                assert!(!is_one || seconds(name, number).is_ok(), "{number}");
                OptionValue::Number(number)
            }
            Err(_) => OptionValue::from(*value),
        };
        options.set(name, value)?;
    }
    Ok(options)
}

/// What a person may get to see of it. A path is shown as it is, so that nothing in it is secret.
fn shown(config: &Config) -> String {
    let all = std::iter::once(config).chain(&config.fallbacks);
    let told: String = all.map(|one| format!("{} {}\n", one.source(), one.identity())).collect();
    let has_paths = config.url.path.is_some() || !config.fallbacks.is_empty();
    if has_paths { told } else { format!("{told}{config:?}") }
}

fn check(config: &Config) {
    assert!((MIN_TTL..=MAX_TTL).contains(&config.ttl));
    assert!(!config.timeout.is_zero() && config.timeout <= MAX_WAIT);
    assert!([config.drain, config.empty_hold, config.cache_max_age].iter().all(|wait| *wait <= MAX_WAIT));
    assert!(config.cache_size > 0 && config.port != Some(0));
    assert!([&config.cache_dir, &config.url.path].into_iter().flatten().all(|path| path.is_absolute()));
    assert!(config.url.endpoints.len() <= MAX_ENDPOINTS);
    for endpoint in &config.url.endpoints {
        assert!(endpoint.port > 0 && check_address(&endpoint.host).is_ok(), "{endpoint}");
    }
    if let Some(Remote { endpoints, credentials, prefix, .. }) = &config.remote {
        assert!(!endpoints.is_empty() && prefix.ends_with('/') && !prefix.contains('\0'));
        assert!(credentials.as_ref().is_none_or(|(name, _)| !name.is_empty()));
    }
    assert!(config.fallbacks.len() <= MAX_FALLBACKS);
    for fallback in &config.fallbacks {
        assert!(fallback.fallbacks.is_empty() && fallback.cache_dir.is_none());
        assert!(fallback.timeout <= config.timeout);
        check(fallback);
    }
}

/// A URL without its password and the options that are secret.
fn public(url: &str) -> String {
    let (body, query) = url.split_once('?').unwrap_or((url, ""));
    if !body.contains('@') && query.contains('@') && !is_option(query.split(['=', '&']).next().unwrap_or(""))
    {
        // The '?' is one of the password.
        return without_password(url);
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => {
            let value = percent_decode_str(value).decode_utf8_lossy();
            format!("{name}={}", public_value(&format!("CALLSHEET_{}", name.to_uppercase()), &value))
        }
        None => pair.to_owned(),
    });
    format!("{}?{}", without_password(body), pairs.collect::<Vec<_>>().join("&"))
}

fn without_password(url: &str) -> String {
    let start = url.find(':').map_or(0, |at| at + 1);
    let (Some(colon), Some(at)) = (url[start..].find(':').map(|at| start + at), url.rfind('@')) else {
        return url.to_owned();
    };
    if colon < at { format!("{}{}", &url[..colon], &url[at..]) } else { url.to_owned() }
}

/// What a variable or an argument has that is no secret.
fn public_value(name: &str, value: &str) -> String {
    match name {
        "CALLSHEET_PASSWORD" | "CALLSHEET_TOKEN" | "password" | "token" | "CONSUL_HTTP_TOKEN"
        | "ETCDCTL_PASSWORD" => String::new(),
        "ETCDCTL_USER" | "CONSUL_HTTP_AUTH" => value.split(':').next().unwrap_or_default().to_owned(),
        "CALLSHEET_URL" => public(value),
        "CALLSHEET_FALLBACK" | "fallback" if !value.contains(',') => public(value),
        "CONSUL_HTTP_ADDR" if value.starts_with("unix:") => value.to_owned(),
        // One host; several are told apart before anything is hidden.
        "ETCDCTL_ENDPOINTS" | "CONSUL_HTTP_ADDR" if !value.contains(',') => without_password(value),
        _ => value.to_owned(),
    }
}
