//! Commands within this process, on `memory:` registries: what they print, and what they say when the registry is
//! away. The binary, its children, signals and terminals are in `tests/cli`.

use std::time::{Duration, Instant};

use clap::CommandFactory;

use super::*;
use crate::instance::{Instance, Status};
use crate::registry::memory::Memory;

/// A command's exit code, stdout and stderr.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn callsheet(registry: &str, words: &[&str]) -> Ended {
    on(false, registry, words)
}

fn on(terminal: bool, registry: &str, words: &[&str]) -> Ended {
    let (output, stdout, stderr) = Output::captured(terminal);
    let url = format!("memory:{registry}?timeout=2s");
    let args = ["callsheet", "--registry", &url].into_iter().chain(words.iter().copied());
    let code = execute(args.map(OsString::from).collect(), &output);
    Ended { code, stdout: stdout.text(), stderr: stderr.text() }
}

/// Three instances of `billing` and one of `mail`, as other tools would write them.
fn filled(name: &str) -> Memory {
    let memory = Memory::named(name).unwrap();
    for (port, status) in [(1, Status::Passing), (2, Status::Critical), (3, Status::Passing)] {
        let mut instance = Instance::new("billing", "10.0.0.1", port);
        instance.status = status;
        if port == 3 {
            instance.tags = vec!["v2".into(), "canary".into()];
            instance.zone = "eu-1".into();
            instance.metadata.insert("team".into(), "pay".into());
        }
        memory.put(instance).unwrap();
    }
    memory.put(Instance::new("mail", "10.0.0.2", 25)).unwrap();
    memory
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_has_examples_in_its_help() {
    for command in Arguments::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{}", command.get_name());
    }
}

#[test]
fn the_doctor_looks_at_a_registry_that_is_well() {
    let _memory = filled("cli-doctor");
    let piped = callsheet("cli-doctor", &["doctor"]);
    assert_eq!((piped.code, &*piped.stderr), (0, ""), "{}", piped.stdout);
    for line in [
        "ok\tregistry\turl\tmemory:cli-doctor (named by --registry)\t-\n",
        "ok\tservices\treading\t2 services, 4 instances, 3 of them healthy\t-\n",
        "ok\tverdict\t-\tall is well\t-\n",
    ] {
        assert!(piped.stdout.contains(line), "{}", piped.stdout);
    }
    assert!(piped.stdout.lines().all(|line| line.split('\t').count() == 5), "{}", piped.stdout);
    let shown = on(true, "cli-doctor", &["doctor"]).stdout;
    assert!(shown.starts_with("registry\n  ok    url "), "{shown}");
    assert!(shown.ends_with("\n\nall is well\n"), "{shown}");
}

