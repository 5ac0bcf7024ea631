//! Picking instances and reporting how calls went.

mod common;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use callsheet::memory::Memory;
use callsheet::{CallError, Code, Instance, Outcome, PickerOptions, Policy};
use common::*;
use tokio::time::Instant;

fn put(memory: &Memory, ports: std::ops::RangeInclusive<u16>) {
    for port in ports {
        memory.put(Instance::new("billing", "10.0.0.1", port)).unwrap();
    }
}

fn error(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

#[tokio::test(start_paused = true)]
async fn round_robin_takes_each_in_turn() {
    let (url, memory) = registry();
    put(&memory, 1..=5);
    let picker = client(&url).picker("billing", Policy::RoundRobin).await.unwrap();
    let ports: Vec<_> = (0..10).map(|_| picker.pick().unwrap().port()).collect();
    assert_eq!(ports[..5], ports[5..]);
    let mut sorted = ports[..5].to_vec();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn random_and_p2c_spread_over_equal_instances() {
    let (url, memory) = registry();
    put(&memory, 1..=10);
    let client = client(&url);
    for policy in [Policy::Random, Policy::P2c] {
        let picker = client.picker("billing", policy).await.unwrap();
        let mut counts = HashMap::new();
        for _ in 0..10_000 {
            let pick = picker.pick().unwrap();
            *counts.entry(pick.port()).or_insert(0) += 1;
            pick.done(Outcome::Cancelled);
        }
        assert!(
            counts.len() == 10 && counts.values().all(|&n| (700..1300).contains(&n)),
            "{policy}: {counts:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn p2c_avoids_busy_instances() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    let picker = client(&url).picker("billing", Policy::P2c).await.unwrap();
    let held: Vec<_> = (0..100).map(|_| picker.pick().unwrap()).collect();
    let first = held.iter().filter(|pick| pick.port() == 1).count();
    assert_eq!(first, 50, "with two instances both are always compared");
    drop(held);
}

#[tokio::test]
async fn p2c_avoids_slow_and_failing_instances() {
    let (url, memory) = registry();
    put(&memory, 1..=3);
    let picker = client(&url).picker("billing", Policy::P2c).await.unwrap();
    let mut counts = HashMap::new();
    for round in 0..600 {
        let pick = picker.pick().unwrap();
        if round >= 100 {
            *counts.entry(pick.port()).or_insert(0) += 1;
        }
        match pick.port() {
            // Slow by a real clock: the estimate is made of the time stamp counter.
            1 => std::thread::sleep(Duration::from_millis(20)),
            2 => {
                pick.done(false);
                continue;
            }
            _ => {}
        }
        pick.done(true);
    }
    let of = |port| counts.get(&port).copied().unwrap_or(0);
    // Whenever the slow one meets the failing one, which is a third of the time, it is the better of the two.
    assert!(of(3) > 280 && of(1) < 220 && of(2) < 20, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_picker_follows_its_service() {
    let (url, memory) = registry();
    let client = client(&url);
    let picker = client.picker("billing", Policy::P2c).await.unwrap();
    assert_eq!(picker.pick().unwrap_err().code(), Code::NoInstances);
    assert!(picker.is_empty());
    put(&memory, 1..=2);
    client.wait_for("billing", 2, secs(5)).await.unwrap();
    assert_eq!(picker.len(), 2);
    let held = picker.pick().unwrap();
    let id = held.id().to_owned();
    memory.delete("billing", &id);
    let watch = client.watch("billing").unwrap();
    until(&watch, |snapshot| snapshot.len() == 1).await;
    assert!((0..50).all(|_| picker.pick().unwrap().id() != id));
    assert_eq!(held.id(), id, "a pick outlives its instance");
}

#[tokio::test(start_paused = true)]
async fn pick_within_waits_for_an_instance() {
    let (url, memory) = registry();
    let client = client(&url);
    let picker = client.picker("billing", Policy::RoundRobin).await.unwrap();
    let (pick, _) = tokio::join!(picker.pick_within(secs(10)), async {
        tokio::time::sleep(secs(3)).await;
        put(&memory, 1..=1);
    });
    assert_eq!(pick.unwrap().port(), 1);
    memory.delete("billing", "10.0.0.1:1");
    until(&client.watch("billing").unwrap(), |snapshot| snapshot.is_empty()).await;
    let began = Instant::now();
    assert_eq!(picker.pick_within(secs(10)).await.unwrap_err().code(), Code::NoInstances);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_picker_of_a_registry_that_is_down_fills_when_it_is_back() {
    let (url, memory) = registry();
    put(&memory, 1..=1);
    memory.unreachable(true);
    let picker = client(&url).picker("billing", Policy::P2c).await.unwrap();
    assert!(picker.is_empty());
    memory.unreachable(false);
    assert_eq!(picker.pick_within(secs(10)).await.unwrap().port(), 1);
}

#[tokio::test(start_paused = true)]
async fn call_tries_another_instance_after_a_failure_to_connect() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    // The one that fails keeps its turns.
    let options = PickerOptions::new(Policy::RoundRobin).ejection(None);
    let picker = client(&url).open_picker("billing", options).await.unwrap();
    let down = |instance: Arc<Instance>| async move {
        if instance.port == 1 { Err(error(io::ErrorKind::ConnectionRefused)) } else { Ok(instance.port) }
    };
    for _ in 0..10 {
        assert_eq!(picker.call(2, down).await.unwrap(), 2);
    }
    let mut failures = 0;
    for _ in 0..10 {
        if let Err(CallError::Call(error)) = picker.call(1, down).await {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            failures += 1;
        }
    }
    assert_eq!(failures, 5, "one attempt is one attempt");
}

#[tokio::test(start_paused = true)]
async fn call_never_goes_back_while_there_is_an_instance_it_has_not_tried() {
    let (url, memory) = registry();
    put(&memory, 1..=5);
    for &policy in Policy::ALL {
        let picker = client(&url).picker("billing", policy).await.unwrap();
        let down = |instance: Arc<Instance>| async move {
            if instance.port < 5 { Err(error(io::ErrorKind::ConnectionRefused)) } else { Ok(instance.port) }
        };
        for _ in 0..50 {
            assert_eq!(picker.call(5, down).await.unwrap(), 5, "{policy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_are_gone_call_says_what_the_last_one_failed_with() {
    let (url, memory) = registry();
    put(&memory, 1..=1);
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    let picker = client.picker("billing", Policy::P2c).await.unwrap();
    let leaving = async |_: Arc<Instance>| {
        memory.delete("billing", "10.0.0.1:1");
        until(&watch, callsheet::Snapshot::is_empty).await;
        Err::<(), _>(error(io::ErrorKind::ConnectionRefused))
    };
    assert!(matches!(picker.call(2, leaving).await, Err(CallError::Call(_))));
}

#[tokio::test(start_paused = true)]
async fn call_does_not_repeat_what_may_have_had_an_effect() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    let picker = client(&url).picker("billing", Policy::RoundRobin).await.unwrap();
    let calls = std::cell::Cell::new(0);
    let cut = |_: Arc<Instance>| {
        calls.set(calls.get() + 1);
        async { Err::<(), _>(error(io::ErrorKind::ConnectionReset)) }
    };
    picker.call(3, cut).await.unwrap_err();
    assert_eq!(calls.get(), 1);
    calls.set(0);
    picker.call_if(3, |error| error.kind() == io::ErrorKind::ConnectionReset, cut).await.unwrap_err();
    assert_eq!(calls.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn call_without_an_instance_waits_and_then_says_so() {
    let (url, _memory) = registry();
    let picker =
        builder(&url).timeout(secs(2)).connect().unwrap().picker("billing", Policy::P2c).await.unwrap();
    let began = Instant::now();
    let result = picker.call(2, |_| async { Ok::<(), io::Error>(()) }).await;
    assert!(matches!(result, Err(CallError::Pick(error)) if error.code() == Code::NoInstances));
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn only_the_first_report_counts() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    let picker = client(&url).picker("billing", Policy::P2c).await.unwrap();
    let (good, bad) = (picker.pick().unwrap(), picker.pick().unwrap());
    assert_ne!(good.id(), bad.id());
    good.done(!good.addr().is_empty());
    good.done(false);
    bad.done(false);
    let id = good.id().to_owned();
    drop((good, bad));
    assert!((0..20).all(|_| picker.pick().unwrap().id() == id));
}

#[test]
fn policies_have_one_spelling() {
    for &policy in Policy::ALL {
        assert_eq!(policy.as_str().parse::<Policy>().unwrap(), policy);
    }
    let error = "fastest".parse::<Policy>().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("round_robin, random, p2c"));
}

#[test]
fn picks_from_many_threads_while_instances_come_and_go() {
    let (url, memory) = registry();
    put(&memory, 1..=20);
    let client = callsheet::Client::connect(&url).unwrap();
    for &policy in Policy::ALL {
        let picker = callsheet::block_on(client.picker("billing", policy)).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50_000u32).all(|n| {
                            let pick = picker.pick_key(n.to_le_bytes());
                            // One of those that stay is ejected meanwhile.
                            pick.map(|pick| pick.done(n % 7 != 0 && pick.port() != 15)).is_ok()
                        })
                    })
                })
                .collect();
            for round in 0..200 {
                memory.delete("billing", &format!("10.0.0.1:{}", 1 + round % 10));
                put(&memory, 1..=10);
            }
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()), "{policy}");
        });
        // p2c comes to it too seldom.
        let ejected = || picker.ejected().unwrap().iter().any(|instance| instance.port == 15);
        let end = std::time::Instant::now() + secs(20);
        while policy != Policy::P2c && !ejected() {
            assert!(std::time::Instant::now() < end, "{policy}");
            std::thread::yield_now();
        }
    }
    callsheet::block_on(client.close()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_nobody_takes_says_nothing_of_its_instance() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    let picker = client(&url).picker("billing", Policy::P2c).await.unwrap();
    // What the calls take: one is fast, the other slow.
    let (fast, slow) = (picker.pick().unwrap(), picker.pick().unwrap());
    std::thread::sleep(Duration::from_millis(1));
    fast.done(true);
    std::thread::sleep(Duration::from_millis(30));
    slow.done(true);
    let best = fast.id().to_owned();
    drop((fast, slow));
    // The fast one, and then given up on after much longer than either call.
    let mut waiting = Box::pin(picker.pick_within(secs(1)));
    assert!(std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(100));
    drop(waiting);
    tokio::task::yield_now().await;
    let pick = picker.pick().unwrap();
    assert_eq!(pick.id(), best);
    pick.done(Outcome::Cancelled);
}
