//! Arguments, help and exit codes that are the same for every command.

use crate::program::Registry;

#[test]
fn help_and_version_are_answers() {
    let registry = Registry::new();
    for words in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["list", "--help"],
        &["register", "--help"],
        &["doctor", "-h"],
        &["help", "watch"],
    ] {
        let ended = registry.callsheet(words.iter().copied());
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{words:?}");
        assert!(ended.stdout.contains("Usage: callsheet") && ended.stdout.contains("Examples:"), "{words:?}");
    }
    assert_eq!(
        registry.callsheet(["--version"]).stdout,
        format!("callsheet {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_does_not_show_the_environment() {
    let registry = Registry::new();
    let mut command = registry.command(["list", "--help"]);
    let output = command.env("CALLSHEET_URL", "etcd://root:hunter2@h").output().unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("hunter2"));
}

#[test]
fn mistakes_are_usage() {
    let registry = Registry::new();
    for words in [
        &[][..],
        &["lits"],
        &["list", "--what"],
        &["list", "we b"],
        &["pick"],
        &["run", "billing", "--port", "65536", "--", "true"],
        &["run", "billing", "--port", "1", "--ttl", "1ms", "--", "true"],
        &["run", "billing", "--port", "1"],
        &["completions", "cmd.exe"],
        &["register", "billing"],
        &["doctor", "billing"],
        &["--registry", "lokal:", "doctor"],
        &["--registry", "", "list"],
        &["--registry", "lokal:", "list"],
        &["--registry", "local:?tll=5", "run", "billing", "--port", "1", "--", "true"],
    ] {
        let ended = registry.callsheet(words.iter().copied());
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{words:?}");
        assert!(!ended.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn an_unreachable_registry_is_told_in_one_line() {
    let registry = Registry::new();
    for words in [&["list"][..], &["list", "billing"], &["pick", "billing"]] {
        let words = words.iter().copied().chain(["--registry", "local:///dev/null/registry.db"]);
        let ended = registry.callsheet(words);
        assert_eq!((ended.code, &*ended.stdout), (69, ""));
        assert!(
            ended.stderr.starts_with("callsheet: ") && ended.stderr.lines().count() == 1,
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn the_registry_is_the_options_before_the_environments() {
    let (here, there) = (Registry::new(), Registry::new());
    there.register(callsheet::Registration::new("billing").port(8000));
    assert_eq!(here.callsheet(["list"]).stdout, "");
    assert_eq!(here.callsheet(["--registry", &there.url(), "list"]).stdout, "billing\t1\t1\n");
    assert_eq!(here.callsheet(["list", "--registry", &there.url()]).stdout, "billing\t1\t1\n");
}

#[test]
fn every_shell_has_completions() {
    let registry = Registry::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = registry.callsheet(["completions", shell]);
        assert_eq!(ended.code, 0);
        for word in ["callsheet", "run", "register", "doctor", "watch", "pick", "--registry", "completions"] {
            let plain = word.trim_start_matches("--");
            assert!(ended.stdout.contains(plain), "{shell}: {word}");
        }
    }
}