#[test]
fn the_doctor_says_what_is_wrong_and_ends_with_it() {
    let memory = filled("cli-doctor-ill");
    let diagnosed = || {
        let ended = callsheet("cli-doctor-ill", &["doctor", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(json["exit"], ended.code);
        let found = json["findings"].as_array().unwrap();
        let wrong = found.iter().find(|found| found["level"] == "wrong").unwrap().clone();
        assert!(!wrong["remedy"].as_str().unwrap().is_empty());
        (ended.code, json["verdict"].as_str().unwrap().to_owned(), wrong["name"].as_str().unwrap().to_owned())
    };
    memory.unreachable(true);
    assert_eq!(diagnosed(), (69, "the registry can't be reached".into(), "answers".into()));
    memory.unreachable(false);
    memory.refuse(true);
    assert_eq!(diagnosed(), (1, "one thing is wrong".into(), "answers".into()));
}

#[test]
fn services_are_listed_with_their_counts() {
    let _memory = filled("cli-services");
    let piped = callsheet("cli-services", &["list"]);
    assert_eq!((piped.code, &*piped.stdout, &*piped.stderr), (0, "billing\t2\t3\nmail\t1\t1\n", ""));
    let table = on(true, "cli-services", &["list"]);
    assert_eq!(table.stdout, "SERVICE  HEALTHY  INSTANCES\nbilling  2        3\nmail     1        1\n");
    let json: serde_json::Value =
        serde_json::from_str(&callsheet("cli-services", &["list", "--json"]).stdout).unwrap();
    assert_eq!(json[0], serde_json::json!({"service": "billing", "healthy": 2, "instances": 3}));
}

#[test]
fn instances_are_listed_with_their_status() {
    let _memory = filled("cli-instances");
    let piped = callsheet("cli-instances", &["list", "billing"]);
    assert_eq!(
        piped.stdout,
        "10.0.0.1:1\t10.0.0.1:1\tpassing\t-\t-\t-\n\
         10.0.0.1:2\t10.0.0.1:2\tcritical\t-\t-\t-\n\
         10.0.0.1:3\t10.0.0.1:3\tpassing\teu-1\t-\tv2,canary\n"
    );
    let table = on(true, "cli-instances", &["list", "billing", "--healthy"]);
    assert_eq!(
        table.stdout,
        "INSTANCE    ADDRESS     STATUS   ZONE  TAGS\n\
         10.0.0.1:1  10.0.0.1:1  passing\n\
         10.0.0.1:3  10.0.0.1:3  passing  eu-1  v2,canary\n"
    );
    let chosen =
        callsheet("cli-instances", &["list", "billing", "--tag", "v2", "--metadata", "team=pay", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&chosen.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(
        json[0],
        serde_json::json!({
            "id": "10.0.0.1:3", "service": "billing", "address": "10.0.0.1", "port": 3,
            "url": "http://10.0.0.1:3", "scheme": "http", "status": "passing", "tags": ["v2", "canary"],
            "metadata": {"team": "pay"}, "weight": 1, "zone": "eu-1", "version": "",
        })
    );
}

#[test]
fn an_empty_list_says_where_it_looked() {
    for words in [&["list"][..], &["list", "billing"]] {
        let ended = callsheet("cli-empty", words);
        assert_eq!((ended.code, &*ended.stdout), (0, ""));
        assert!(ended.stderr.contains("memory:cli-empty"), "{}", ended.stderr);
        assert!(ended.stderr.contains("callsheet run billing"), "{}", ended.stderr);
    }
    assert_eq!(callsheet("cli-empty", &["list", "billing", "--json"]).stdout, "[]\n");
}

#[test]
fn what_others_wrote_is_shown_without_its_control_characters() {
    let memory = Memory::named("cli-control").unwrap();
    let mut instance = Instance::new("billing", "10.0.0.1", 1);
    instance.metadata.insert("note".into(), "\x1b[2J".into());
    memory.put(instance).unwrap();
    let pick = &["pick", "billing", "--format", "{metadata.note}"];
    assert_eq!(on(true, "cli-control", pick).stdout, "\\u{1b}[2J\n");
    assert_eq!(callsheet("cli-control", pick).stdout, "\x1b[2J\n");
}

#[test]
fn one_healthy_instance_is_picked() {
    let _memory = filled("cli-pick");
    for policy in ["p2c", "random", "round_robin"] {
        for _ in 0..10 {
            let picked = callsheet("cli-pick", &["pick", "billing", "--policy", policy]);
            assert_eq!((picked.code, &*picked.stderr), (0, ""));
            assert!(
                ["http://10.0.0.1:1\n", "http://10.0.0.1:3\n"].contains(&&*picked.stdout),
                "{}",
                picked.stdout
            );
        }
    }
    let words = ["pick", "billing", "--zone", "eu-1", "--format", "{address} {port} {metadata.team}"];
    assert_eq!(callsheet("cli-pick", &words).stdout, "10.0.0.1 3 pay\n");
}

#[test]
fn nothing_to_pick_is_a_failure_of_its_own() {
    let memory = filled("cli-none");
    let none = callsheet("cli-none", &["pick", "billing", "--version", "9"]);
    assert_eq!((none.code, &*none.stdout), (exit::FAILED, ""));
    assert!(none.stderr.starts_with("callsheet: no instance of \"billing\""), "{}", none.stderr);
    let late = std::thread::spawn(|| {
        callsheet("cli-none", &["pick", "billing", "--version", "9", "--wait", "20", "--format", "{port}"])
    });
    let mut instance = Instance::new("billing", "10.0.0.9", 9);
    instance.version = "9".into();
    memory.put(instance).unwrap();
    assert_eq!(late.join().unwrap().stdout, "9\n");
    let began = Instant::now();
    let waited = callsheet("cli-none", &["pick", "nobody", "--wait", "200ms"]);
    assert_eq!(waited.code, exit::FAILED);
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_registry_that_is_down_has_its_own_exit_code() {
    let memory = filled("cli-down");
    memory.unreachable(true);
    for words in
        [&["list"][..], &["list", "billing"], &["pick", "billing"], &["pick", "billing", "--wait", "100ms"]]
    {
        let ended = callsheet("cli-down", words);
        assert_eq!((ended.code, &*ended.stdout), (exit::UNAVAILABLE, ""), "{words:?}");
        assert!(ended.stderr.starts_with("callsheet: can't read"), "{words:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn wrong_arguments_are_usage() {
    for words in [
        &["list", "we b"][..],
        &["pick", "a/b"],
        &["watch", "-"],
        &["list", "billing", "--tag", ""],
        &["run", "a b", "--port", "1", "--", "true"],
        &["run", "a", "--port", "1", "--ttl", "1ms", "--", "true"],
        &["run", "a", "--port", "1", "--weight", "0", "--", "true"],
        &["run", "a", "--port", "1", "--metadata", "pair", "--", "true"],
        &["run", "a", "--port", "0", "--", "true"],
        &["run", "a", "--port", "1", "true"],
        &["pick", "a", "--format", "{prot}"],
        &["pick", "a", "--policy", "best"],
        &["pick", "a", "--wait", "soon"],
        &["list", "--zone", "eu"],
        &["register"],
        &[],
    ] {
        assert_eq!(callsheet("cli-usage", words).code, exit::USAGE, "{words:?}");
    }
    let (output, _, stderr) = Output::captured(false);
    let words = ["callsheet", "list", "--registry", "etdc://root:hunter2@h"];
    assert_eq!(execute(words.map(OsString::from).to_vec(), &output), exit::USAGE);
    let said = stderr.text();
    assert!(
        said.starts_with("callsheet: ") && said.lines().count() == 1 && !said.contains("hunter2"),
        "{said}"
    );
}

/// Runs `watch` beside `script`, and ends it by closing its client.
fn watched(name: &str, words: &[&str], script: impl AsyncFnOnce(&dyn Fn(&str) -> bool)) -> (String, String) {
    let (output, stdout, stderr) = Output::captured(false);
    let words = ["callsheet", "watch"].into_iter().chain(words.iter().copied());
    let Command::Watch(watch) = Arguments::try_parse_from(words).unwrap().command else { unreachable!() };
    let client = Client::connect(&format!("memory:{name}?timeout=2s")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let script = async {
            script(&|text| stdout.text().contains(text) || stderr.text().contains(text)).await;
            client.close().await.unwrap();
        };
        let (code, ()) = tokio::join!(watch.execute(&client, &output), script);
        assert_eq!(code.unwrap(), exit::OK);
    });
    (stdout.text(), stderr.text())
}

/// Until the watch has printed `text`.
async fn printed(seen: &dyn Fn(&str) -> bool, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !seen(text) {
        assert!(Instant::now() < deadline, "{text:?} was not printed in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn every_change_of_a_service_is_a_line() {
    let memory = filled("cli-watch");
    let (stdout, stderr) = watched("cli-watch", &["billing"], async |seen| {
        printed(seen, "+ 10.0.0.1:3 10.0.0.1:3 passing\n").await;
        memory.put(Instance::new("billing", "::1", 4)).unwrap();
        printed(seen, "+ [::1]:4 [::1]:4 passing\n").await;
        let mut draining = Instance::new("billing", "::1", 4);
        draining.status = Status::Draining;
        memory.put(draining).unwrap();
        printed(seen, "~ [::1]:4 [::1]:4 draining\n").await;
        memory.delete("billing", "10.0.0.1:1");
        printed(seen, "- 10.0.0.1:1\n").await;
        memory.unreachable(true);
        printed(seen, "! stale: ").await;
        memory.unreachable(false);
        printed(seen, "! live\n").await;
    });
    let signs: String = stdout.lines().map(|line| &line[..1]).collect();
    assert_eq!(signs, "++++~-!!", "{stdout}");
    assert!(
        stdout.starts_with("+ 10.0.0.1:1 10.0.0.1:1 passing\n+ 10.0.0.1:2 10.0.0.1:2 critical\n"),
        "{stdout}"
    );
    assert_eq!(stderr, "");
}

#[test]
fn only_the_chosen_instances_are_watched() {
    let memory = filled("cli-chosen");
    let (stdout, _) = watched("cli-chosen", &["billing", "--healthy", "--tag", "v2"], async |seen| {
        printed(seen, "+ 10.0.0.1:3").await;
        memory.delete("billing", "10.0.0.1:1");
        memory.delete("billing", "10.0.0.1:3");
        printed(seen, "- 10.0.0.1:3\n").await;
    });
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
}

#[test]
fn every_service_is_watched_with_its_counts() {
    let memory = filled("cli-names");
    let (stdout, _) = watched("cli-names", &[], async |seen| {
        printed(seen, "+ billing 2/3\n+ mail 1/1\n").await;
        memory.put(Instance::new("new", "10.0.0.3", 1)).unwrap();
        printed(seen, "+ new 1/1\n").await;
        memory.delete("billing", "10.0.0.1:1");
        printed(seen, "~ billing 1/2\n").await;
        memory.delete("mail", "10.0.0.2:25");
        printed(seen, "- mail\n").await;
    });
    assert_eq!(stdout.lines().count(), 5, "{stdout}");
}

#[test]
fn snapshots_are_lines_of_json() {
    let memory = filled("cli-json");
    let (stdout, _) = watched("cli-json", &["mail", "--json"], async |seen| {
        printed(seen, "10.0.0.2:25").await;
        memory.unreachable(true);
        printed(seen, "stale").await;
    });
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{stdout}");
    assert_eq!(lines[0]["freshness"], "live");
    assert_eq!(lines[0]["last_error"], serde_json::Value::Null);
    assert_eq!(lines[0]["instances"][0]["id"], "10.0.0.2:25");
    assert_eq!(lines[1]["freshness"], "stale");
    assert!(lines[1]["last_error"].is_string() && lines[1]["age"].is_number());
    assert!(lines[1]["revision"].as_u64() > lines[0]["revision"].as_u64());
}

#[test]
fn a_watch_outlives_a_registry_that_is_down_from_the_start() {
    let memory = filled("cli-patient");
    memory.unreachable(true);
    let (stdout, stderr) = watched("cli-patient", &["mail"], async |seen| {
        printed(seen, "trying again").await;
        memory.unreachable(false);
        printed(seen, "+ 10.0.0.2:25").await;
    });
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
