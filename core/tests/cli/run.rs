//! `callsheet run`, with real programs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use callsheet::{Instance, Status};
use rustix::process::Signal;

use crate::program::{Program, Registry, Running, send, until};

fn is_alive(process: u32) -> bool {
    // A zombie still has its folder.
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_program_is_registered_once_its_port_listens() {
    let registry = Registry::new();
    let (program, gate) = (Program::new(&registry), registry.path("gate"));
    let run = Running::start(&mut program.run("billing", &[], Some(&gate)));
    program.process();
    assert_eq!(registry.callsheet(["list", "billing"]).stdout, "");
    assert_eq!(registry.loaded("billing"), []);
    fs::write(&gate, "").unwrap();
    registry.until_count("billing", 1);
    assert_eq!(registry.instances("billing"), [Instance::new("billing", "127.0.0.1", program.port)]);
    run.signal(Signal::TERM);
    let ended = run.ended();
    assert_eq!((ended.code, &*ended.stderr), (42, ""));
}

#[test]
fn a_program_is_withdrawn_before_it_is_asked_to_end() {
    let registry = Registry::new();
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let program = Program::new(&registry);
        let run = Running::start(&mut program.run("billing", &[], None));
        registry.until_count("billing", 1);
        run.signal(signal);
        assert_eq!(run.ended().code, 42);
        assert_eq!(program.until_noted(name), "nothing");
        assert_eq!(registry.loaded("billing"), []);
    }
}

#[test]
fn other_signals_reach_the_program_and_leave_it_registered() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let run = Running::start(&mut program.run("billing", &[], None));
    registry.until_count("billing", 1);
    for (signal, name) in [
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::WINCH, "SIGWINCH"),
        (Signal::ALARM, "SIGALRM"),
    ] {
        run.signal(signal);
        program.until_noted(name);
    }
    assert_eq!(registry.instances("billing").len(), 1);
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 42);
}

#[test]
fn the_drain_comes_before_the_signal_and_a_second_signal_ends_it() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let mut run = Running::start(&mut program.run("billing", &["--drain", "1h"], None));
    registry.until_count("billing", 1);
    run.signal(Signal::TERM);
    registry.until_count("billing", 0);
    assert!(run.is_running() && !program.notes().iter().any(|note| note.starts_with("SIGTERM")));
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 42);
    assert_eq!(program.notes().iter().filter(|note| note.starts_with("SIGTERM")).count(), 1);
}

#[test]
fn a_short_drain_ends_by_itself() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let run = Running::start(&mut program.run("billing", &["--drain", "50ms"], None));
    registry.until_count("billing", 1);
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 42);
}

#[test]
fn a_program_that_crashes_is_withdrawn_and_its_signal_told() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    // With a drain, which nobody needs whose program is gone.
    let run = Running::start(&mut program.run("billing", &["--drain", "1h", "--ttl", "1h"], None));
    registry.until_count("billing", 1);
    let process = program.process();
    let began = Instant::now();
    send(process, Signal::KILL);
    assert_eq!(run.ended().code, 128 + 9);
    assert_eq!(registry.loaded("billing"), []);
    // Not even the bound of a withdrawal that fails was waited for.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_exit_code_is_the_programs() {
    let registry = Registry::new();
    for code in [0, 7, 69, 255] {
        let exit = format!("exit {code}");
        let ended = registry.callsheet(["run", "billing", "--port", "1", "--", "sh", "-c", &exit]);
        assert_eq!((ended.code, &*ended.stderr), (code, ""));
    }
    let output = registry.callsheet(["run", "billing", "--port", "1", "--", "echo", "a  b", "--json"]);
    assert_eq!(output.stdout, "a  b --json\n");
}

#[test]
fn a_program_that_can_not_be_started_is_told_as_a_shell_does() {
    let registry = Registry::new();
    let missing = registry.callsheet(["run", "billing", "--port", "1", "--", "/no/such/program"]);
    assert_eq!(missing.code, 127);
    assert!(missing.stderr.starts_with("callsheet: can't run \"/no/such/program\": "), "{}", missing.stderr);
    let file = registry.path("file");
    fs::write(&file, "no program").unwrap();
    let denied = registry.callsheet(["run", "billing", "--port", "1", "--", file.to_str().unwrap()]);
    assert_eq!(denied.code, 126);
    assert_eq!(denied.stderr.lines().count(), 1, "{}", denied.stderr);
}

