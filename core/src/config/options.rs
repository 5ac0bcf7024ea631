//! The options of `connect` by name, as they come from arguments, a URL's query and the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one who has to send it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "***" })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Secret,
    Text,
    Duration,
    Count,
    List,
    Flag,
}

/// Every option.
const KNOWN: [(&str, Kind); 22] = [
    ("ca", Kind::Text),
    ("cache_dir", Kind::Text),
    ("cache_max_age", Kind::Duration),
    ("cache_size", Kind::Count),
    ("cert", Kind::Text),
    ("consistency", Kind::Text),
    ("datacenter", Kind::Text),
    ("drain", Kind::Duration),
    ("empty_hold", Kind::Duration),
    ("fallback", Kind::List),
    ("insecure", Kind::Flag),
    ("key", Kind::Text),
    ("near", Kind::Text),
    ("password", Kind::Secret),
    ("port", Kind::Count),
    ("prefix", Kind::Text),
    ("server_name", Kind::Text),
    ("timeout", Kind::Duration),
    ("token", Kind::Secret),
    ("token_file", Kind::Text),
    ("ttl", Kind::Duration),
    ("username", Kind::Text),
];

/// A value of an option as a language hands it over. Numbers are seconds where the option is a duration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptionValue {
    /// A text; durations are written `10s`, `500ms` or a bare number of seconds.
    Text(String),
    /// A number: seconds, or a count.
    Number(f64),
    /// A duration.
    Duration(Duration),
    /// Several texts.
    List(Vec<String>),
    /// Yes or no; as a text, `true` or `false`.
    Flag(bool),
}

impl From<&str> for OptionValue {
    fn from(text: &str) -> Self {
        OptionValue::Text(text.to_owned())
    }
}

impl From<String> for OptionValue {
    fn from(text: String) -> Self {
        OptionValue::Text(text)
    }
}

impl From<f64> for OptionValue {
    fn from(number: f64) -> Self {
        OptionValue::Number(number)
    }
}

impl From<bool> for OptionValue {
    fn from(flag: bool) -> Self {
        OptionValue::Flag(flag)
    }
}

impl From<Duration> for OptionValue {
    fn from(duration: Duration) -> Self {
        OptionValue::Duration(duration)
    }
}

