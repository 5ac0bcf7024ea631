//! What a look at a registry finds, as plain data. Each registry tells its own findings below the seam; whoever shows
//! them, as `callsheet doctor` does, shows all alike.

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
    pub name: &'static str,
    /// What was found, for a person. Without secrets.
    pub value: String,
    /// What to do about it; `None` where nothing is.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something as it should be.
    pub fn ok(topic: &'static str, name: &'static str, value: impl Into<String>) -> Self {
        Finding { level: Level::Ok, topic, name, value: value.into(), remedy: None }
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
