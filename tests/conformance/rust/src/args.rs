//! The arguments of one step. Each is taken out as it is read, so that what nobody took is a mistake in the scenario.

use std::time::Duration;

use callsheet::{Error, host};
use serde_json::{Map, Value};

/// Why a call gave no answer.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The API's own error.
    Api(Error),
    /// The scenario is wrong, or the world around the call is.
    Wrong(String),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Fail::Api(error)
    }
}

pub(crate) fn wrong<T>(why: impl Into<String>) -> Result<T, Fail> {
    Err(Fail::Wrong(why.into()))
}

/// What is left of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args(pub(crate) Map<String, Value>);

impl Args {
    pub(crate) fn new(step: &Value) -> Result<Self, Fail> {
        match step {
            Value::Object(args) => Ok(Args(args.clone())),
            other => wrong(format!("{other} is no object")),
        }
    }

    fn typed<T>(&mut self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Fail> {
        let Some(value) = self.0.remove(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| Fail::Wrong(format!("{key} can't be {value}")))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, Fail> {
        self.typed(key, |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn need(&mut self, key: &str) -> Result<String, Fail> {
        self.text(key)?.ok_or_else(|| Fail::Wrong(format!("{key} is missing")))
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, Fail> {
        self.typed(key, Value::as_bool)
    }

    pub(crate) fn whole(&mut self, key: &str) -> Result<Option<i64>, Fail> {
        self.typed(key, Value::as_i64)
    }

    pub(crate) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Fail> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.typed(key, |value| value.as_array()?.iter().map(text).collect())
    }

    pub(crate) fn pairs(&mut self, key: &str) -> Result<Option<Vec<(String, String)>>, Fail> {
        let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        self.typed(key, |value| value.as_object()?.iter().map(pair).collect())
    }

    /// Seconds, refused by the API itself where they are no duration.
    pub(crate) fn seconds(&mut self, key: &str) -> Result<Option<Duration>, Fail> {
        let seconds = self.typed(key, Value::as_f64)?;
        Ok(seconds.map(|seconds| host::seconds(key, seconds)).transpose()?)
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Args, Fail> {
        Ok(self.typed(key, |value| value.as_object().cloned().map(Args))?.unwrap_or_default())
    }

    /// Nothing may be left that no verb understood.
    pub(crate) fn end(&self) -> Result<(), Fail> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => wrong(format!("this verb has no argument {key:?}")),
        }
    }
}
