//! Keeping the checks of one instance from running out: one request each third of the TTL, on connections that nothing
//! which waits can take up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::definition;
use super::http::{Ask, Http, encoded};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::error::{Code, Error, Result};
use crate::registry::Record;

/// What is renewed, shared by the renewal and whoever changes the status.
pub(super) struct Renewed {
    pub(super) http: Arc<Http>,
    pub(super) ttl: Duration,
    /// The checks to renew and what is told by them. Held while a request is under way, so that an old status never
    /// overtakes a new one.
    pub(super) told: Mutex<(Vec<String>, Arc<Record>)>,
}

/// Whether a refusal means that the agent knows nothing of the check.
fn forgotten(error: &Error) -> bool {
    ["Unknown check", "Unknown service", "does not have associated TTL", "(Consul said: status 404"]
        .iter()
        .any(|text| error.message().contains(text))
}

impl Renewed {
    /// Tells the status once, by every check that needs it.
    pub(super) async fn once(&self) -> Result<()> {
        let told = self.told.lock().await;
        let (checks, record) = &*told;
        for check in checks {
            let rule = super::publication::write_rule(&record.instance.service);
            let ask = Ask::put(
                format!("/v1/agent/check/update/{}", encoded(check)),
                format!("renew {}/{}", record.instance.service, record.instance.id),
                rule,
            );
            self.http.call(ask.body(definition::renewal(record))).await?;
        }
        Ok(())
    }

    /// Renews until that is no use any more, and says why.
    pub(super) async fn run(&self, phase: f64, over: &watch::Sender<Option<Error>>) {
        let period = self.ttl / 3;
        let mut backoff = Backoff::new(MAX_RETRY.min(period));
        let mut due = Instant::now() + period.mul_f64(phase);
        let mut last = Instant::now();
        loop {
            sleep_until(due).await;
            match self.once().await {
                Ok(()) => {
                    last = Instant::now();
                    backoff.reset();
                    while due <= last {
                        due += period;
                    }
                }
                Err(error) if error.refused() || forgotten(&error) || error.code() == Code::Closed => {
                    over.send_replace(Some(error));
                    return;
                }
                Err(error) if last.elapsed() >= self.ttl => {
                    over.send_replace(Some(error));
                    return;
                }
                Err(_) => sleep(backoff.next()).await,
            }
        }
    }
}
