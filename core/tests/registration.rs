//! The life of a registration, on tokio's paused clock over a memory registry with faults.

mod common;

use callsheet::memory::Memory;
use callsheet::{Changeset, Check, Client, Code, Instance, Registration, State, Status};
use common::*;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_registration_is_there_on_return_and_gone_after_close() {
    let (url, _memory) = registry();
    let (a, b) = (client(&url), client(&url));
    let spec = Registration::new("billing")
        .port(8080)
        .tag("v2")
        .metadata("team", "pay")
        .zone("eu-1")
        .version("1.2")
        .weight(7)
        .scheme("grpc");
    let registration = a.register(spec).await.unwrap();
    assert_eq!(registration.state(), State::Registered);
    assert!(registration.last_error().is_none());
    let snapshot = b.lookup("billing").await.unwrap();
    let instance = &snapshot.instances()[0];
    assert_eq!(**instance, registration.instance());
    assert_eq!(instance.id, "127.0.0.1:8080");
    assert_eq!(instance.url(), "grpc://127.0.0.1:8080");
    registration.close().await.unwrap();
    registration.close().await.unwrap();
    assert_eq!(registration.state(), State::Closed);
    let watch = b.watch("billing").unwrap();
    until(&watch, |snapshot| snapshot.is_empty()).await;
    for result in [
        registration.beat(),
        registration.drain().await,
        registration.update(Changeset::new()).await,
        registration.ready(secs(1)).await,
        registration.wait(State::Registered, secs(1)).await,
    ] {
        assert_eq!(result.unwrap_err().code(), Code::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_published_by_ready() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = client.register(Registration::new("billing").port(1).hold(true)).await.unwrap();
    let error = registration.wait(State::Registered, secs(3)).await.unwrap_err();
    assert_eq!(error.code(), Code::Timeout);
    assert_eq!(registration.state(), State::Pending);
    assert!(client.lookup("billing").await.unwrap().is_empty());
    registration.ready(secs(1)).await.unwrap();
    registration.ready(secs(1)).await.unwrap();
    assert_eq!(registration.state(), State::Registered);
}

#[tokio::test]
async fn nothing_is_published_before_the_port_listens() {
    let (url, _memory) = registry();
    let client = builder(&url).timeout(Duration::from_millis(300)).connect().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let registration =
        client.register(Registration::new("billing").port(port).wait_for_port(true)).await.unwrap();
    assert_eq!(registration.state(), State::Pending);
    let why = registration.last_error().unwrap().to_string();
    assert!(why.contains("wait_for_port") && why.contains(&port.to_string()), "{why}");
    assert!(client.lookup("billing").await.unwrap().is_empty());
    let _listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    registration.wait(State::Registered, secs(5)).await.unwrap();
    assert_eq!(client.wait_for("billing", 1, secs(5)).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_program_starts_while_its_registry_is_down_and_registers_later() {
    let (url, memory) = registry();
    memory.unreachable(true);
    let client = client(&url);
    let began = Instant::now();
    let registration = client.register(Registration::new("billing").port(1)).await.unwrap();
    assert!(began.elapsed() < secs(1), "told as soon as the first try failed");
    assert_eq!(registration.state(), State::Pending);
    assert_eq!(registration.last_error().unwrap().code(), Code::Unavailable);
    tokio::time::sleep(secs(100)).await;
    memory.unreachable(false);
    let back = Instant::now();
    registration.wait(State::Registered, secs(60)).await.unwrap();
    // ttl/3 of the default 10 s is the longest pause between two tries.
    assert!(back.elapsed() <= Duration::from_millis(3400), "{:?}", back.elapsed());
    assert!(registration.last_error().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_delays_register_by_its_timeout_only() {
    let (url, memory) = registry();
    memory.slow(secs(1000));
    let client = builder(&url).timeout(secs(2)).connect().unwrap();
    let began = Instant::now();
    let registration = client.register(Registration::new("billing").port(1)).await.unwrap();
    assert!(began.elapsed() >= secs(2) && began.elapsed() < secs(3));
    assert_eq!(registration.last_error().unwrap().code(), Code::Timeout);
    memory.slow(Duration::ZERO);
    registration.wait(State::Registered, secs(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_ttls_costs_the_instance_and_not_the_registration() {
    let (url, memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let states = registration.states().unwrap();
    memory.unreachable(true);
    registration.wait(State::Lost, secs(60)).await.unwrap();
    tokio::time::sleep(secs(100)).await;
    memory.unreachable(false);
    registration.wait(State::Registered, secs(5)).await.unwrap();
    let mut seen = vec![];
    for _ in 0..3 {
        let change = states.next().await.unwrap();
        assert_eq!(change.error.is_some(), change.state == State::Lost);
        seen.push(change.state);
    }
    assert_eq!(seen, [State::Registered, State::Lost, State::Registered]);
    registration.close().await.unwrap();
    assert_eq!(states.next().await.unwrap().state, State::Closed);
    assert!(states.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_and_a_lost_lease_come_back() {
    let (url, memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let id = registration.id();
    let losses: [&dyn Fn(&Memory); 3] =
        [&|memory| memory.delete("billing", &id), &|memory| memory.lose_leases(), &|memory| memory.wipe()];
    for lose in losses {
        let states = registration.states().unwrap();
        states.next().await;
        lose(&memory);
        let lost = Instant::now();
        assert_eq!(states.next().await.unwrap().state, State::Lost);
        assert_eq!(states.next().await.unwrap().state, State::Registered);
        assert!(lost.elapsed() < Duration::from_millis(3400), "{:?}", lost.elapsed());
        assert_eq!(client.wait_for("billing", 1, secs(10)).await.unwrap().len(), 1);
    }
    assert_eq!(client.stats().unwrap().losses, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_registry_is_asked_again_every_thirty_seconds() {
    let (url, memory) = registry();
    let client = client(&url);
    memory.refuse(true);
    let registration = client.register(Registration::new("billing").port(1)).await.unwrap();
    assert_eq!(registration.state(), State::Refused);
    assert_eq!(registration.last_error().unwrap().code(), Code::PermissionDenied);
    let before = client.stats().unwrap().publish_failures;
    tokio::time::sleep(secs(301)).await;
    let tries = client.stats().unwrap().publish_failures - before;
    assert!((9..=11).contains(&tries), "{tries} tries in five minutes");
    memory.refuse(false);
    registration.wait(State::Registered, secs(31)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_client_takes_the_id_over_and_the_first_comes_back_when_it_leaves() {
    let (url, _memory) = registry();
    let (a, b) = (client(&url), client(&url));
    let first = register(&a, "billing", 1).await;
    let second = register(&b, "billing", 1).await;
    assert_eq!(first.id(), second.id());
    first.wait(State::Superseded, secs(10)).await.unwrap();
    let watch = a.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 1);
    // What is asked of it meanwhile waits for its next publish.
    first.update(Changeset::new().metadata([("kept", "yes")])).await.unwrap();
    second.close().await.unwrap();
    first.wait(State::Registered, secs(10)).await.unwrap();
    let snapshot = until(&watch, |snapshot| snapshot.iter().any(|i| i.metadata.contains_key("kept"))).await;
    assert_eq!(snapshot.len(), 1);
    assert_eq!(a.stats().unwrap().superseded, 1);
}

#[tokio::test(start_paused = true)]
async fn workers_that_share_a_port_stay_registered_until_the_last_leaves() {
    let (url, _memory) = registry();
    let reader = client(&url);
    let mut workers = vec![];
    for _ in 0..8 {
        let worker = client(&url);
        register(&worker, "billing", 1).await;
        workers.push(worker);
    }
    let watch = reader.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 1);
    while let Some(worker) = workers.pop() {
        worker.close().await.unwrap();
        if workers.is_empty() {
            until(&watch, |snapshot| snapshot.is_empty()).await;
        } else {
            reader.wait_for("billing", 1, secs(5)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_withdraws() {
    let (url, memory) = registry();
    let (a, b) = (client(&url), client(&url));
    let first = register(&a, "billing", 1).await;
    let _second = register(&b, "billing", 1).await;
    first.wait(State::Superseded, secs(10)).await.unwrap();
    first.close().await.unwrap();
    assert_eq!(b.lookup("billing").await.unwrap().len(), 1);
    drop(memory);
}

#[tokio::test(start_paused = true)]
async fn a_default_id_of_another_owner_is_left_alone_and_a_chosen_one_is_taken() {
    let (url, memory) = registry();
    let client = client(&url);
    // Written without a stamp, so as if by another machine.
    memory.put(Instance::new("billing", "127.0.0.1", 1)).unwrap();
    let beside = register(&client, "billing", 1).await;
    assert!(beside.id().starts_with("127.0.0.1:1~"), "{}", beside.id());
    assert_eq!(beside.id().len(), "127.0.0.1:1~".len() + 4);
    assert_eq!(client.wait_for("billing", 2, secs(5)).await.unwrap().len(), 2);

    let mut other = Instance::new("chosen", "10.0.0.9", 9);
    other.id = "mine".into();
    memory.put(other).unwrap();
    let taken = client.register(Registration::new("chosen").port(2).id("mine")).await.unwrap();
    assert_eq!((taken.state(), taken.id().as_str()), (State::Registered, "mine"));
    assert_eq!(client.lookup("chosen").await.unwrap().instances()[0].port, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_a_newer_owner_is_not_clobbered() {
    let (url, memory) = registry();
    let client = client(&url);
    let spec = Registration::new("billing").port(1).id("mine");
    let registration = client.register(spec).await.unwrap();
    let mut other = Instance::new("billing", "10.0.0.9", 9);
    other.id = "mine".into();
    memory.put(other).unwrap();
    registration.wait(State::Superseded, secs(10)).await.unwrap();
    let watch = client.watch("billing").unwrap();
    until(&watch, |snapshot| snapshot.iter().any(|instance| instance.port == 9)).await;
    assert!(quiet(&watch).await, "it must not fight back");
    memory.delete("billing", "mine");
    registration.wait(State::Registered, secs(10)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_update_leaves_no_gap_and_a_wrong_one_changes_nothing() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    let wrong = Changeset::new().weight(5).tags(["", "b"]);
    assert_eq!(registration.update(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(registration.instance().weight, 1);
    registration.update(Changeset::new().weight(5).tags(["a", "b"])).await.unwrap();
    let snapshot = next(&watch).await;
    assert_eq!((snapshot.len(), snapshot.instances()[0].weight), (1, 5));
    assert!(quiet(&watch).await);
}

#[tokio::test(start_paused = true)]
async fn draining_and_statuses_by_hand_hide_an_instance_from_those_who_want_healthy_ones() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let everything = callsheet::Filter::new().healthy(false);
    let all = client.watch_with("billing", &everything).unwrap();
    let healthy = client.watch("billing").unwrap();
    next(&all).await;
    next(&healthy).await;
    registration.set_status(Status::Warning, "disk nearly full").await.unwrap();
    assert_eq!(next(&all).await.instances()[0].status, Status::Warning);
    assert!(next(&healthy).await.is_empty());
    registration.set_status(Status::Passing, "").await.unwrap();
    assert_eq!(next(&healthy).await.len(), 1);
    registration.drain().await.unwrap();
    assert_eq!(until(&all, |s| s.instances()[0].status == Status::Draining).await.len(), 1);
    assert!(next(&healthy).await.is_empty());
    assert_eq!(registration.instance().status, Status::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_stops_beating_goes_critical_and_comes_back() {
    let (url, _memory) = registry();
    let client = client(&url);
    let check = Check::heartbeat(secs(3));
    let registration = client.register(Registration::new("billing").port(1).check(check)).await.unwrap();
    let watch = client.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 1);
    for _ in 0..10 {
        tokio::time::sleep(secs(2)).await;
        registration.beat().unwrap();
    }
    let last = Instant::now();
    assert!(next(&watch).await.is_empty());
    assert_eq!(last.elapsed().as_secs(), 3);
    registration.beat().unwrap();
    assert_eq!(next(&watch).await.len(), 1);
}

#[tokio::test]
async fn a_failing_tcp_check_turns_the_instance_critical() {
    let (url, _memory) = registry();
    let client = client(&url);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = Check::tcp().interval(Duration::from_millis(100));
    client.register(Registration::new("billing").port(port).check(check)).await.unwrap();
    let watch = client.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 1);
    drop(listener);
    assert!(next(&watch).await.is_empty());
    let _listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(next(&watch).await.len(), 1);
}

#[tokio::test]
async fn what_waits_for_its_port_is_not_first_published_as_critical() {
    let (url, _memory) = registry();
    let client = builder(&url).timeout(Duration::from_millis(300)).connect().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let everything = callsheet::Filter::new().healthy(false);
    let all = client.watch_with("billing", &everything).unwrap();
    assert!(next(&all).await.is_empty());
    let check = Check::tcp().interval(secs(60));
    let spec = Registration::new("billing").port(port).wait_for_port(true).check(check);
    client.register(spec).await.unwrap();
    let _listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(next(&all).await.instances()[0].status, Status::Passing);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_due_from_when_the_program_says_that_it_is_ready() {
    let (url, _memory) = registry();
    let client = client(&url);
    let spec = Registration::new("billing").port(1).hold(true).check(Check::heartbeat(secs(3)));
    let registration = client.register(spec).await.unwrap();
    tokio::time::sleep(secs(60)).await;
    registration.ready(secs(1)).await.unwrap();
    assert_eq!(client.lookup("billing").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_tcp_check_that_fails_from_the_start_is_never_shown_as_passing() {
    let (url, _memory) = registry();
    let client = client(&url);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    client.register(Registration::new("billing").port(port).check(Check::tcp())).await.unwrap();
    let everything = callsheet::Filter::new().healthy(false);
    let snapshot = client.lookup_with("billing", &everything).await.unwrap();
    assert_eq!(snapshot.instances()[0].status, Status::Critical);
}

#[tokio::test(start_paused = true)]
async fn close_waits_out_the_drain_after_withdrawing() {
    let (url, _memory) = registry();
    let client = builder(&url).drain(secs(7)).connect().unwrap();
    let registration = register(&client, "billing", 1).await;
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    let began = Instant::now();
    let (closed, gone) = tokio::join!(registration.close(), async {
        next(&watch).await;
        began.elapsed()
    });
    closed.unwrap();
    assert!(gone < secs(1), "{gone:?}");
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn close_is_bounded_when_the_registry_is_away() {
    let (url, memory) = registry();
    let client = builder(&url).ttl(secs(60)).connect().unwrap();
    let registration = register(&client, "billing", 1).await;
    memory.unreachable(true);
    let began = Instant::now();
    assert_eq!(registration.close().await.unwrap_err().code(), Code::Timeout);
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(registration.state(), State::Closed);
    registration.close().await.unwrap();
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_live_registration_per_service_and_id_in_a_client() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let again = client.register(Registration::new("billing").port(1)).await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    register(&client, "other", 1).await;
    assert_eq!(client.registration("127.0.0.1:1").unwrap_err().code(), Code::Conflict);
    assert_eq!(client.registration("nobody").unwrap_err().code(), Code::NotFound);
    registration.close().await.unwrap();
    assert_eq!(client.deregister("127.0.0.1:1").await.map_err(|e| e.code()), Ok(()));
    register(&client, "billing", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_register_leaves_nothing_behind() {
    let (url, memory) = registry();
    let client = client(&url);
    memory.slow(secs(3));
    let register = client.register(Registration::new("billing").port(1));
    tokio::time::timeout(secs(1), register).await.unwrap_err();
    memory.slow(Duration::ZERO);
    let watch = client.watch("billing").unwrap();
    until(&watch, |snapshot| snapshot.is_empty()).await;
    assert!(quiet(&watch).await);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_client_leaves_its_instances_to_their_ttl() {
    let (url, _memory) = registry();
    let reader = client(&url);
    let watch = {
        let provider = client(&url);
        register(&provider, "billing", 1).await;
        let watch = reader.watch("billing").unwrap();
        assert_eq!(next(&watch).await.len(), 1);
        watch
    };
    let began = Instant::now();
    assert!(next(&watch).await.is_empty());
    assert!((6..=10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bad_registrations_are_refused_at_once() {
    let (url, memory) = registry();
    memory.unreachable(true);
    let client = client(&url);
    let good = || Registration::new("billing").port(1);
    let big = "x".repeat(2 << 20);
    let bad: Vec<(&str, Registration)> = vec![
        ("service name", Registration::new("").port(1)),
        ("service name", Registration::new("x".repeat(128)).port(1)),
        ("service name", Registration::new("a/b").port(1)),
        ("service name", Registration::new("a b").port(1)),
        ("service name", Registration::new("a\0b").port(1)),
        ("service name", Registration::new("größe").port(1)),
        ("service name", Registration::new("-a").port(1)),
        ("port 0", Registration::new("billing")),
        ("ttl", good().ttl(Duration::ZERO)),
        ("ttl", good().ttl(Duration::from_millis(999))),
        ("ttl", good().ttl(secs(24 * 3600 + 1))),
        ("drain", good().drain(secs(31 * 24 * 3600))),
        ("metadata", good().metadata("k", big.clone())),
        ("tag", good().tag(big)),
        ("weight", good().weight(0)),
        ("id", good().id("a/b")),
        ("address", good().address("http://x")),
        ("check interval", good().check(Check::heartbeat(Duration::ZERO))),
        ("check timeout", good().check(Check::tcp().timeout(Duration::ZERO))),
        ("http check", good().check(Check::http("health"))),
        ("grpc check", good().check(Check::grpc_target("billing"))),
        ("port 0", good().check(Check::grpc_target("h:0/billing"))),
        ("deregister_critical_after", good().check(Check::ttl().deregister_critical_after(secs(59)))),
        (
            "deregister_critical_after",
            good().check(Check::grpc().deregister_critical_after(secs(31 * 24 * 3600))),
        ),
    ];
    for (what, spec) in bad {
        let began = Instant::now();
        let error = client.register(spec).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{what}");
        assert!(error.message().contains(what), "{what}: {error}");
        assert!(error.message().len() < 400);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    assert_eq!(client.stats().unwrap().registrations, 0);
}

#[tokio::test(start_paused = true)]
async fn everything_on_a_closed_client_is_closed() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    let picker = client.picker("billing", callsheet::Policy::P2c).await.unwrap();
    let watch = client.watch("billing").unwrap();
    client.close().await.unwrap();
    client.close().await.unwrap();
    let code = |result: callsheet::Result<()>| result.unwrap_err().code();
    assert_eq!(code(client.lookup("billing").await.map(drop)), Code::Closed);
    assert_eq!(code(client.watch("billing").map(drop)), Code::Closed);
    assert_eq!(code(client.register(Registration::new("b").port(1)).await.map(drop)), Code::Closed);
    assert_eq!(code(client.services().await.map(drop)), Code::Closed);
    assert_eq!(code(client.watch_services().map(drop)), Code::Closed);
    assert_eq!(code(client.picker("billing", callsheet::Policy::P2c).await.map(drop)), Code::Closed);
    assert_eq!(code(client.wait_for("billing", 1, secs(1)).await.map(drop)), Code::Closed);
    assert_eq!(code(client.ping().await), Code::Closed);
    assert_eq!(code(client.on_change("billing", |_| {}).map(drop)), Code::Closed);
    assert_eq!(code(client.registration("x").map(drop)), Code::Closed);
    assert_eq!(code(picker.pick().map(drop)), Code::Closed);
    assert_eq!(registration.state(), State::Closed);
    assert!(watch.next().await.is_none());
    assert!(Client::connect(&url).unwrap().lookup("billing").await.unwrap().is_empty());
}
