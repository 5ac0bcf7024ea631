//! The pick path against what changes under it, in every interleaving: the table of a picker is replaced, aged and closed
//! while picks are made, held and reported. With one instance, so that no choice depends on chance.

use std::sync::Arc;

use loom::thread::spawn;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::balancer::Balancer;
use super::endpoint::Endpoint;
use super::options::PickerOptions;
use super::outstanding::Outstanding;
use super::p2c::Estimate;
use super::pick::{Outcome, clock};
use super::policy::Policy;
use super::tally::{Bell, Tally};
use crate::error::Code;
use crate::instance::Instance;
use crate::snapshot::{Freshness, Snapshot};
use crate::sync::Mutex;
use crate::watch::Subscriber;

const SECOND: u64 = 1_000_000_000;

fn instance(weight: u32) -> Arc<Instance> {
    let mut instance = Instance::new("a", "h", 1);
    instance.weight = weight;
    Arc::new(instance)
}

fn snapshot(instance: &Arc<Instance>) -> Snapshot {
    let instances = Arc::new([instance.clone()]);
    Snapshot::new("a".into(), 1, instances, Freshness::Live, "memory:".into(), Instant::now(), None)
}

fn picker(instance: &Arc<Instance>) -> Arc<Shared> {
    let shared = Shared {
        balancer: Balancer::new(PickerOptions::new(Policy::P2c), Default::default()),
        filled: Notify::new(),
        service: "a".into(),
        source: "memory:".into(),
    };
    shared.offer(&snapshot(instance));
    Arc::new(shared)
}

/// Calls under way to the one instance.
fn pending(shared: &Shared) -> u32 {
    Endpoint::pending(&shared.balancer.table.load().endpoints[0])
}

fn in_a_thread<T: 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> T + 'static,
) -> loom::thread::JoinHandle<T> {
    let shared = shared.clone();
    spawn(move || work(&shared))
}

#[test]
fn no_call_is_counted_for_ever_or_twice_while_the_list_is_replaced() {
    loom::model(|| {
        let same = instance(1);
        let shared = picker(&same);
        let caller = in_a_thread(&shared, |shared| shared.pick(None).unwrap().done(true));
        let feed = in_a_thread(&shared, move |shared| shared.offer(&snapshot(&same)));
        // The one call, and for a moment the other table.
        assert!(pending(&shared) <= 2);
        caller.join().unwrap();
        feed.join().unwrap();
        assert_eq!(pending(&shared), 0);
    });
}

#[test]
fn a_pick_counts_though_the_table_ages_while_it_is_made() {
    loom::model(|| {
        let shared = picker(&instance(1));
        let held = shared.pick(None).unwrap();
        let caller = in_a_thread(&shared, |shared| shared.pick(None).unwrap());
        shared.balancer.age();
        let made = caller.join().unwrap();
        assert_eq!(pending(&shared), 2);
        drop((held, made));
        assert_eq!(pending(&shared), 0);
    });
}

#[test]
fn a_pick_counts_though_the_table_ages_again_while_it_is_made() {
    loom::model(|| {
        let shared = picker(&instance(1));
        let old = shared.pick(None).unwrap();
        shared.balancer.age();
        let caller = in_a_thread(&shared, |shared| shared.pick(None).unwrap());
        shared.balancer.age();
        let made = caller.join().unwrap();
        assert_eq!(pending(&shared), 1, "the old one has been held for too long, the other has not");
        drop((old, made));
        assert_eq!(pending(&shared), 0);
    });
}

#[test]
fn what_an_aged_pick_reports_reaches_the_heir() {
    loom::model(|| {
        let shared = picker(&instance(1));
        let held = shared.pick(None).unwrap();
        shared.balancer.age();
        let caller = spawn(move || held.done(false));
        let cost = |shared: &Shared| shared.balancer.table.load().endpoints[0].estimate.cost(clock(), 0);
        let before = cost(&shared);
        assert!(before == 0.0 || before >= 0.9e9, "{before}");
        caller.join().unwrap();
        assert!(cost(&shared) >= 0.9e9);
    });
}

#[test]
fn a_new_list_and_the_end_are_not_undone_by_ageing() {
    loom::model(|| {
        let shared = picker(&instance(1));
        let held = shared.pick(None).unwrap();
        let ageing = in_a_thread(&shared, |shared| shared.balancer.age());
        shared.offer(&snapshot(&instance(2)));
        assert_eq!(shared.pick(None).unwrap().instance().weight, 2);
        ageing.join().unwrap();
        assert_eq!(shared.pick(None).unwrap().instance().weight, 2);
        let ageing = in_a_thread(&shared, |shared| shared.balancer.age());
        shared.end();
        ageing.join().unwrap();
        assert_eq!(shared.pick(None).unwrap_err().code(), Code::Closed);
        drop(held);
    });
}

