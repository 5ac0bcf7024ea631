//! The scenario files, which of them a language or registry skips, and the registries to run them on.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use serde_json::{Map, Value};
use tempfile::TempDir;

/// One scenario as its file has it: with placeholders.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file, without `.json`.
    pub area: String,
    /// What is tried, in words.
    pub name: String,
    /// The promise of design.md that it holds callsheet to.
    pub promise: String,
    /// What it needs of a language or registry.
    pub needs: Vec<String>,
    text: String,
}

impl Scenario {
    /// The steps for the registry at `url`, whose clients have the options `login` unless they have their own; and what
    /// keeps their port and folder for them.
    ///
    /// # Errors
    /// When filling in the placeholders did not leave JSON.
    pub fn steps(
        &self,
        url: &str,
        login: &Map<String, Value>,
    ) -> Result<(Vec<Value>, (UdpSocket, TempDir)), String> {
        let held = free_port();
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let port = held.local_addr().map_err(|error| error.to_string())?.port().to_string();
        let text = self.text.replace("\"{port}\"", &port).replace("{port}", &port).replace("{url}", url);
        let text = text.replace("{folder}", &folder.path().to_string_lossy());
        let filled: Value = serde_json::from_str(&repeated(&text)).map_err(|error| error.to_string())?;
        let mut steps = filled["steps"].as_array().cloned().ok_or("it has no steps")?;
        for step in &mut steps {
            if step["do"] == "connect" && step["url"].as_str().is_none_or(|at| at.starts_with(url)) {
                log_in(step, login);
            }
        }
        Ok((steps, (held, folder)))
    }

    /// The services that it registers.
    ///
    /// # Errors
    /// When filling in the placeholders did not leave JSON.
    pub fn registered(&self) -> Result<BTreeSet<String>, String> {
        let filled: Value = serde_json::from_str(&repeated(&self.text)).map_err(|error| error.to_string())?;
        let steps = filled["steps"].as_array().into_iter().flatten();
        let registers = steps.filter(|step| step["do"] == "register" && step["error"].is_null());
        Ok(registers.filter_map(|step| step["with"]["service"].as_str().map(str::to_owned)).collect())
    }
}

fn log_in(step: &mut Value, login: &Map<String, Value>) {
    for (name, value) in login {
        if step["options"][name].is_null() {
            step["options"][name] = value.clone();
        }
    }
}

/// `{257}` stands for that many letters.
fn repeated(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}').and_then(|(count, rest)| Some((count.parse().ok()?, rest))) {
            Some((count, rest)) => {
                filled.push_str(&"x".repeat(count));
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    filled
}

/// A port that nothing listens on, outside the ranges from which the system and tests/servers take theirs. While the UDP
/// port of the same number is held, no other runner takes it.
fn free_port() -> UdpSocket {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 6000 + ((process::id() * 97 + next) % 4000) as u16;
        if let (Ok(held), Ok(_)) =
            (UdpSocket::bind(("127.0.0.1", port)), TcpListener::bind(("127.0.0.1", port)))
        {
            return held;
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Result<Value, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    serde_json::from_str(&text).map_err(|error| named(&error))
}

/// Every scenario, in the order of the files' names.
///
/// # Errors
/// When a file can't be read.
pub fn scenarios() -> Result<Vec<Scenario>, String> {
    let files = fs::read_dir(folder().join("scenarios")).map_err(|error| error.to_string())?;
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    let mut scenarios = Vec::new();
    for path in paths {
        let area = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for scenario in read(&path)?.as_array().into_iter().flatten() {
            let text = |key: &str| scenario[key].as_str().unwrap_or_default().to_owned();
            let needs = scenario["needs"].as_array().into_iter().flatten();
            scenarios.push(Scenario {
                area: area.clone(),
                name: text("name"),
                promise: text("promise"),
                needs: needs.filter_map(|need| need.as_str().map(str::to_owned)).collect(),
                text: scenario.to_string(),
            });
        }
    }
    Ok(scenarios)
}

/// What `skips.json` says.
pub struct Skips(Value);

impl Skips {
    /// Reads it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read() -> Result<Self, String> {
        read(&folder().join("skips.json")).map(Skips)
    }

    /// Why `language` does not run `scenario` on `registry`; `None` when it does.
    pub fn reason(&self, language: &str, registry: &str, scenario: &Scenario) -> Option<String> {
        let meant = |skip: &Value, key: &str, value: &str| {
            skip[key].as_array().is_none_or(|values| values.iter().any(|known| known == value))
        };
        let skips = |skip: &&Value| {
            let needs = skip["needs"].as_array();
            meant(skip, "languages", language)
                && meant(skip, "registries", registry)
                && meant(skip, "scenarios", &scenario.name)
                && needs
                    .is_none_or(|needs| needs.iter().any(|need| scenario.needs.iter().any(|own| need == own)))
        };
        let skip = self.0.as_array()?.iter().find(skips)?;
        Some(skip["reason"].as_str().unwrap_or("no reason given").to_owned())
    }
}

/// The registries to run on: `$CALLSHEET_CONFORMANCE_REGISTRIES`, else all.
pub fn names() -> Vec<String> {
    let names =
        env::var("CALLSHEET_CONFORMANCE_REGISTRIES").unwrap_or_else(|_| "memory local etcd consul".into());
    names.split_whitespace().map(str::to_owned).collect()
}
