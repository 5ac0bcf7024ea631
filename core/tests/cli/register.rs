//! `callsheet register`, for programs that can't register themselves.

use std::fs;
use std::net::TcpListener;

use callsheet::{Instance, Status};
use rustix::process::Signal;

use crate::program::{Registry, Running, free_port, until};

fn register(registry: &Registry, port: u16, options: &[&str]) -> Running {
    let port = port.to_string();
    let words = ["register", "billing", "--port", &port].into_iter().chain(options.iter().copied());
    Running::start(&mut registry.command(words))
}

#[test]
fn an_instance_is_registered_until_a_signal_withdraws_it() {
    let registry = Registry::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut running = register(&registry, 5432, &["--address", "10.0.0.7"]);
        assert_eq!(running.line(), format!("registered billing/10.0.0.7:5432 in {}\n", registry.url()));
        registry.until_count("billing", 1);
        assert_eq!(registry.instances("billing"), [Instance::new("billing", "10.0.0.7", 5432)]);
        running.signal(signal);
        let ended = running.ended();
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert_eq!(ended.stdout, "closed billing/10.0.0.7:5432\n");
        registry.until_count("billing", 0);
    }
}

/// `timeout` tells its program and then its whole group.
#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let registry = Registry::new();
    let mut running = register(&registry, 5432, &["--address", "10.0.0.7", "--drain", "1s"]);
    running.line();
    running.signal(Signal::TERM);
    running.signal(Signal::TERM);
    let ended = running.ended();
    assert_eq!((ended.code, &*ended.stdout), (0, "closed billing/10.0.0.7:5432\n"));
    registry.until_count("billing", 0);
}

#[test]
fn what_could_not_be_withdrawn_is_a_failure() {
    let registry = Registry::new();
    let mut running = register(&registry, 5432, &["--address", "10.0.0.7"]);
    running.line();
    // Nobody can write as long as this transaction lasts.
    let url = registry.url();
    let holder = rusqlite::Connection::open(url.trim_start_matches("local://")).unwrap();
    holder.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    running.signal(Signal::TERM);
    let ended = running.ended();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("could not withdraw billing/10.0.0.7:5432"), "{}", ended.stderr);
}

#[test]
fn every_option_reaches_the_registry() {
    let registry = Registry::new();
    let mut running = register(
        &registry,
        80,
        &[
            "--address=127.0.0.1",
            "--id=one",
            "--tag=v2",
            "--tag=canary",
            "--metadata=note=a=b",
            "--zone=eu-1",
            "--version=1.2",
            "--weight=7",
            "--scheme=grpc",
            "--ttl=1h",
        ],
    );
    assert!(running.line().starts_with("registered billing/one in "));
    let mut expected = Instance::new("billing", "127.0.0.1", 80);
    expected.id = "one".into();
    expected.tags = vec!["v2".into(), "canary".into()];
    expected.metadata.insert("note".into(), "a=b".into());
    expected.zone = "eu-1".into();
    expected.version = "1.2".into();
    expected.weight = 7;
    expected.scheme = "grpc".into();
    registry.until_count("billing", 1);
    assert_eq!(registry.instances("billing"), [expected]);
}

#[test]
fn a_check_decides_about_its_health_and_every_change_is_told() {
    let registry = Registry::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    // The check may ask elsewhere than where the instance is.
    let options = ["--check=tcp", "--check-interval=100ms", "--check-timeout=5s", "--check-target", &target];
    let mut running = register(&registry, 1, &options);
    assert!(running.line().starts_with("registered billing/127.0.0.1:1 in "));
    assert_eq!(running.line(), "passing billing/127.0.0.1:1\n");
    drop(server);
    assert_eq!(running.line(), "critical billing/127.0.0.1:1\n");
    until("a critical instance", || registry.instances("billing")[0].status == Status::Critical);
    let _server = TcpListener::bind(&target).unwrap();
    assert_eq!(running.line(), "passing billing/127.0.0.1:1\n");
}

#[test]
fn an_http_check_asks_its_target() {
    let registry = Registry::new();
    let port = free_port();
    let mut running =
        register(&registry, port, &["--check=http", "--check-target=/", "--check-interval=100ms"]);
    assert!(running.line().starts_with("registered "));
    assert_eq!(running.line(), format!("critical billing/127.0.0.1:{port}\n"));
}