impl From<Vec<String>> for OptionValue {
    fn from(list: Vec<String>) -> Self {
        OptionValue::List(list)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Secret(Secret),
    Text(String),
    Duration(Duration),
    Count(usize),
    List(Vec<String>),
    Flag(bool),
}

/// Options by name. Names and values are checked as they are set.
#[derive(Clone, Debug, Default)]
pub struct Options(BTreeMap<&'static str, Value>);

impl Options {
    /// No option set.
    pub fn new() -> Self {
        Self::default()
    }

    /// These options and `name`.
    ///
    /// # Errors
    /// `config` when there is no option of this name, or it takes another kind of value.
    pub fn with(mut self, name: &str, value: impl Into<OptionValue>) -> Result<Self> {
        self.set(name, value.into())?;
        Ok(self)
    }

    /// Sets `name`; see [`Options::with`].
    ///
    /// # Errors
    /// `config` when there is no option of this name, or it takes another kind of value.
    pub fn set(&mut self, name: &str, value: OptionValue) -> Result<()> {
        let Some((name, kind)) = KNOWN.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = KNOWN.iter().map(|(name, _)| *name).collect();
            return Err(Error::config(format!(
                "there is no option {:?}; {}",
                shortened(name),
                nearest(name, &names)
            )));
        };
        self.0.insert(name, Value::new(name, *kind, value)?);
        Ok(())
    }

    /// These and `others`, which are both parts of one URL.
    pub(super) fn and(mut self, others: Options) -> Result<Self> {
        for (name, value) in others.0 {
            if self.0.insert(name, value).is_some() {
                return Err(Error::config(format!("the URL has {name} twice, before its '?' and after it")));
            }
        }
        Ok(self)
    }

    /// These, and of `others` what is not set here.
    pub(super) fn over(mut self, others: Options) -> Self {
        for (name, value) in others.0 {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// `CALLSHEET_TTL` and so on.
    pub(super) fn from_environment(set: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut options = Options::new();
        for (name, _) in &KNOWN {
            let variable = format!("CALLSHEET_{}", name.to_ascii_uppercase());
            if let Some(text) = set(&variable) {
                options
                    .set(name, OptionValue::Text(text))
                    .map_err(|error| Error::config(format!("${variable}: {}", error.message())))?;
            }
        }
        Ok(options)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        match self.0.get(name) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Flag(true))
    }

    pub(super) fn duration(&self, name: &str, default: Duration) -> Result<Duration> {
        match self.0.get(name) {
            Some(Value::Duration(duration)) => Ok(*duration),
            _ => Ok(default),
        }
    }

    pub(super) fn count(&self, name: &str, default: usize) -> Result<usize> {
        match self.0.get(name) {
            Some(Value::Count(count)) => Ok(*count),
            _ => Ok(default),
        }
    }
}

impl Value {
    fn new(name: &str, kind: Kind, value: OptionValue) -> Result<Self> {
        let wrong = |expected: &str| Err(Error::config(format!("option {name} takes {expected}")));
        match (kind, value) {
            (Kind::Secret, OptionValue::Text(text)) => Ok(Value::Secret(Secret::new(text))),
            (Kind::Text, OptionValue::Text(text)) => Ok(Value::Text(text)),
            (Kind::Duration, OptionValue::Duration(duration)) => Ok(Value::Duration(duration)),
            (Kind::Duration, OptionValue::Number(number)) => duration(name, number).map(Value::Duration),
            (Kind::Duration, OptionValue::Text(text)) => parse_duration(name, &text).map(Value::Duration),
            (Kind::Count, OptionValue::Number(number))
                if number >= 0.0 && number.fract() == 0.0 && number < 1e9 =>
            {
                Ok(Value::Count(number as usize))
            }
            (Kind::Count, OptionValue::Text(text)) => match text.parse::<u32>() {
                Ok(count) => Ok(Value::Count(count as usize)),
                Err(_) => wrong("a whole number"),
            },
            (Kind::List, OptionValue::List(list)) => Ok(Value::List(list)),
            (Kind::List, OptionValue::Text(text)) => Ok(Value::List(super::url::several(&text))),
            (Kind::Flag, OptionValue::Flag(flag)) => Ok(Value::Flag(flag)),
            (Kind::Flag, OptionValue::Text(text)) => match truth(&text) {
                Some(flag) => Ok(Value::Flag(flag)),
                None => wrong("true or false"),
            },
            (Kind::Flag, _) => wrong("true or false"),
            (Kind::Secret | Kind::Text, _) => wrong("a text"),
            (Kind::Duration, _) => wrong("a duration"),
            (Kind::Count, _) => wrong("a whole number"),
            (Kind::List, _) => wrong("a list of texts"),
        }
    }
}

/// What Go's programs, and so Consul's and etcd's own, take for true and false.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn duration(name: &str, seconds: f64) -> Result<Duration> {
    super::seconds(name, seconds).map_err(|error| Error::config(error.message()))
}

/// `10s`, `500ms`, `2m`, `1h`, or a bare number of seconds.
fn parse_duration(name: &str, text: &str) -> Result<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>() {
        Ok(number) if scale.is_finite() => duration(name, number * scale),
        _ => Err(Error::config(format!(
            "{name}={:?} is not a duration: write 10s, 500ms, 2m, 1h or a number of seconds",
            shortened(text)
        ))),
    }
}

pub(super) fn is_option(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// At most 40 characters of a text that is quoted in a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A hint at what was meant: the known word nearest to `word`, or all of them.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    let word = shortened(word).to_lowercase();
    let similar = |known: &str| strsim::jaro_winkler(&word, known);
    match known.iter().max_by(|a, b| similar(a).total_cmp(&similar(b))) {
        Some(best) if similar(best) > 0.75 => format!("did you mean {best}?"),
        _ => format!("known are {}", known.join(", ")),
    }
}
