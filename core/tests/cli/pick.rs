//! `callsheet pick`, read by a script.

use callsheet::Registration;

use crate::program::{Registry, Running};

#[test]
fn an_instance_of_another_process_is_picked() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000).address("10.0.0.1").metadata("team", "pay"));
    let picked = registry.callsheet(["pick", "billing"]);
    assert_eq!((picked.code, &*picked.stdout, &*picked.stderr), (0, "http://10.0.0.1:8000\n", ""));
    let formatted = registry.callsheet(["pick", "billing", "--format", "{address}:{port} {metadata.team}"]);
    assert_eq!(formatted.stdout, "10.0.0.1:8000 pay\n");
}

#[test]
fn nothing_to_pick_fails() {
    let registry = Registry::new();
    let ended = registry.callsheet(["pick", "billing"]);
    assert_eq!((ended.code, &*ended.stdout), (1, ""));
    assert!(ended.stderr.starts_with("callsheet: no instance"), "{}", ended.stderr);
    let waited = registry.callsheet(["pick", "billing", "--wait", "100ms"]);
    assert_eq!(waited.code, 1);
}

#[test]
fn an_instance_is_waited_for() {
    let registry = Registry::new();
    let pick =
        Running::start(&mut registry.command(["pick", "billing", "--wait", "60", "--format", "{port}"]));
    registry.register(Registration::new("billing").port(8000));
    assert_eq!(pick.ended().stdout, "8000\n");
}

#[test]
fn a_key_stays_with_its_instance() {
    let registry = Registry::new();
    for port in 1..=5 {
        registry.register(Registration::new("billing").port(port).address("10.0.0.1"));
    }
    let pick = |key| registry.callsheet(["pick", "billing", "--policy", "ring_hash", "--key", key]).stdout;
    assert!(pick("a").starts_with("http://10.0.0.1:"));
    for key in ["a", "b", "c"] {
        assert_eq!(pick(key), pick(key), "{key}");
    }
}
