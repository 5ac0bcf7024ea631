//! The policies by name. What each does is its own file; which of them takes a key or a weight is said here.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::instance::quoted;

/// How a picker chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Each in turn.
    RoundRobin,
    /// Any.
    Random,
    /// The better of two random ones by peak EWMA of latency times calls under way: adapts to slow instances.
    #[default]
    P2c,
    /// Each in turn, as often as its weight says, the turns of a heavy one spread between those of the others.
    Weighted,
    /// The one with the fewest calls under way for its weight; looks at all of them until it finds an idle one.
    LeastOutstanding,
    /// The same instance for the same key ([`Picker::pick_key`](crate::Picker::pick_key)), on a ring: when an instance
    /// comes or goes, only its own keys move. A few hundred kilobytes per picker of a hundred instances.
    RingHash,
    /// The same with a table of 65,537 places: faster and more even than the ring, while a change moves a few keys of
    /// the others too. 128 KiB per picker.
    Maglev,
}

impl Policy {
    /// Every policy.
    pub const ALL: &'static [Policy] = &[
        Policy::RoundRobin,
        Policy::Random,
        Policy::P2c,
        Policy::Weighted,
        Policy::LeastOutstanding,
        Policy::RingHash,
        Policy::Maglev,
    ];

    /// The word that every language uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::RoundRobin => "round_robin",
            Policy::Random => "random",
            Policy::P2c => "p2c",
            Policy::Weighted => "weighted",
            Policy::LeastOutstanding => "least_outstanding",
            Policy::RingHash => "ring_hash",
            Policy::Maglev => "maglev",
        }
    }

    /// Whether an instance's weight counts.
    pub(super) fn weighs(self) -> bool {
        matches!(self, Policy::Weighted | Policy::LeastOutstanding | Policy::RingHash | Policy::Maglev)
    }

    /// Whether it chooses by a key.
    pub(super) fn has_key(self) -> bool {
        matches!(self, Policy::RingHash | Policy::Maglev)
    }

    /// Whether it asks how many calls are under way.
    pub(super) fn counts_calls(self) -> bool {
        matches!(self, Policy::P2c | Policy::LeastOutstanding)
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Policy::ALL.iter().copied().find(|policy| policy.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Policy::ALL.iter().map(|policy| policy.as_str()).collect();
            Error::invalid(format!("there is no policy {}; it is one of {}", quoted(text), words.join(", ")))
        })
    }
}
