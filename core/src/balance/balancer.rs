//! From a service's list to a table: who may be called, who is preferred, and what each weighs. Owns the table that
//! picks read and everything that replaces it; never waits and asks no clock, so that a simulation can drive it too.

use std::collections::HashMap;
use std::sync::PoisonError;

use tokio::time::Instant;

use super::choose::Chooser;
use super::ejection::Records;
use super::endpoint::Endpoint;
use super::options::PickerOptions;
use super::table::{Candidate, Table};
use super::tally::Bell;
use super::{panic, slow_start, subset, zone};
use crate::instance::{Instance, Status};
use crate::stats::Counters;
use crate::sync::{Arc, ArcSwap, Mutex, MutexGuard};

pub(super) struct Balancer {
    pub(super) table: ArcSwap<Table>,
    pub(super) chooser: Chooser,
    pub(super) options: PickerOptions,
    /// Rung when [`Balancer::tend`] is to be called before it said.
    pub(super) bell: std::sync::Arc<Bell>,
    seed: u64,
    counters: std::sync::Arc<Counters>,
    /// Held by who replaces the table; picks only read it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A list was offered: whoever comes from now on is a newcomer.
    begun: bool,
    records: Records,
    /// Newcomers that do not have their whole share yet, and since when they are here.
    since: HashMap<String, Instant>,
    /// When the interval of success rates ends, while there is anything to see.
    sweep: Option<Instant>,
    /// When the shares of newcomers grow next.
    step: Option<Instant>,
}

impl Balancer {
    pub(super) fn new(options: PickerOptions, counters: std::sync::Arc<Counters>) -> Self {
        let run = options.ejection.as_ref().map_or(0, |ejection| ejection.consecutive_failures);
        Balancer {
            table: ArcSwap::from_pointee(Table::empty()),
            chooser: Chooser::new(options.policy, options.ejection.is_some()),
            bell: std::sync::Arc::new(Bell::new(run)),
            seed: subset::seed(options.client_id.as_deref()),
            options,
            counters,
            state: Mutex::default(),
        }
    }

    /// Takes over the service's list, sorted by id. Says whether there is anything to pick.
    pub(super) fn offer(&self, instances: &[std::sync::Arc<Instance>], now: Instant) -> bool {
        let mut state = self.lock();
        let table = self.table.load();
        let (endpoints, new) = table.follow(instances, &self.bell);
        let is_there = |id: &str| instances.binary_search_by(|instance| instance.id.as_str().cmp(id)).is_ok();
        state.records.retain(is_there);
        state.since.retain(|id, _| is_there(id));
        let slowly = !self.options.slow_start.is_zero() && state.begun;
        for id in new {
            state.records.forget(&id);
            if slowly {
                state.since.insert(id, now);
            }
        }
        if slowly && state.step.is_none() && !state.since.is_empty() {
            state.step = Some(now);
            self.bell.rung.notify_one();
        }
        if state.sweep.is_some() {
            endpoints.iter().for_each(|endpoint| endpoint.tally.count());
        }
        state.begun = true;
        self.arrange(&state, &table, endpoints, now)
    }

    /// Nothing can be picked any more.
    pub(super) fn close(&self) {
        let _state = self.lock();
        self.table.store(std::sync::Arc::new(Table::closed()));
    }

    /// Lets picks that were under way the last time count no more.
    pub(super) fn age(&self) {
        let _state = self.lock();
        let table = self.table.load().aged();
        self.table.store(std::sync::Arc::new(table));
    }

    /// Ejects, lets return, and gives newcomers more. Says when to look again at the latest, if there is anything to
    /// look after.
    pub(super) fn tend(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let table = self.table.load();
        if table.is_closed() {
            return None;
        }
        let before = state.records.ejections();
        let judged = self.judge(&mut state, &table, now);
        self.counters.ejections.add(state.records.ejections() - before);
        let grown = self.grow(&mut state, now);
        if judged || grown {
            let endpoints = table.all().into_iter().cloned().collect();
            self.arrange(&state, &table, endpoints, now);
        }
        state.sweep.into_iter().chain(state.step).min()
    }

