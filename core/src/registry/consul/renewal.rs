//! Keeping the checks of one instance from running out: one request each third of the TTL, on connections that nothing
//! which waits can take up.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
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

impl Renewed {
    /// Tells the status once, by every check that needs it. `Err(Ok(_))` if it is no use to try that again: the agent
    /// forgot the check, refuses us, or fails in a way that registering anew mends.
    pub(super) async fn once(&self) -> Result<(), Result<Error, Error>> {
        let told = self.told.lock().await;
        let (checks, record) = &*told;
        for check in checks {
            let rule = super::publication::write_rule(&record.instance.service);
            let ask = Ask::put(
                format!("/v1/agent/check/update/{}", encoded(check)),
                format!("renew {}/{}", record.instance.service, record.instance.id),
                rule,
            );
            match self.http.found(ask.body(definition::renewal(record))).await {
                Ok(Ok(_)) => {}
                Ok(Err((error, StatusCode::TOO_MANY_REQUESTS))) => return Err(Err(error)),
                Ok(Err((error, _))) => return Err(Ok(error)),
                Err(error) if error.code() == Code::Closed => return Err(Ok(error)),
                Err(error) => return Err(Err(error)),
            }
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
                Err(Ok(error)) => {
                    over.send_replace(Some(error));
                    return;
                }
                Err(Err(error)) if last.elapsed() >= self.ttl => {
                    over.send_replace(Some(error));
                    return;
                }
                Err(Err(_)) => sleep(backoff.next()).await,
            }
        }
    }
}
