//! How soon and how often what failed is tried again.

mod common;

use callsheet::{Freshness, Instance, Registration, State};
use common::*;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_short_ttl_is_retried_more_often() {
    let (url, memory) = registry();
    let client = builder(&url).ttl(secs(1)).connect().unwrap();
    register(&client, "billing", 1).await;
    memory.unreachable(true);
    sleep(secs(60)).await;
    let failures = client.stats().unwrap().publish_failures;
    // A third of the TTL at most, half of that on average.
    assert!((180..=1000).contains(&failures), "{failures}");
}

#[tokio::test(start_paused = true)]
async fn each_loss_begins_its_backoff_anew() {
    let (url, memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    for _ in 0..12 {
        memory.lose_leases();
        registration.wait(State::Lost, secs(1)).await.unwrap();
        let began = Instant::now();
        registration.wait(State::Registered, secs(10)).await.unwrap();
        assert!(began.elapsed() <= Duration::from_millis(110), "{:?}", began.elapsed());
        sleep(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_a_newer_owner_of_a_chosen_id_is_not_clobbered() {
    let (url, memory) = registry();
    let client = client(&url);
    let spec = Registration::new("billing").port(1).id("mine");
    let registration = client.register(spec).await.unwrap();
    memory.unreachable(true);
    registration.wait(State::Lost, secs(20)).await.unwrap();
    let mut newer = Instance::new("billing", "10.0.0.9", 9);
    newer.id = "mine".into();
    memory.put(newer).unwrap();
    memory.unreachable(false);
    registration.wait(State::Superseded, secs(10)).await.unwrap();
    assert_eq!(client.lookup("billing").await.unwrap().instances()[0].port, 9);
}

#[tokio::test(start_paused = true)]
async fn those_who_succeed_a_holder_are_spread() {
    let (url, _memory) = registry();
    let mut waits = Vec::new();
    let mut waiting = register(&client(&url), "billing", 1).await;
    for _ in 0..10 {
        let holder = register(&client(&url), "billing", 1).await;
        waiting.wait(State::Superseded, secs(1)).await.unwrap();
        holder.close().await.unwrap();
        let began = Instant::now();
        waiting.wait(State::Registered, secs(10)).await.unwrap();
        waits.push(began.elapsed());
        waiting.close().await.unwrap();
        waiting = register(&client(&url), "billing", 1).await;
    }
    assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(210)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait >= Duration::from_millis(20)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lookup_does_not_wait_for_the_backoff() {
    let (url, memory) = registry();
    let client = client(&url);
    memory.unreachable(true);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        client.lookup(name).await.unwrap_err();
    }
    sleep(secs(60)).await;
    memory.unreachable(false);
    // A failure of the last quarter of a second is answered as it is.
    sleep(Duration::from_millis(251)).await;
    let began = Instant::now();
    for name in names {
        client.lookup(name).await.unwrap();
    }
    assert!(began.elapsed() <= Duration::from_millis(50), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_list_counts_from_when_the_registry_last_vouched_for_it() {
    let (url, memory) = registry();
    let client = client(&url);
    register(&client, "billing", 1).await;
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    sleep(secs(60)).await;
    memory.unreachable(true);
    let stale = until(&watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    assert!(stale.age() <= secs(6), "{:?}", stale.age());
}
