//! `callsheet doctor` on files that are well, broken, locked and not ours to write.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use callsheet::Registration;

use crate::program::{Ended, Registry};

/// Level, name, what was found and what to do, of what is not `ok`.
fn complaints(ended: &Ended) -> Vec<[String; 4]> {
    let columns = ended.stdout.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let troubles = columns.filter(|columns| columns[0] != "ok" && columns[1] != "verdict");
    troubles.map(|columns| [0, 2, 3, 4].map(|at| columns[at].to_owned())).collect()
}

/// Statements on the registry's file, as another program would do them, with the connection open until it is killed.
fn sql(registry: &Registry, statements: &str) -> Child {
    let script = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20); \
                  [d.execute(s) for s in sys.argv[2].split(';')]; print(flush=True); sys.stdin.read()";
    let file = registry.path("registry.db");
    let mut child = Command::new("python3")
        .args(["-c", script, file.to_str().unwrap(), statements])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_registry_that_is_well_is_told_in_full() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(1));
    let ended = registry.callsheet(["doctor"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
    assert_eq!(complaints(&ended), [[""; 4]; 0], "{}", ended.stdout);
    for text in [
        &format!("ok\tregistry\turl\t{} (named by $CALLSHEET_URL)\t-\n", registry.url()),
        "ok\tregistry\tversion\tcallsheet ",
        "ok\tregistry\tanswers\tin ",
        "ok\tfile\tfolder\tmode 0",
        "ok\tfile\troom\t",
        "ok\tdatabase\tversion\tSQLite 3.",
        "ok\tdatabase\tintegrity\tok\t-\n",
        "ok\tdatabase\towners\t1 instances of 1 processes\t-\n",
        "ok\tservices\treading\t1 services, 1 instances, 1 of them healthy\t-\n",
        "ok\tmachine\tclock\t2",
        "ok\tverdict\t-\tall is well\t-\n",
    ] {
        assert!(ended.stdout.contains(text), "{text:?} in {}", ended.stdout);
    }
}

#[test]
fn without_a_name_it_says_that_this_is_the_default() {
    let registry = Registry::new();
    let mut command = registry.command(["doctor", "--json"]);
    let output = command.env_remove("CALLSHEET_URL").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("/registry.db (the default, as neither"), "{text}");
}

#[test]
fn values_that_are_no_instances_are_counted() {
    let registry = Registry::new();
    let _handle = registry.register(Registration::new("billing").port(1));
    end(sql(&registry, "INSERT INTO instances (service, id, body) VALUES ('billing', 'x', 'nonsense')"));
    let ended = registry.callsheet(["doctor"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let [[level, name, value, remedy]] = &complaints(&ended)[..] else { panic!("{}", ended.stdout) };
    assert_eq!((&**level, &**name), ("wrong", "reading"));
    assert!(value.contains("1 instances") && value.contains("1 values are no instances"), "{value}");
    assert!(remedy.contains("who writes them"), "{remedy}");
    assert!(ended.stdout.contains("1 instances of 1 processes, 1 of other tools"), "{}", ended.stdout);
}

#[test]
fn a_corrupt_file_is_named_with_what_to_do() {
    let registry = Registry::new();
    fs::write(registry.path("registry.db"), [b'x'; 10_000]).unwrap();
    let ended = registry.callsheet(["doctor"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let troubles = complaints(&ended);
    assert!(troubles[0][1] == "answers" && troubles[0][2].contains("mv "), "{troubles:?}");
    assert!(ended.stdout.ends_with("wrong\tverdict\t-\tone thing is wrong\t-\n"), "{}", ended.stdout);
}

#[test]
fn a_file_that_another_program_keeps_locked_is_read_and_can_not_be_written() {
    let registry = Registry::new();
    let _handle = registry.register(Registration::new("billing").port(1));
    let holder = sql(&registry, "BEGIN IMMEDIATE");
    let ended = registry.callsheet(["doctor", "--registry", &format!("{}?timeout=60s", registry.url())]);
    end(holder);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let troubles = complaints(&ended);
    assert!(troubles[0][1] == "writing" && troubles[0][2].contains("stayed locked"), "{troubles:?}");
    assert!(ended.stdout.contains("1 services, 1 instances"), "{}", ended.stdout);
}

#[test]
fn an_unreachable_registry_is_not_the_same_as_a_wrong_one() {
    let registry = Registry::new();
    let ended = registry.callsheet(["doctor", "--registry", "local:///dev/null/x/registry.db"]);
    assert_eq!((ended.code, &*ended.stderr), (69, ""), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("the registry can't be reached\t-\n"), "{}", ended.stdout);
    let folder = registry.path("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let url = format!("local://{}/registry.db", folder.display());
    let ended = registry.callsheet(["doctor", "--registry", &url]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(complaints(&ended)[0][2].contains("chmod o-w"), "{}", ended.stdout);
}
