//! What a caller passed, as the core takes it. A wrong type is a `TypeError`, a wrong value `invalid_argument` in the
//! core's own words.

use std::time::Duration;

use callsheet::{Code, Error, host};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyMapping, PyString};

use crate::error::Result;
use crate::wait::FOREVER;

/// More elements than any limit allows: what is longer is not read to its end, which it may not have.
const ENOUGH: usize = 1 << 16;

fn wrong_type<T>(what: &str, wanted: &str, value: &Bound<'_, PyAny>) -> Result<T> {
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("{what} must be {wanted}, not {kind}")).into())
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// A text.
pub(crate) fn text(what: &str, value: &Bound<'_, PyAny>) -> Result<String> {
    match value.cast::<PyString>() {
        Ok(text) => utf8(what, text),
        Err(_) => wrong_type(what, "str", value),
    }
}

/// A str holds lone surrogates where a file name or an environment variable was not UTF-8.
fn utf8(what: &str, text: &Bound<'_, PyString>) -> Result<String> {
    let utf8 = text.to_str().map(str::to_owned);
    utf8.map_err(|_| invalid(format!("{what} is not valid Unicode: it has lone surrogates")).into())
}

/// One of several texts: what is no text is a wrong value here, as a text that is too long would be.
fn element(what: &str, value: &Bound<'_, PyAny>) -> Result<String> {
    match value.cast::<PyString>() {
        Ok(text) => utf8(what, text),
        Err(_) => Err(invalid(format!("{what} is not a str but {}", value.get_type().name()?)).into()),
    }
}

/// What a pick is chosen by: a str or bytes.
pub(crate) fn key(value: &Bound<'_, PyAny>) -> Result<Vec<u8>> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) if value.is_instance_of::<PyString>() => text("key", value).map(String::into_bytes),
        Err(_) => wrong_type("key", "str or bytes", value),
    }
}

/// Several texts, from any iterable but a str.
pub(crate) fn texts(what: &str, value: &Bound<'_, PyAny>) -> Result<Vec<String>> {
    let single = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>();
    let Ok(elements) = value.try_iter() else { return wrong_type(what, "a list of str", value) };
    if single {
        return wrong_type(what, "a list of str", value);
    }
    elements.take(ENOUGH).map(|value| element(&format!("an element of {what}"), &value?)).collect()
}

/// Pairs of texts, from any mapping.
pub(crate) fn pairs(what: &str, value: &Bound<'_, PyAny>) -> Result<Vec<(String, String)>> {
    let Ok(mapping) = value.cast::<PyMapping>() else {
        return wrong_type(what, "a mapping of str to str", value);
    };
    let pair = |pair: Bound<'_, PyAny>| {
        let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        Ok((element(&format!("a key of {what}"), &key)?, element(&format!("a value of {what}"), &value)?))
    };
    mapping.items()?.iter().take(ENOUGH).map(pair).collect()
}

/// A whole number. One that is too large for anything stays too large.
pub(crate) fn integer(what: &str, value: &Bound<'_, PyAny>) -> Result<i64> {
    if value.is_instance_of::<PyBool>() {
        return wrong_type(what, "int", value);
    }
    match value.extract::<i64>() {
        Ok(number) => Ok(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Ok(if value.lt(0)? { i64::MIN } else { i64::MAX })
        }
        Err(_) => wrong_type(what, "int", value),
    }
}

pub(crate) fn port(value: &Bound<'_, PyAny>) -> Result<u16> {
    Ok(host::check_port(integer("port", value)?)?)
}

pub(crate) fn weight(value: &Bound<'_, PyAny>) -> Result<u32> {
    Ok(host::check_weight(integer("weight", value)?)?)
}

/// A number of any size.
pub(crate) fn number(what: &str, value: &Bound<'_, PyAny>) -> Result<f64> {
    if value.is_instance_of::<PyBool>() || value.is_instance_of::<PyString>() {
        return wrong_type(what, "a number of seconds", value);
    }
    match value.extract::<f64>() {
        Ok(number) => Ok(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Ok(if value.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        Err(_) => wrong_type(what, "a number of seconds", value),
    }
}

/// A duration in seconds.
pub(crate) fn seconds(what: &str, value: &Bound<'_, PyAny>) -> Result<Duration> {
    Ok(host::seconds(what, number(what, value)?)?)
}

/// How long to wait; `None` is as long as it takes.
pub(crate) fn timeout(value: Option<&Bound<'_, PyAny>>) -> Result<Duration> {
    value.map_or(Ok(FOREVER), |value| Ok(seconds("timeout", value)?.min(FOREVER)))
}