    /// Instances that are ejected now.
    pub(super) fn ejected(&self) -> Vec<std::sync::Arc<Instance>> {
        let state = self.lock();
        let table = self.table.load();
        let out = table.all().into_iter().map(|endpoint| &endpoint.instance);
        out.filter(|instance| state.records.are_out(&instance.id)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody was ejected or returns.
    fn judge(&self, state: &mut State, table: &Table, now: Instant) -> bool {
        let Some(ejection) = &self.options.ejection else { return false };
        let callable: Vec<_> =
            table.all().into_iter().filter(|endpoint| self.is_callable(&endpoint.instance)).collect();
        let struck = ejection.strike(&callable, &mut state.records, now);
        match state.sweep {
            Some(end) if end > now => struck,
            Some(_) => {
                let failing = callable.iter().any(|endpoint| endpoint.tally.calls().failed > 0);
                let swept = ejection.sweep(&callable, &mut state.records, now);
                let busy = failing || !state.records.is_empty();
                state.sweep = busy.then(|| now + ejection.interval);
                if !busy {
                    self.bell.count(false);
                    table.all().iter().for_each(|endpoint| endpoint.tally.rest());
                }
                struck || swept
            }
            None => {
                if struck || callable.iter().any(|endpoint| endpoint.tally.calls().failed > 0) {
                    self.bell.count(true);
                    // Calls that went well before the first failure are of no interval.
                    for endpoint in &callable {
                        endpoint.tally.take();
                    }
                    state.sweep = Some(now + ejection.interval);
                }
                struck
            }
        }
    }

    /// Whether the shares of newcomers are larger now.
    fn grow(&self, state: &mut State, now: Instant) -> bool {
        let window = self.options.slow_start;
        if state.step.is_none_or(|step| step > now) {
            return false;
        }
        state.since.retain(|_, since| now - *since < window);
        state.step = (!state.since.is_empty()).then(|| now + slow_start::step(window));
        true
    }

    /// Whether it counts for the panic threshold, and may be used below it.
    fn is_callable(&self, instance: &Instance) -> bool {
        !self.options.filter.wants_healthy() || !(instance.status == Status::Draining || instance.lapsed)
    }

    /// Makes the table of these endpoints, sorted by id. Says whether there is anything to pick.
    fn arrange(&self, state: &State, before: &Table, endpoints: Vec<Arc<Endpoint>>, now: Instant) -> bool {
        let PickerOptions { policy, filter, panic_threshold, .. } = &self.options;
        let is_good = |instance: &Instance| {
            (!filter.wants_healthy() || instance.is_healthy()) && !state.records.are_out(&instance.id)
        };
        let those = |is_wanted: &dyn Fn(&Instance) -> bool| -> Vec<usize> {
            (0..endpoints.len()).filter(|&at| is_wanted(&endpoints[at].instance)).collect()
        };
        let mut callable = those(&|instance| self.is_callable(instance));
        if callable.is_empty() {
            // All of them at once: more likely the renewals do not get through than that everybody is dead.
            callable = those(&|instance| instance.status != Status::Draining);
        }
        let good: Vec<_> = callable.iter().copied().filter(|&at| is_good(&endpoints[at].instance)).collect();
        let usable =
            if panic::panics(good.len(), callable.len(), *panic_threshold) { callable } else { good };
        let weights = self.weights(&endpoints, usable, state, now);

        let mut weights = weights.into_iter().peekable();
        let (mut candidates, mut rest) = (Vec::new(), Vec::new());
        for (at, endpoint) in endpoints.into_iter().enumerate() {
            match weights.next_if(|weight| weight.0 == at) {
                Some((_, weight)) => candidates.push(Candidate { endpoint, weight }),
                None => rest.push(endpoint),
            }
        }
        let table = before.next(*policy, candidates, rest);
        let filled = !table.is_empty();
        self.table.store(std::sync::Arc::new(table));
        filled
    }

    /// Those of `usable` to choose from, in order, and what each weighs.
    fn weights(
        &self,
        endpoints: &[Arc<Endpoint>],
        usable: Vec<usize>,
        state: &State,
        now: Instant,
    ) -> Vec<(usize, f64)> {
        let PickerOptions { policy, prefer_zone: zone, subset, slow_start, .. } = &self.options;
        let instance = |at: usize| &*endpoints[at].instance;
        let own = |at: usize| if policy.weighs() { f64::from(instance(at).weight.max(1)) } else { 1.0 };
        let part = |members: Vec<usize>, size: Option<usize>| match size {
            Some(size) => subset::subset(members, size, self.seed, |at| &instance(at).id),
            None => members,
        };
        let share = zone.as_deref().and_then(|zone| {
            zone::own_share(zone, usable.iter().map(|&at| (instance(at).zone.as_str(), own(at))))
        });
        let mut weights: Vec<_> = match share {
            None => part(usable, *subset).into_iter().map(|at| (at, own(at))).collect(),
            Some(share) => {
                let is_near = |&at: &usize| Some(&instance(at).zone) == zone.as_ref();
                let (near, far): (Vec<_>, Vec<_>) = usable.into_iter().partition(is_near);
                let of = |share: f64| subset.map(|size| ((size as f64 * share).round() as usize).max(1));
                let scaled = |members: Vec<usize>, share: f64| {
                    let total: f64 = members.iter().map(|&at| own(at)).sum();
                    members.into_iter().map(move |at| (at, own(at) * share / total)).collect::<Vec<_>>()
                };
                if share == 1.0 {
                    part(near, *subset).into_iter().map(|at| (at, own(at))).collect()
                } else {
                    let mut both = scaled(part(near, of(share)), share);
                    both.extend(scaled(part(far, of(1.0 - share)), 1.0 - share));
                    both.sort_unstable_by_key(|weight| weight.0);
                    both
                }
            }
        };
        if !policy.has_key() {
            for (at, weight) in &mut weights {
                if let Some(since) = state.since.get(&instance(*at).id) {
                    *weight *= slow_start::share(now - *since, *slow_start);
                }
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Policy;

    #[test]
    fn lapsed_instances_are_not_counted_and_only_used_when_there_are_no_others() {
        let balancer = Balancer::new(PickerOptions::new(Policy::RoundRobin), Default::default());
        let with = |statuses: &[(Status, bool)]| {
            let list = statuses.iter().zip(1..).map(|(&(status, lapsed), port)| {
                let mut instance = Instance::new("billing", "10.0.0.1", port);
                (instance.status, instance.lapsed) = (status, lapsed);
                std::sync::Arc::new(instance)
            });
            balancer.offer(&list.collect::<Vec<_>>(), Instant::now());
            balancer.table.load().len()
        };
        let (good, bad, gone) =
            ((Status::Passing, false), (Status::Critical, false), (Status::Critical, true));
        assert_eq!(with(&[good, gone, gone, gone]), 1, "one of four is all there is");
        assert_eq!(with(&[good, bad, gone, gone]), 1, "half of two is enough");
        assert_eq!(with(&[good, bad, bad, gone]), 3, "a third is not");
        assert_eq!(with(&[gone, gone]), 2, "there is nobody else");
        assert_eq!(with(&[gone, (Status::Draining, false)]), 1);
        assert_eq!(with(&[gone, bad]), 1);
    }

    #[test]
    fn without_a_threshold_only_the_healthy_ones_are_used() {
        let options = PickerOptions::new(Policy::RoundRobin).panic_threshold(0);
        let balancer = Balancer::new(options, Default::default());
        let mut gone = Instance::new("billing", "10.0.0.1", 1);
        (gone.status, gone.lapsed) = (Status::Critical, true);
        assert!(!balancer.offer(&[std::sync::Arc::new(gone)], Instant::now()));
    }
}