#[test]
fn an_estimate_is_one_of_those_that_were_made() {
    loom::model(|| {
        // Halves of two of these in one word would be a third figure.
        let samples = [(40 * SECOND, 50 * SECOND), (2 * SECOND, 1000 * SECOND)];
        let after = |order: &[usize]| {
            let estimate = Estimate::default();
            order.iter().for_each(|&at| estimate.observe(samples[at].0, false, samples[at].1));
            estimate.cost(1000 * SECOND, 0)
        };
        let figures = [after(&[]), after(&[0]), after(&[1]), after(&[0, 1]), after(&[1, 0])];
        let estimate = Arc::new(Estimate::default());
        let callers = samples.map(|(latency, now)| {
            let estimate = estimate.clone();
            spawn(move || estimate.observe(latency, false, now))
        });
        // The last to begin: loom does not see that a read comes before two writers, each of which reads first.
        let reader = spawn({
            let estimate = estimate.clone();
            move || estimate.cost(1000 * SECOND, 0)
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        let (during, after) = (reader.join().unwrap(), estimate.cost(1000 * SECOND, 0));
        assert!(figures.contains(&during), "{during} is none of {figures:?}");
        assert!(figures[1..].contains(&after), "{after} is none of {figures:?}");
    });
}

#[test]
fn of_two_reports_of_one_ticket_one_counts() {
    loom::model(|| {
        let shared = picker(&instance(1));
        let picks = Arc::new(Mutex::new(Outstanding::default()));
        let ticket = picks.lock().unwrap().add(shared.pick(None).unwrap()).0;
        let caller = {
            let (picks, shared) = (picks.clone(), shared.clone());
            spawn(move || {
                let reported = picks.lock().unwrap().done(ticket, Outcome::Ok);
                let mine = picks.lock().unwrap().add(shared.pick(None).unwrap()).0;
                assert!(picks.lock().unwrap().done(mine, Outcome::Ok));
                reported
            })
        };
        let here = picks.lock().unwrap().done(ticket, Outcome::Failed);
        assert!(here != caller.join().unwrap());
        assert!(picks.lock().unwrap().is_empty() && pending(&shared) == 0);
    });
}

/// Whether somebody has to look since the last time.
fn rang(bell: &Bell) -> bool {
    let rung = bell.rung.notified();
    tokio::pin!(rung);
    rung.enable()
}

#[test]
fn no_failure_is_lost_where_an_interval_ends() {
    loom::model(|| {
        let (tally, bell) = (Arc::new(Tally::default()), Arc::new(Bell::new(2)));
        tally.count();
        bell.count(true);
        let callers = [(); 2].map(|()| {
            let (tally, bell) = (tally.clone(), bell.clone());
            spawn(move || tally.failed(&bell))
        });
        let ended = tally.take().failed;
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(ended + tally.take().failed, 2);
        assert!(tally.run() == 2 && rang(&bell));
    });
}

#[test]
fn a_failure_is_heard_of_though_a_success_ended_as_counting_did() {
    loom::model(|| {
        let (tally, bell) = (Arc::new(Tally::default()), Bell::new(0));
        tally.count();
        bell.count(true);
        let caller = spawn({
            let tally = tally.clone();
            move || tally.succeeded()
        });
        bell.count(false);
        tally.rest();
        caller.join().unwrap();
        tally.failed(&bell);
        assert!(rang(&bell));
    });
}

#[test]
fn an_ejection_and_a_new_list_do_not_undo_one_another() {
    loom::model(|| {
        let failing = instance(1);
        let other = |weight| {
            let mut other = Instance::new("a", "h", 2);
            other.weight = weight;
            Arc::new(other)
        };
        let shared = picker(&failing);
        shared.balancer.offer(&[failing.clone(), other(1)], Instant::now());
        let at_fault = shared.balancer.table.load().endpoints[0].clone();
        (0..5).for_each(|_| at_fault.count(true));
        let tending = in_a_thread(&shared, |shared| shared.balancer.tend(Instant::now()));
        shared.balancer.offer(&[failing, other(2)], Instant::now());
        tending.join().unwrap();
        let pick = shared.pick(None).unwrap();
        assert_eq!((pick.port(), pick.instance().weight), (2, 2));
        assert_eq!(shared.balancer.ejected().len(), 1);
    });
}
