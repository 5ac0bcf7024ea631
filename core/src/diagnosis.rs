//! What a look at a registry finds, as plain data. Each registry tells its own findings below the seam; whoever shows
//! them, as `callsheet doctor` does, shows all alike.

use std::borrow::Cow;
#[cfg(any(feature = "etcd", feature = "cli"))]
use std::time::Duration;

use serde::Serialize;

/// Whether a finding is any trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but somebody may want to know.
    Note,
    /// Does not work, or will soon not work.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether it is any trouble.
    pub level: Level,
    /// What it is about, such as `file` or `clock`; findings of one topic follow one another.
    pub topic: &'static str,
    /// What was looked at within the topic.
    pub name: Cow<'static, str>,
    /// What was found, for a person. Without secrets.
    pub value: String,
    /// What to do about it; `None` where nothing is.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something as it should be.
    pub fn ok(topic: &'static str, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Finding { level: Level::Ok, topic, name: name.into(), value: value.into(), remedy: None }
    }

    /// The same, as a note with what could be done.
    #[must_use]
    pub fn note(self, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Note, remedy: Some(remedy.into()), ..self }
    }

    /// The same, as trouble with what to do about it.
    #[must_use]
    pub fn wrong(self, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Wrong, remedy: Some(remedy.into()), ..self }
    }
}

/// A size for a person.
#[cfg(any(feature = "etcd", feature = "local", test))]
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    let digits = usize::from(size < 10.0 && unit != "bytes");
    format!("{size:.digits$} {unit}")
}

/// A short time for a person.
#[cfg(any(feature = "etcd", feature = "cli"))]
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1536, 10 << 20, 3 << 40].map(bytes);
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "10 MiB", "3.0 TiB"]);
    }
}
