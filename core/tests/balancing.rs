//! Who is picked from: weights, keys, ejection, panic, zones, subsets, slow start.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callsheet::memory::Memory;
use callsheet::{Client, Code, Ejection, Filter, Instance, Outcome, Picker, PickerOptions, Policy, Status};
use common::*;
use tokio::time::sleep;

fn instance(port: u16) -> Instance {
    Instance::new("billing", "10.0.0.1", port)
}

fn put(memory: &Memory, ports: std::ops::RangeInclusive<u16>) {
    ports.for_each(|port| memory.put(instance(port)).unwrap());
}

fn put_with(memory: &Memory, port: u16, change: impl FnOnce(&mut Instance)) {
    let mut instance = instance(port);
    change(&mut instance);
    memory.put(instance).unwrap();
}

async fn open(client: &Client, options: PickerOptions) -> Picker {
    client.open_picker("billing", options).await.unwrap()
}

/// How often each port is picked.
fn spread(picker: &Picker, picks: usize) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..picks {
        let pick = picker.pick().unwrap();
        *counts.entry(pick.port()).or_insert(0) += 1;
        pick.done(Outcome::Cancelled);
    }
    counts
}

fn ports(picker: &Picker) -> Vec<u16> {
    spread(picker, 1000).into_keys().collect()
}

