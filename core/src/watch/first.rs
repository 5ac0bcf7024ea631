//! Waiting for the first answer of a registry: what lookups do while nothing was ever loaded. A failure is told at
//! once rather than waited out, and a lookup after one brings the next try forward, within bounds.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::error::{Code, Error, Result};

/// A failure younger than this answers a lookup as it is, so that lookups never hammer a registry that is down.
const FRESH: Duration = Duration::from_millis(250);
const ADVICE: &str = "; check that the registry runs and is reachable";

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

    pub(super) fn failed(&self, error: &Error) {
        self.outcome.send_if_modified(|outcome| {
            let still_first = !matches!(outcome, Outcome::Loaded | Outcome::Closed);
            if still_first {
                *outcome = Outcome::Failed { error: error.clone(), at: Instant::now() };
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
        let unavailable = |when: &str, advice: &str| {
            let text = format!("can't read {what} from {source}{when}, and nothing was read before{advice}");
            Error::new(Code::Unavailable, text)
        };
        let mut outcome = self.outcome.subscribe();
        let settled = async {
            loop {
                match outcome.borrow_and_update().clone() {
                    Outcome::Loaded => return Ok(()),
                    Outcome::Closed => return Err(Error::closed("client")),
                    Outcome::Failed { error, at } if at.elapsed() < FRESH => {
                        // A registry that answers needs something else, which the cause says.
                        let advice = if error.retryable() { ADVICE } else { "" };
                        return Err(unavailable("", advice).with_cause(error));
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
            Err(_) => Err(unavailable(&format!(" within {limit:?}"), ADVICE)),
        }
    }
}
