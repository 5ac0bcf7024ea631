//! Values of options that more than one command reads: durations and pairs.

use std::time::Duration;

use crate::config::seconds;
use crate::error::{Error, Result};
use crate::instance::quoted;

/// `10s`, `500ms`, `2m`, `1h`, or a bare number of seconds: as in URLs and the environment.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>() {
        Ok(number) if scale.is_finite() => seconds("duration", number * scale),
        _ => Err(Error::invalid(format!(
            "{} is not a duration: write 10s, 500ms, 2m, 1h or a number of seconds",
            quoted(text)
        ))),
    }
}

/// `key=value`; the value may contain `=`.
pub(super) fn pair(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::invalid(format!("{} is not a pair: write key=value", quoted(text)))),
    }
}

/// A time span for a person: `3s`, `5m`, `2h`, `4d`.
pub(super) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("1.5", 1500)]
        {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for bad in ["", "s", "10x", "2d", "-1", "nan", "inf", "1 s", "ten"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs() {
        assert_eq!(pair("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert_eq!(pair("a=").unwrap(), ("a".into(), String::new()));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }

    #[test]
    fn ages() {
        let text = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([0, 119, 120, 7199, 7200, 172_800].map(text), ["0s", "119s", "2m", "119m", "2h", "2d"]);
    }
}