#[test]
fn a_killed_run_is_gone_from_the_registry_and_its_program_runs_on() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let run = Running::start(&mut program.run("billing", &["--ttl", "1h"], None));
    registry.until_count("billing", 1);
    run.signal(Signal::KILL);
    registry.until_count("billing", 0);
    let process = program.process();
    assert!(is_alive(process));
    send(process, Signal::KILL);
    assert_eq!(run.ended().code, -9);
}

#[test]
fn a_registry_that_is_down_does_not_keep_the_program_from_running() {
    let registry = Registry::new();
    let (program, folder) = (Program::new(&registry), registry.path("later"));
    fs::write(&folder, "a file where the registry's folder should be").unwrap();
    let url = format!("local://{}/registry.db", folder.display());
    let command = &mut program.run("billing", &["--registry", &url], None);
    let run = Running::start(command);
    program.until_noted("listening");
    fs::remove_file(&folder).unwrap();
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let list = || registry.callsheet(["list", "billing", "--registry", &url]).stdout;
    until("the registration", || !list().is_empty());
    run.signal(Signal::TERM);
    let ended = run.ended();
    assert_eq!(ended.code, 42);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("callsheet: not registered: "), "{lines:?}");
    assert!(lines[lines.len() - 1].ends_with("is registered now"), "{lines:?}");
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let run = program.run("billing", &[], None);
    let mut nohup = std::process::Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => nohup.env(name, value),
            None => nohup.env_remove(name),
        };
    }
    let run = Running::start(&mut nohup);
    program.until_noted("SIGHUP is ignored");
    registry.until_count("billing", 1);
    run.signal(Signal::HUP);
    run.signal(Signal::USR1);
    program.until_noted("SIGUSR1");
    assert!(!program.notes().iter().any(|note| note == "SIGHUP"));
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 42);
}

#[test]
fn a_port_that_somebody_has_already_is_told() {
    let registry = Registry::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = registry.callsheet(["run", "billing", "--port", &port, "--", "true"]);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains(&format!("port {port} listens before")), "{}", ended.stderr);
}

#[test]
fn every_option_reaches_the_registry() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let options = [
        "--address",
        "127.0.0.1",
        "--id",
        "one",
        "--tag",
        "v2",
        "--tag",
        "canary",
        "--metadata",
        "team=pay",
        "--metadata",
        "note=a=b",
        "--zone",
        "eu-1",
        "--version",
        "1.2",
        "--weight",
        "7",
        "--scheme",
        "grpc",
    ];
    let run = Running::start(&mut program.run("billing", &options, None));
    registry.until_count("billing", 1);
    let mut expected = Instance::new("billing", "127.0.0.1", program.port);
    expected.id = "one".into();
    expected.tags = vec!["v2".into(), "canary".into()];
    expected.metadata.extend([("team".into(), "pay".into()), ("note".into(), "a=b".into())]);
    expected.zone = "eu-1".into();
    expected.version = "1.2".into();
    expected.weight = 7;
    expected.scheme = "grpc".into();
    assert_eq!(registry.instances("billing"), [expected]);
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 42);
}

#[test]
fn a_port_that_no_longer_listens_is_critical_with_a_tcp_check() {
    let registry = Registry::new();
    let script = "
import socket, sys, time, os
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while not os.path.exists(sys.argv[2]) and os.path.exists(os.path.dirname(sys.argv[2])): time.sleep(0.01)
server.close()
while os.path.exists(os.path.dirname(sys.argv[2])): time.sleep(1)
";
    let (port, stop) = (crate::program::free_port().to_string(), registry.path("stop"));
    let words = ["run", "billing", "--port", &port, "--check", "tcp", "--", "python3", "-c", script, &port];
    let mut command = registry.command(words);
    let run = Running::start(command.arg(Path::new(&stop)));
    let status = || registry.instances("billing").first().map(|instance| instance.status);
    until("a passing instance", || status() == Some(Status::Passing));
    fs::write(&stop, "").unwrap();
    until("a critical instance", || status() == Some(Status::Critical));
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code, 128 + 15);
}
