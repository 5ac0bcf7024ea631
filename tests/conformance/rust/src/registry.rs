//! The registry of one scenario, and what is done to it: `memory:` by its own control, the others by the program that does
//! it for all languages, `tests/conformance/registries`, one process for the run.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use callsheet::Instance;
use callsheet::memory::Memory;
use serde_json::{Map, Value, json};

use crate::args::{Args, Fail, wrong};
use crate::scenario::Scenario;

/// What starting or stopping a server may take. It has deadlines of its own.
const PATIENCE: Duration = Duration::from_secs(120);

/// The registries of a run. Ends with their program.
#[derive(Default)]
pub struct Registries(Mutex<Option<Program>>);

struct Program {
    child: Child,
    /// It ends when this closes.
    stdin: Option<ChildStdin>,
    socket: PathBuf,
}

/// The registry that a scenario runs on.
pub enum Registry {
    /// In this process.
    Memory(String, Memory),
    /// In a process that is asked by lines of JSON, with the options that clients need.
    Elsewhere(String, Map<String, Value>, BufReader<UnixStream>),
    /// Known by its URL alone: to a peer.
    Known(String),
}

impl Registries {
    /// An empty registry called `name`, for `scenario`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn open(&self, name: &str, number: usize, scenario: &Scenario) -> Result<Registry, String> {
        if name == "memory" {
            let name = format!("c{}-{number}", std::process::id());
            let memory = Memory::named(&name).map_err(|error| error.to_string())?;
            return Ok(Registry::Memory(format!("memory:{name}"), memory));
        }
        let socket = {
            let mut program = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &*program {
                Some(program) => program.socket.clone(),
                None => program.insert(Program::start()?).socket.clone(),
            }
        };
        let stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let mut stream = BufReader::new(stream);
        let answer = ask(
            &mut stream,
            &json!({"name": name, "needs": scenario.needs, "services": scenario.registered()?}),
        )?;
        let url = answer["url"].as_str().ok_or("it has no url")?.to_owned();
        let login = answer["login"].as_object().cloned().ok_or("it has no login")?;
        Ok(Registry::Elsewhere(url, login, stream))
    }
}

impl Program {
    fn start() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registries");
        let failed = |error| format!("can't start {}: {error}", folder.display());
        let mut command = Command::new("python3");
        command.arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        Ok(Program { stdin: child.stdin.take(), child, socket: line.trim_end().into() })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

impl Registry {
    pub(crate) fn url(&self) -> &str {
        match self {
            Registry::Memory(url, _) | Registry::Elsewhere(url, ..) | Registry::Known(url) => url,
        }
    }

    pub(crate) fn login(&self) -> Map<String, Value> {
        match self {
            Registry::Elsewhere(_, login, _) => login.clone(),
            Registry::Memory(..) | Registry::Known(_) => Map::new(),
        }
    }

    pub(crate) fn fault(&mut self, args: &mut Args) -> Result<(), Fail> {
        let (kind, on) = (args.need("kind")?, args.flag("on")?.unwrap_or(true));
        let seconds = args.seconds("seconds")?.unwrap_or_default();
        let (service, id) = (args.text("service")?.unwrap_or_default(), args.text("id")?.unwrap_or_default());
        let memory = match self {
            Registry::Memory(_, memory) => memory,
            Registry::Elsewhere(_, _, stream) => {
                let seconds = seconds.as_secs_f64();
                let fault = json!({"kind": kind, "on": on, "seconds": seconds, "service": service, "id": id});
                return ask(stream, &fault).map(drop).map_err(Fail::Wrong);
            }
            Registry::Known(_) => return wrong("faults are for the first process"),
        };
        match kind.as_str() {
            "unreachable" => memory.unreachable(on),
            "refuse" => memory.refuse(on),
            "slow" => memory.slow(seconds),
            "empty" => memory.answer_empty(on),
            "lists" => memory.answer_with_lists(on),
            "lose_leases" => memory.lose_leases(),
            "compact" => memory.compact(),
            "identity" => memory.change_identity(),
            "wipe" => memory.wipe(),
            "delete" => memory.delete(&service, &id),
            "put" => {
                let mut instance = Instance::new(service, "10.9.9.9", 9999);
                instance.id = id;
                memory.put(instance)?;
            }
            other => return wrong(format!("there is no fault {other:?}")),
        }
        Ok(())
    }

    /// Waits until whoever reads sees what was written.
    pub(crate) fn settle(&mut self) -> Result<(), Fail> {
        match self {
            Registry::Elsewhere(_, _, stream) => {
                ask(stream, &json!({"settle": true})).map(drop).map_err(Fail::Wrong)
            }
            Registry::Memory(..) | Registry::Known(_) => Ok(()),
        }
    }

    /// Ends the faults that last, so that clients can close.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        match self {
            Registry::Memory(_, memory) => {
                memory.unreachable(false);
                memory.refuse(false);
                memory.slow(Duration::ZERO);
            }
            Registry::Elsewhere(_, _, stream) => drop(ask(stream, &json!({"heal": true}))?),
            Registry::Known(_) => {}
        }
        Ok(())
    }
}

fn ask(stream: &mut BufReader<UnixStream>, line: &Value) -> Result<Value, String> {
    let mut answer = String::new();
    let asked = writeln!(stream.get_mut(), "{line}").and_then(|()| stream.read_line(&mut answer));
    asked.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer:?}"))?;
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer),
    }
}