#[test]
fn a_grpc_check_asks_its_target() {
    let registry = Registry::new();
    let target = format!("127.0.0.1:{}/billing", free_port());
    let options = ["--check=grpc", "--check-target", &target, "--deregister-critical-after=1m"];
    let mut running = register(&registry, 1, &options);
    assert!(running.line().starts_with("registered "));
    assert_eq!(running.line(), "critical billing/127.0.0.1:1\n");
}

#[test]
fn nothing_is_registered_before_its_port_listens_if_asked_so() {
    let registry = Registry::new();
    let port = free_port();
    let mut running = register(&registry, port, &["--wait-for-port"]);
    // Said by itself, since nobody else would know why nothing happens.
    running.complaint();
    assert_eq!(registry.loaded("billing"), []);
    let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert!(running.line().starts_with("registered "));
    running.signal(Signal::TERM);
    let ended = running.ended();
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.starts_with("callsheet: not registered: "), "{}", ended.stderr);
}

#[test]
fn a_registry_that_is_down_is_told_and_tried_again() {
    let registry = Registry::new();
    let folder = registry.path("later");
    fs::write(&folder, "a file where a folder should be").unwrap();
    let url = format!("local://{}/callsheet/registry.db", folder.display());
    let mut running = register(&registry, 1, &["--ttl=3s", "--registry", &url]);
    running.complaint();
    fs::remove_file(&folder).unwrap();
    assert_eq!(running.line(), format!("registered billing/127.0.0.1:1 in {url}\n"));
    running.signal(Signal::TERM);
    assert_eq!(running.ended().code, 0);
}

#[test]
fn one_that_never_reached_its_registry_ends_well_too() {
    let registry = Registry::new();
    let mut running = register(&registry, 1, &["--registry", "local:///dev/null/registry.db"]);
    running.complaint();
    running.signal(Signal::TERM);
    assert_eq!(running.ended().code, 0);
}

#[test]
fn whoever_takes_the_id_over_is_told_of() {
    let registry = Registry::new();
    let mut old = register(&registry, 1, &["--id=primary", "--ttl=3s"]);
    assert!(old.line().starts_with("registered "));
    let mut new = register(&registry, 2, &["--id=primary"]);
    assert!(new.line().starts_with("registered "));
    assert!(old.line().starts_with("superseded billing/primary: "));
    new.signal(Signal::TERM);
    assert_eq!(new.ended().code, 0);
    assert!(old.line().starts_with("registered billing/primary in "));
    until("that it is registered again", || {
        registry.instances("billing").first().is_some_and(|instance| instance.port == 1)
    });
}

#[test]
fn the_drain_is_waited_for_and_a_second_signal_ends_it() {
    let registry = Registry::new();
    let mut running = register(&registry, 1, &["--drain=1h"]);
    assert!(running.line().starts_with("registered "));
    running.signal(Signal::TERM);
    registry.until_count("billing", 0);
    assert!(running.is_running());
    running.signal(Signal::INT);
    assert_eq!(running.ended().code, 128 + 2);
}

#[test]
fn a_reader_that_left_does_not_withdraw_it() {
    let registry = Registry::new();
    let mut running = register(&registry, 1, &["--ttl=3s"]);
    running.stop_reading();
    registry.until_count("billing", 1);
    let mut rival = register(&registry, 2, &["--id=127.0.0.1:1"]);
    assert!(rival.line().starts_with("registered "));
    rival.signal(Signal::TERM);
    assert_eq!(rival.ended().code, 0);
    until("that it is registered again", || {
        registry.instances("billing").first().is_some_and(|instance| instance.port == 1)
    });
    assert!(running.is_running());
}

#[test]
fn mistakes_are_usage_before_anything_is_done() {
    let registry = Registry::new();
    for options in [
        &["--check=http"][..],
        &["--check=tcp", "--check-target=nonsense"],
        &["--check-target=/health"],
        &["--check=grpc", "--check-target=nonsense"],
        &["--deregister-critical-after=59s"],
        &["--check=tcp", "--check-interval=1ms"],
        &["--weight=0"],
        &["--id=a/b"],
        &["--ttl=1ms"],
    ] {
        let ended = register(&registry, 1, options).ended();
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{options:?}");
        assert!(!ended.stderr.is_empty());
    }
}
