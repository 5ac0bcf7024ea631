//! Changes of a registration that meet a registry which is busy with something else.

mod common;

use callsheet::{Changeset, Check, Filter, Registration, State, Status};
use common::*;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn what_changes_during_a_publish_is_written_after_it() {
    let (url, memory) = registry();
    let (provider, reader) = (client(&url), client(&url));
    let registration = register(&provider, "billing", 1).await;
    let watch = reader.watch("billing").unwrap();
    next(&watch).await;
    memory.slow(secs(3));
    memory.lose_leases();
    // The publish that follows the loss is under way by now, with the weight of before.
    sleep(secs(1)).await;
    let began = Instant::now();
    registration.update(Changeset::new().weight(7)).await.unwrap();
    assert!(began.elapsed() < secs(1), "kept for the publish, which nobody waits for");
    memory.slow(Duration::ZERO);
    registration.wait(State::Registered, secs(10)).await.unwrap();
    let told = until(&watch, |snapshot| snapshot.iter().any(|instance| instance.weight == 7)).await;
    assert_eq!(told.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_failed_is_tried_again_until_the_registry_has_it() {
    let (url, memory) = registry();
    let client = builder(&url).ttl(secs(600)).connect().unwrap();
    let registration = register(&client, "billing", 1).await;
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    memory.unreachable(true);
    registration.update(Changeset::new().weight(7)).await.unwrap();
    assert!(registration.last_error().unwrap().message().contains("unreachable"));
    assert_eq!(registration.state(), State::Registered);
    sleep(secs(60)).await;
    memory.unreachable(false);
    until(&watch, |snapshot| snapshot.iter().any(|instance| instance.weight == 7)).await;
    assert!(registration.last_error().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_passing_check_does_not_undo_a_status_by_hand() {
    let (url, _memory) = registry();
    let client = client(&url);
    let spec = Registration::new("billing").port(1).check(Check::heartbeat(secs(60)));
    let registration = client.register(spec).await.unwrap();
    registration.set_status(Status::Warning, "half the disks are full").await.unwrap();
    registration.beat().unwrap();
    let all = client.watch_with("billing", &Filter::new().healthy(false)).unwrap();
    let told = until(&all, |snapshot| !snapshot.is_empty()).await;
    assert_eq!(told.instances()[0].status, Status::Warning);
    // Late beats are worse than a warning, and the warning is back after them.
    until(&all, |snapshot| snapshot.instances()[0].status == Status::Critical).await;
    registration.beat().unwrap();
    until(&all, |snapshot| snapshot.instances()[0].status == Status::Warning).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_never_answered_is_never_shown_as_passing() {
    let (url, _memory) = registry();
    let client = client(&url);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let healthy = client.watch("billing").unwrap();
    assert!(next(&healthy).await.is_empty());
    let spec = Registration::new("billing").port(port).check(Check::http("/health").timeout(secs(2)));
    let registration = client.register(spec).await.unwrap();
    registration.wait(State::Registered, secs(5)).await.unwrap();
    assert!(quiet(&healthy).await);
}
