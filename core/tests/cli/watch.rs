//! `callsheet watch`, read by a pipe.

use callsheet::{Registration, Status, block_on};
use rustix::process::Signal;

use crate::program::{Registry, Running, until};

#[test]
fn appearing_changing_and_disappearing_are_lines_at_once() {
    let registry = Registry::new();
    let one = registry.register(Registration::new("billing").port(8000));
    let mut watch = Running::start(&mut registry.command(["watch", "billing"]));
    assert_eq!(watch.line(), "+ 127.0.0.1:8000 127.0.0.1:8000 passing\n");
    let two = registry.register(Registration::new("billing").port(8001).address("10.0.0.1").id("two"));
    assert_eq!(watch.line(), "+ two 10.0.0.1:8001 passing\n");
    block_on(one.set_status(Status::Warning, "slow")).unwrap();
    assert_eq!(watch.line(), "~ 127.0.0.1:8000 127.0.0.1:8000 warning\n");
    block_on(two.close()).unwrap();
    assert_eq!(watch.line(), "- two\n");
    watch.signal(Signal::INT);
    let ended = watch.ended();
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (130, "", ""));
}

#[test]
fn names_are_followed_without_a_service() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000));
    let mut watch = Running::start(&mut registry.command(["watch"]));
    assert_eq!(watch.line(), "+ billing 1/1\n");
    let mail = registry.register(Registration::new("mail").port(25));
    assert_eq!(watch.line(), "+ mail 1/1\n");
    block_on(mail.close()).unwrap();
    assert_eq!(watch.line(), "- mail\n");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended().code, 143);
}

#[test]
fn each_snapshot_is_a_line_of_json() {
    let registry = Registry::new();
    let one = registry.register(Registration::new("billing").port(8000));
    let mut watch = Running::start(&mut registry.command(["watch", "billing", "--json"]));
    let mut ports = || {
        let snapshot: serde_json::Value = serde_json::from_str(&watch.line()).unwrap();
        assert_eq!((&snapshot["service"], &snapshot["freshness"]), (&"billing".into(), &"live".into()));
        let instances = snapshot["instances"].as_array().unwrap().clone();
        instances.iter().map(|instance| instance["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ports(), [8000]);
    registry.register(Registration::new("billing").port(8001));
    assert_eq!(ports(), [8000, 8001]);
    block_on(one.close()).unwrap();
    assert_eq!(ports(), [8001]);
}

#[test]
fn a_reader_that_goes_ends_the_watch_before_the_next_change() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000));
    for words in [&["watch", "billing"][..], &["watch", "--json"]] {
        let mut watch = Running::start(&mut registry.command(words.iter().copied()));
        watch.line();
        watch.stop_reading();
        until("the end of the watch", || !watch.is_running());
        let ended = watch.ended();
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
    }
}

#[test]
fn a_registry_that_is_away_is_told_once_and_waited_for() {
    let registry = Registry::new();
    let folder = registry.path("later");
    std::fs::write(&folder, "a file where the registry's folder should be").unwrap();
    let url = format!("local://{}/registry.db", folder.display());
    let mut watch = Running::start(&mut registry.command(["watch", "billing", "--registry", &url]));
    watch.complaint();
    let here = registry.callsheet(["list", "billing", "--registry", &url]);
    assert_eq!(here.code, 69);
    std::fs::remove_file(&folder).unwrap();
    std::fs::DirBuilder::new().create(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let client = callsheet::Client::connect(&url).unwrap();
    block_on(client.register(Registration::new("billing").port(8000))).unwrap();
    assert_eq!(watch.line(), "+ 127.0.0.1:8000 127.0.0.1:8000 passing\n");
    watch.signal(Signal::TERM);
    let ended = watch.ended();
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.ends_with("trying again\n"), "{}", ended.stderr);
}
