//! One test per scenario and registry, and a line of `target/conformance/rust.jsonl` for each.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use callsheet_conformance::{Registries, Registry, Scenario, Skips, World, names, scenarios};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;

const LANGUAGE: &str = "rust";

fn main() -> ExitCode {
    // Scenarios wait far more than they compute.
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(16);
    let filtered = arguments.filter.is_some() || !arguments.skip.is_empty() || arguments.list;
    let registries = Arc::new(Registries::default());
    match trials(&registries, !filtered) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn trials(registries: &Arc<Registries>, anew: bool) -> Result<Vec<Trial>, String> {
    let results = Arc::new(Mutex::new(results(anew).map_err(|error| error.to_string())?));
    let skips = Skips::read()?;
    let mut trials = Vec::new();
    for registry in names() {
        for (number, scenario) in scenarios()?.into_iter().enumerate() {
            let title = format!("{}: {}", scenario.area, scenario.name);
            let report = reporter(results.clone(), registry.clone(), scenario.clone());
            let Some(reason) = skips.reason(LANGUAGE, &registry, &scenario) else {
                let (registries, name) = (registries.clone(), registry.clone());
                let trial = Trial::test(title, move || {
                    let start = Instant::now();
                    let done = catch_unwind(AssertUnwindSafe(|| {
                        run(&scenario, registries.open(&name, number, &scenario)?)
                    }));
                    let result = done.unwrap_or_else(|_| Err("it panicked".into()));
                    match &result {
                        Ok(()) => report("passed", "", start),
                        Err(why) => report("failed", why, start),
                    }
                    result.map_err(Failed::from)
                });
                trials.push(trial.with_kind(registry.clone()));
                continue;
            };
            report("skipped", &reason, Instant::now());
            trials.push(Trial::test(title, || Ok(())).with_kind(registry.clone()).with_ignored_flag(true));
        }
    }
    Ok(trials)
}

fn run(scenario: &Scenario, registry: Registry) -> Result<(), String> {
    let place = format!("{}.json, {:?}", scenario.area, scenario.name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let peer = match std::env::var_os("CALLSHEET_CONFORMANCE_PEER") {
        Some(program) => PathBuf::from(program),
        None => PathBuf::from(env!("CARGO_BIN_EXE_conformance-peer")),
    };
    let mut world = World::new(registry, &peer);
    let mut result = Ok(());
    let (steps, _held) =
        scenario.steps(world.url(), &world.login()).map_err(|why| format!("{place}: {why}"))?;
    for (number, step) in steps.iter().enumerate() {
        result = runtime.block_on(world.step(step));
        if let Err(why) = result {
            result = Err(format!("{place}, step {}: {why}\n  step: {step}", number + 1));
            break;
        }
    }
    let ended = runtime.block_on(world.end()).map_err(|why| format!("{place}, at its end: {why}"));
    result.and(ended)
}

fn results(anew: bool) -> std::io::Result<File> {
    let target = Path::new(env!("CARGO_BIN_EXE_conformance-peer")).ancestors().nth(2);
    let folder = target.unwrap_or(Path::new("target")).join("conformance");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{LANGUAGE}.jsonl"));
    if anew {
        File::create(&path)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn reporter(results: Arc<Mutex<File>>, registry: String, scenario: Scenario) -> impl Fn(&str, &str, Instant) {
    move |result, reason, start| {
        let line = json!({
            "language": LANGUAGE, "registry": registry, "area": scenario.area, "scenario": scenario.name,
            "result": result, "reason": reason, "seconds": start.elapsed().as_secs_f64(),
        });
        let mut results = results.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = writeln!(results, "{line}");
    }
}