/// Waits until the picker has seen what the registry shows.
async fn settled(done: impl Fn() -> bool) {
    tokio::time::timeout(secs(60), async {
        while !done() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it within a minute");
}

/// Fails every call to `port`, and no other, for so many picks.
fn fail(picker: &Picker, port: u16, picks: usize) {
    for _ in 0..picks {
        let pick = picker.pick().unwrap();
        pick.done(pick.port() != port);
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares_of_calls() {
    let (url, memory) = registry();
    for (port, weight) in [(1, 5), (2, 3), (3, 2)] {
        put_with(&memory, port, |instance| instance.weight = weight);
    }
    let client = client(&url);
    let weighted = open(&client, PickerOptions::new(Policy::Weighted)).await;
    assert_eq!(spread(&weighted, 1000), BTreeMap::from([(1, 500), (2, 300), (3, 200)]));
    let least = open(&client, PickerOptions::new(Policy::LeastOutstanding)).await;
    let held: Vec<_> = (0..100).map(|_| least.pick().unwrap()).collect();
    let of = |port| held.iter().filter(|pick| pick.port() == port).count();
    assert_eq!([of(1), of(2), of(3)], [50, 30, 20]);
    for policy in [Policy::RingHash, Policy::Maglev] {
        let counts = spread(&open(&client, PickerOptions::new(policy)).await, 10_000);
        for (port, due) in [(1, 5000.0), (2, 3000.0), (3, 2000.0)] {
            assert!((counts[&port] as f64 / due - 1.0).abs() < 0.25, "{policy}: {counts:?}");
        }
    }
    put_with(&memory, 3, |instance| instance.weight = 12);
    settled(|| spread(&weighted, 200) == BTreeMap::from([(1, 50), (2, 30), (3, 120)])).await;
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_nobody_reports_is_not_held_against_its_instance_for_ever() {
    let (url, memory) = registry();
    put(&memory, 1..=2);
    let picker = open(&client(&url), PickerOptions::new(Policy::LeastOutstanding)).await;
    picker.expire_picks(secs(60)).unwrap();
    let forgotten = picker.pick().unwrap();
    assert_eq!(ports(&picker), [3 - forgotten.port()]);
    sleep(secs(125)).await;
    assert_eq!(ports(&picker), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_with_its_instance() {
    let (url, memory) = registry();
    put(&memory, 1..=10);
    let (client, other) = (client(&url), client(&url));
    for policy in [Policy::RingHash, Policy::Maglev] {
        let picker = open(&client, PickerOptions::new(policy)).await;
        let twin = open(&other, PickerOptions::new(policy)).await;
        let of = |picker: &Picker, key: u32| picker.pick_key(key.to_string()).unwrap().port();
        let before: Vec<_> = (0..1000).map(|key| of(&picker, key)).collect();
        assert_eq!(before, (0..1000).map(|key| of(&twin, key)).collect::<Vec<_>>());
        memory.delete("billing", "10.0.0.1:4");
        settled(|| picker.len() == 9).await;
        let moved = (0..1000).filter(|&key| of(&picker, key) != before[key as usize]);
        let others = moved.filter(|&key| before[key as usize] != 4).count();
        assert!(others <= if policy == Policy::RingHash { 0 } else { 20 }, "{policy}: {others}");
        put(&memory, 4..=4);
        settled(|| picker.len() == 10).await;
        assert_eq!(before, (0..1000).map(|key| of(&picker, key)).collect::<Vec<_>>());
        let tried = [picker.pick_key("a").unwrap().id().to_owned()];
        let next = picker.pick_key_other("a", &tried).unwrap();
        assert_ne!(next.id(), tried[0]);
        assert_eq!(twin.pick_key_other("a", &tried).unwrap().id(), next.id(), "the same one for all");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_key_is_tried_again_at_the_next_instance_of_that_key() {
    let (url, memory) = registry();
    put(&memory, 1..=10);
    let client = client(&url);
    let picker = open(&client, PickerOptions::new(Policy::RingHash).ejection(None)).await;
    let first = picker.pick_key("a").unwrap().id().to_owned();
    let second = picker.pick_key_other("a", &[&first]).unwrap().id().to_owned();
    let called = Mutex::new(Vec::new());
    let refused = |instance: Arc<Instance>| {
        called.lock().unwrap().push(instance.id.clone());
        async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)) }
    };
    picker.call_key("a", 2, refused).await.unwrap_err();
    assert_eq!(*called.lock().unwrap(), [first, second]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_any_is_picked() {
    let (url, memory) = registry();
    put(&memory, 1..=5);
    let client = client(&url);
    for policy in [Policy::RingHash, Policy::Maglev] {
        assert_eq!(ports(&open(&client, PickerOptions::new(policy)).await), [1, 2, 3, 4, 5]);
    }
    let picker = open(&client, PickerOptions::new(Policy::Maglev)).await;
    let waited = picker.pick_key_within("a", secs(1)).await.unwrap();
    assert_eq!(waited.id(), picker.pick_key("a").unwrap().id());
}

#[tokio::test(start_paused = true)]
async fn who_fails_in_a_row_is_ejected_for_a_while_whatever_the_policy() {
    let (url, memory) = registry();
    put(&memory, 1..=10);
    let client = client(&url);
    for &policy in Policy::ALL {
        let picker = open(&client, PickerOptions::new(policy).slow_start(secs(1))).await;
        // Held, so that the policies that look for idle ones come to this one as often.
        let held: Vec<_> = (0..400).map(|_| picker.pick().unwrap()).collect();
        for pick in held {
            pick.done(if pick.port() == 7 { Outcome::Failed } else { Outcome::Cancelled });
        }
        settled(|| picker.ejected().unwrap().len() == 1).await;
        assert_eq!(picker.ejected().unwrap()[0].port, 7);
        assert_eq!((ports(&picker).len(), picker.len()), (9, 9), "{policy}");
        sleep(secs(29)).await;
        assert_eq!(picker.len(), 9);
        sleep(secs(12)).await;
        assert_eq!((picker.len(), picker.ejected().unwrap().len()), (10, 0), "{policy}");
    }
    assert_eq!(client.stats().unwrap().ejections, Policy::ALL.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn who_fails_half_its_calls_is_ejected_at_the_end_of_the_interval() {
    let (url, memory) = registry();
    put(&memory, 1..=10);
    let picker = open(&client(&url), PickerOptions::new(Policy::RoundRobin)).await;
    let mut failures = 0;
    for n in 0..2000 {
        let pick = picker.pick().unwrap();
        let bad = pick.port() == 3 && n % 20 < 10;
        failures += usize::from(bad);
        pick.done(!bad);
        if n % 20 == 0 {
            // Two seconds of calls, twenty of which are to each.
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!((failures, picker.len()), (100, 10), "not before");
    sleep(secs(10)).await;
    assert_eq!(picker.ejected().unwrap()[0].port, 3);
}

#[tokio::test(start_paused = true)]
async fn at_most_half_are_ejected_and_a_lone_instance_never_is() {
    let (url, memory) = registry();
    put(&memory, 1..=5);
    let client = client(&url);
    let picker = open(&client, PickerOptions::new(Policy::RoundRobin)).await;
    (0..100).for_each(|_| picker.pick().unwrap().done(false));
    settled(|| picker.len() == 3).await;
    (0..100).for_each(|_| picker.pick().unwrap().done(false));
    sleep(secs(1)).await;
    assert_eq!((picker.ejected().unwrap().len(), picker.len()), (2, 3));
    (2..=5).for_each(|port| memory.delete("billing", &format!("10.0.0.1:{port}")));
    settled(|| ports(&picker) == [1]).await;
    fail(&picker, 1, 20);
    sleep(secs(20)).await;
    assert_eq!(ports(&picker), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_anew_is_not_held_to_what_the_one_before_did() {
    let (url, memory) = registry();
    put(&memory, 1..=4);
    let picker = open(&client(&url), PickerOptions::new(Policy::RoundRobin)).await;
    fail(&picker, 2, 20);
    settled(|| picker.len() == 3).await;
    put_with(&memory, 2, |instance| instance.version = "2".into());
    sleep(secs(1)).await;
    assert_eq!(picker.len(), 3, "another description of the same process");
    memory.delete("billing", "10.0.0.1:2");
    sleep(secs(1)).await;
    put(&memory, 2..=2);
    settled(|| picker.len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn ejection_can_be_turned_off_and_tuned() {
    let (url, memory) = registry();
    put(&memory, 1..=4);
    let client = client(&url);
    let never = open(&client, PickerOptions::new(Policy::RoundRobin).ejection(None)).await;
    fail(&never, 1, 400);
    sleep(secs(60)).await;
    assert_eq!(ports(&never), [1, 2, 3, 4]);
    let ejection = Ejection::new().consecutive_failures(2).interval(secs(1)).base_ejection_time(secs(3));
    let strict = open(&client, PickerOptions::new(Policy::RoundRobin).ejection(ejection)).await;
    fail(&strict, 1, 8);
    settled(|| strict.len() == 3).await;
    sleep(secs(5)).await;
    assert_eq!(strict.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn below_half_healthy_all_but_the_draining_are_used() {
    let (url, memory) = registry();
    put(&memory, 1..=6);
    let client = client(&url);
    let picker = open(&client, PickerOptions::new(Policy::RoundRobin)).await;
    let calm = open(&client, PickerOptions::new(Policy::RoundRobin).panic_threshold(0)).await;
    let status = |port, status| put_with(&memory, port, |instance| instance.status = status);
    status(1, Status::Draining);
    status(2, Status::Critical);
    status(3, Status::Warning);
    settled(|| calm.len() == 3).await;
    assert_eq!(ports(&picker), [4, 5, 6], "three of five");
    status(4, Status::Critical);
    settled(|| calm.len() == 2).await;
    assert_eq!(ports(&picker), [2, 3, 4, 5, 6], "two of five");
    assert_eq!(ports(&calm), [5, 6]);
    status(5, Status::Critical);
    status(6, Status::Critical);
    settled(|| calm.is_empty()).await;
    assert_eq!(calm.pick().unwrap_err().code(), Code::NoInstances);
    assert_eq!(ports(&picker), [2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn ejected_and_unhealthy_ones_add_up_to_panic() {
    let (url, memory) = registry();
    put(&memory, 1..=6);
    (1..=2).for_each(|port| put_with(&memory, port, |instance| instance.status = Status::Critical));
    let picker = open(&client(&url), PickerOptions::new(Policy::RoundRobin)).await;
    assert_eq!(picker.len(), 4);
    fail(&picker, 3, 20);
    settled(|| picker.len() == 3).await;
    fail(&picker, 4, 15);
    settled(|| picker.len() == 6).await;
    assert_eq!(picker.ejected().unwrap().len(), 2, "two of six are left");
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_is_preferred_as_far_as_it_can_take_the_calls() {
    let (url, memory) = registry();
    for port in 1..=12 {
        put_with(&memory, port, |instance| instance.zone = format!("eu-{}", port % 3));
    }
    let client = client(&url);
    let near = |counts: &BTreeMap<u16, usize>| {
        counts.iter().filter(|(port, _)| **port % 3 == 1).map(|(_, count)| count).sum::<usize>()
    };
    for policy in [Policy::RoundRobin, Policy::Random, Policy::P2c, Policy::Weighted, Policy::Maglev] {
        let picker = open(&client, PickerOptions::new(policy).prefer_zone("eu-1")).await;
        assert_eq!(ports(&picker), [1, 4, 7, 10], "{policy}");
        memory.delete("billing", "10.0.0.1:1");
        memory.delete("billing", "10.0.0.1:4");
        settled(|| picker.len() == 10).await;
        // 1.4 times two of ten instances for a third of the callers.
        let share = near(&spread(&picker, 10_000)) as f64 / 10_000.0;
        let due = if policy == Policy::P2c { 0.6..1.0 } else { 0.82..0.86 };
        assert!(due.contains(&share), "{policy}: {share}");
        for port in [1, 4] {
            put_with(&memory, port, |instance| instance.zone = "eu-1".into());
        }
        settled(|| picker.len() == 4).await;
    }
    let nowhere = open(&client, PickerOptions::new(Policy::RoundRobin).prefer_zone("us-1")).await;
    assert_eq!(nowhere.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_client_keeps_to_its_subset() {
    let (url, memory) = registry();
    put(&memory, 1..=50);
    let client = client(&url);
    let options = || PickerOptions::new(Policy::RoundRobin).subset(10);
    let (first, second) = (
        open(&client, options().client_id("pod-1")).await,
        open(&client, options().client_id("pod-2")).await,
    );
    assert_eq!(first.len(), 10);
    let part: BTreeSet<_> = ports(&first).into_iter().collect();
    assert_eq!(part, ports(&open(&client, options().client_id("pod-1")).await).into_iter().collect());
    assert_ne!(part, ports(&second).into_iter().collect());
    let (one, same) = (open(&client, options()).await, open(&client, options()).await);
    assert_eq!(ports(&one), ports(&same), "a process has one part, whatever its name");
    // One that fails makes way for another, and comes back.
    let port = *part.first().unwrap();
    fail(&first, port, 60);
    settled(|| !ports(&first).contains(&port)).await;
    assert_eq!(first.len(), 10);
    assert_eq!(part.difference(&ports(&first).into_iter().collect()).count(), 1);
    sleep(secs(60)).await;
    assert_eq!(part, ports(&first).into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_more_and_more() {
    let (url, memory) = registry();
    put(&memory, 1..=9);
    let client = client(&url);
    for policy in [Policy::RoundRobin, Policy::Random, Policy::Weighted, Policy::P2c] {
        let picker = open(&client, PickerOptions::new(policy).slow_start(secs(60))).await;
        assert_eq!(ports(&picker).len(), 9, "who is there at first is no newcomer");
        put(&memory, 10..=10);
        settled(|| picker.len() == 10).await;
        let share =
            |picker: &Picker| spread(picker, 20_000).get(&10).map_or(0.0, |&count| count as f64 / 2000.0);
        if policy != Policy::P2c {
            let (early, _) = (share(&picker), sleep(secs(30)).await);
            let (middle, _) = (share(&picker), sleep(secs(40)).await);
            let late = share(&picker);
            assert!((0.05..0.2).contains(&early), "{policy}: {early}");
            assert!((0.4..0.7).contains(&middle), "{policy}: {middle}");
            assert!((0.9..1.1).contains(&late), "{policy}: {late}");
        } else {
            // What is known of none costs nothing: both of two that are drawn are as good.
            assert!(share(&picker) < 0.3);
            sleep(secs(70)).await;
            assert!((0.8..1.2).contains(&share(&picker)));
        }
        memory.delete("billing", "10.0.0.1:10");
        settled(|| picker.len() == 9).await;
    }
}

#[tokio::test(start_paused = true)]
async fn options_that_make_no_sense_are_refused() {
    let (url, _memory) = registry();
    let client = client(&url);
    for (options, word) in [
        (PickerOptions::default().subset(0), "subset"),
        (PickerOptions::default().panic_threshold(101), "panic_threshold"),
        (PickerOptions::default().slow_start(secs(3601)), "slow_start"),
        (PickerOptions::default().prefer_zone("z".repeat(257)), "prefer_zone"),
        (PickerOptions::default().ejection(Ejection::new().request_volume(0)), "request_volume"),
        (PickerOptions::default().filter(Filter::new().tag("")), "tag"),
    ] {
        let error = client.open_picker("billing", options).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(word), "{error}");
    }
}

#[test]
fn turns_are_even_over_all_threads() {
    let (url, memory) = registry();
    for (port, weight) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
        put_with(&memory, port, |instance| instance.weight = weight);
    }
    let client = Client::connect(&url).unwrap();
    for (policy, due) in [(Policy::RoundRobin, [250; 4]), (Policy::Weighted, [100, 200, 300, 400])] {
        let picker = callsheet::block_on(client.picker("billing", policy)).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| spread(&picker, 100_000))).collect();
            let mut counts = BTreeMap::new();
            for one in threads.into_iter().map(|thread| thread.join().unwrap()) {
                one.into_iter().for_each(|(port, count)| *counts.entry(port).or_insert(0) += count);
            }
            for (port, due) in (1..).zip(due) {
                let off = counts[&port] as f64 - 400.0 * f64::from(due);
                assert!(off.abs() < 10.0 * 4.0, "{policy}: {counts:?}");
            }
        });
    }
    callsheet::block_on(client.close()).unwrap();
}
