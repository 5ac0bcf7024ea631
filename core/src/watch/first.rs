//! Waiting for the first answer of a registry: what lookups do while nothing was ever loaded. A failure is told at
//! once rather than waited out, and a lookup after one brings the next try forward, within bounds.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::error::{Code, Error, Result};

/// A failure younger than this answers a lookup as it is, so that lookups never hammer a registry that is down.
const FRESH: Duration = Duration::from_millis(250);

pub(super) struct FirstLoad {
    outcome: watch::Sender<Outcome>,
    poke: Notify,
}

#[derive(Clone)]
enum Outcome {
    Loading,
    Loaded,
    Failed { error: Error, at: Instant },
    Closed,
}

impl FirstLoad {
    pub(super) fn new() -> Self {
        FirstLoad { outcome: watch::Sender::new(Outcome::Loading), poke: Notify::new() }
    }

    pub(super) fn loaded(&self) {
        self.outcome.send_if_modified(|outcome| {
            let first = !matches!(outcome, Outcome::Loaded | Outcome::Closed);
            if first {
                *outcome = Outcome::Loaded;
            }
            first
        });
    }

    /// It could not be read; the last try of that was begun at `at`, by whomever.
    pub(super) fn failed(&self, error: &Error, at: Instant) {
        self.outcome.send_if_modified(|outcome| {
            let still_first = !matches!(outcome, Outcome::Loaded | Outcome::Closed);
            if still_first {
                *outcome = Outcome::Failed { error: error.clone(), at };
            }
            still_first
        });
    }

    pub(super) fn close(&self) {
        self.outcome.send_replace(Outcome::Closed);
    }

    /// Resolves when somebody waits who would rather not wait for the backoff.
    pub(super) async fn poked(&self) {
        self.poke.notified().await;
    }

    /// Until something was loaded; `unavailable` when that fails or takes longer than `limit`.
    pub(super) async fn wait(&self, what: &str, source: &str, limit: Duration) -> Result<()> {
        let unavailable = |why: &str| {
            let message = format!("can't read {what} from {source}, and nothing was read before{why}");
            Error::new(Code::Unavailable, message)
        };
        let mut outcome = self.outcome.subscribe();
        let settled = async {
            loop {
                match outcome.borrow_and_update().clone() {
                    Outcome::Loaded => return Ok(()),
                    Outcome::Closed => return Err(Error::closed("client")),
                    Outcome::Failed { error, at } if at.elapsed() < FRESH => {
                        return Err(unavailable("").with_cause(error));
                    }
                    Outcome::Failed { .. } => self.poke.notify_one(),
                    Outcome::Loading => {}
                }
                if outcome.changed().await.is_err() {
                    return Err(Error::closed("client"));
                }
            }
        };
        match timeout(limit, settled).await {
            Ok(result) => result,
            // What it failed with last, while it was tried again, says more than that it took long.
            Err(_) => Err(match outcome.borrow().clone() {
                Outcome::Failed { error, .. } => unavailable("").with_cause(error),
                _ => {
                    let why = format!(
                        ": no answer within {limit:?}; check that the registry runs and is reachable"
                    );
                    unavailable(&why)
                }
            }),
        }
    }
}
