//! What a picker is opened with: a policy, a filter, and what stands between the service's list and the policy.

use std::time::Duration;

use super::ejection::Ejection;
use super::panic;
use super::policy::Policy;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::instance::check_label;

const LONGEST_START: Duration = Duration::from_secs(3600);

/// How a picker chooses, and from whom. The default is [`Policy::P2c`] over every healthy instance, with ejection.
///
/// ```
/// # callsheet::block_on(async {
/// # let client = callsheet::Client::connect("memory:doc-options")?;
/// # client.register(callsheet::Registration::new("billing").port(8080)).await?;
/// use callsheet::{Filter, PickerOptions, Policy};
/// let options = PickerOptions::new(Policy::LeastOutstanding)
///     .filter(Filter::new().version("2"))
///     .prefer_zone("eu-1");
/// let picker = client.open_picker("billing", options).await?;
/// # Ok::<(), callsheet::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct PickerOptions {
    pub(crate) policy: Policy,
    pub(crate) filter: Filter,
    pub(super) prefer_zone: Option<String>,
    pub(super) subset: Option<usize>,
    pub(super) client_id: Option<String>,
    pub(super) ejection: Option<Ejection>,
    pub(super) panic_threshold: u32,
    pub(super) slow_start: Duration,
}

impl Default for PickerOptions {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl PickerOptions {
    /// With this policy, and the defaults.
    pub fn new(policy: Policy) -> Self {
        PickerOptions {
            policy,
            filter: Filter::new(),
            prefer_zone: None,
            subset: None,
            client_id: None,
            ejection: Some(Ejection::new()),
            panic_threshold: panic::THRESHOLD,
            slow_start: Duration::ZERO,
        }
    }

    /// Picks only from instances that this lets through. Default: every healthy one.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Prefers instances in this zone, as long as they can take their part: an instance there gets up to 1.4 times the
    /// average before calls go elsewhere too. Assumes that there are as many callers in each zone. Default: none.
    #[must_use]
    pub fn prefer_zone(mut self, zone: impl Into<String>) -> Self {
        self.prefer_zone = Some(zone.into());
        self
    }

    /// Picks only from so many of the instances, others in each client, so that not all clients keep connections to all
    /// instances. Some tens, and enough clients for each instance to be chosen often: loads differ by about the root of
    /// the clients that each has. At least 1. Default: all.
    #[must_use]
    pub fn subset(mut self, size: usize) -> Self {
        self.subset = Some(size);
        self
    }

    /// Names this client, for it to have the same subset after a restart: different in each client, such as the name of
    /// its pod. Default: random in each process.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// When an instance is not called for a while because its calls fail; `None` for never. Needs reports
    /// ([`Pick::done`](crate::Pick::done)). Default: [`Ejection::new`].
    #[must_use]
    pub fn ejection(mut self, ejection: impl Into<Option<Ejection>>) -> Self {
        self.ejection = ejection.into();
        self
    }

    /// Healthy instances, in percent, below which those that are warning, critical or ejected are used too; draining
    /// ones never are. Those that nobody renews any more (Consul lists them as critical for minutes after a crash) do
    /// not count, and are used only when there are no others. 0 to 100, 0 for never. Default: 50. Without meaning for a
    /// filter that takes unhealthy ones.
    #[must_use]
    pub fn panic_threshold(mut self, percent: u32) -> Self {
        self.panic_threshold = percent;
        self
    }

    /// Time in which an instance that comes when others are known gets more and more calls, from a tenth of its share to
    /// the whole. Up to an hour; not for the policies with a key. Default: 0, the whole at once.
    #[must_use]
    pub fn slow_start(mut self, window: Duration) -> Self {
        self.slow_start = window;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check_label("prefer_zone", self.prefer_zone.as_deref().unwrap_or_default())?;
        if self.subset == Some(0) {
            return Err(Error::invalid("subset 0 leaves nothing to pick: use at least 1"));
        }
        if self.panic_threshold > 100 {
            return Err(Error::invalid(format!(
                "panic_threshold {} is not allowed: use 0 to 100 percent",
                self.panic_threshold
            )));
        }
        if self.slow_start > LONGEST_START {
            return Err(Error::invalid(format!(
                "slow_start {:?} is not allowed: use at most {LONGEST_START:?}",
                self.slow_start
            )));
        }
        self.ejection.as_ref().map_or(Ok(()), Ejection::validate)
    }

    /// What the picker has to see: also those that panic makes it use.
    pub(crate) fn seen(&self) -> Filter {
        let panics = self.filter.wants_healthy() && self.panic_threshold > 0;
        if panics { self.filter.clone().healthy(false) } else { self.filter.clone() }
    }
}
