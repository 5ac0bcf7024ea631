//! A picker driven by hand: the tables, policies and ejection of a real one, with time passed in and randomness that a
//! seed fixes. For simulations; no part of the API.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::balancer::Balancer;
use super::hash::hash;
use super::options::PickerOptions;
use super::pick::{Outcome, Pick};
use super::random;
use crate::error::Result;
use crate::instance::Instance;

/// Makes all that this thread chooses from now on the same in every run.
pub fn seed(seed: u64) {
    random::seed(seed);
}

/// A picker without a client. Times are since its beginning and never go back.
pub struct SimulatedPicker {
    balancer: Balancer,
    begun: Instant,
}

impl SimulatedPicker {
    /// With nothing to pick.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn new(options: PickerOptions) -> Result<Self> {
        options.validate()?;
        Ok(SimulatedPicker { balancer: Balancer::new(options, Default::default()), begun: Instant::now() })
    }

    /// Takes over a list, sorted by id.
    pub fn offer(&self, instances: &[Arc<Instance>], now: Duration) {
        self.balancer.offer(instances, self.begun + now);
    }

    /// As [`Picker::pick_key`](crate::Picker::pick_key).
    pub fn pick(&self, key: Option<&[u8]>, now: Duration) -> Option<Pick> {
        let table = self.balancer.table.load();
        self.balancer.chooser.choose(&table, key.map(hash), || clock(now)).map(Pick::from)
    }

    /// As [`Pick::done`]. Says whether [`SimulatedPicker::tend`] is to be called.
    pub fn done(&self, pick: Pick, outcome: Outcome, now: Duration) -> bool {
        pick.report(outcome, || clock(now));
        let rung = self.balancer.bell.rung.notified();
        tokio::pin!(rung);
        rung.enable()
    }

    /// Ejects, lets return, and gives newcomers more. Says when to call it again at the latest.
    pub fn tend(&self, now: Duration) -> Option<Duration> {
        self.balancer.tend(self.begun + now).map(|due| due - self.begun)
    }

    /// How many instances it picks from.
    pub fn len(&self) -> usize {
        self.balancer.table.load().len()
    }

    /// Whether there is nothing to pick.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// As the clock of picks: never 0.
fn clock(now: Duration) -> u64 {
    now.as_nanos() as u64 | 1
}
