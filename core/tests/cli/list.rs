//! `callsheet list`, read by a pipe.

use callsheet::{Registration, Status, block_on};

use crate::program::Registry;

#[test]
fn what_other_processes_registered_is_listed() {
    let registry = Registry::new();
    let one =
        registry.register(Registration::new("billing").port(8000).address("10.0.0.1").tag("v2").tag("a"));
    registry.register(Registration::new("billing").port(8001).address("10.0.0.1").zone("eu-1").version("2"));
    registry.register(Registration::new("mail").port(25).address("10.0.0.2"));
    block_on(one.set_status(Status::Warning, "slow")).unwrap();
    assert_eq!(registry.callsheet(["list"]).stdout, "billing\t1\t2\nmail\t1\t1\n");
    assert_eq!(
        registry.callsheet(["list", "billing"]).stdout,
        "10.0.0.1:8000\t10.0.0.1:8000\twarning\t-\t-\tv2,a\n10.0.0.1:8001\t10.0.0.1:8001\tpassing\teu-1\t2\t-\n"
    );
    let healthy = registry.callsheet(["list", "billing", "--healthy", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&healthy.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["id"], "10.0.0.1:8001");
}

#[test]
fn an_empty_list_names_the_file_it_looked_at() {
    let registry = Registry::new();
    let ended = registry.callsheet(["list"]);
    assert_eq!((ended.code, &*ended.stdout), (0, ""));
    assert!(ended.stderr.contains(&registry.url()), "{}", ended.stderr);
    // Also where the URL does not: the default path is the one that people look for.
    let mut command = registry.command(["list", "no-such-service"]);
    let output = command.env("CALLSHEET_URL", "local:").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("/registry.db"), "{said}");
}
