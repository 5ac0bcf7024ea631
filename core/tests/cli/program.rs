//! What the tests share: a registry in a folder of its own, `callsheet` run to its end or in the background, and
//! waiting for a condition within a deadline.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use callsheet::{Client, Filter, Instance, Registration, RegistrationHandle, block_on};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Five times what anything here takes at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `done`, or panics with what was waited for.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    until_some(what, || done().then_some(()));
}

/// Waits until `look` finds something, or panics with what was waited for.
pub(crate) fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nothing listens on, outside the range from which the system takes ports by itself. While the UDP port of the
/// same number is held, which is until this process ends, no other test takes it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() * 97;
    until_some("a free port", || {
        let at = (start + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 12_000;
        let port = 20_000 + u16::try_from(at).unwrap();
        let held = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok()?;
        std::mem::forget(held);
        Some(port)
    })
}

pub(crate) fn send(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

/// A finished command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A `local:` registry of one test.
pub(crate) struct Registry {
    folder: TempDir,
    client: Client,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let client = Client::connect(&url(folder.path())).unwrap();
        Registry { folder, client }
    }

    /// A file of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        url(self.folder.path())
    }

    /// `callsheet` with these arguments, on this registry.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        // Started in the background of a script, a test run ignores SIGINT, and so would what it starts.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,QUIT", env!("CARGO_BIN_EXE_callsheet")]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CALLSHEET_") {
                command.env_remove(name);
            }
        }
        command.env("CALLSHEET_URL", self.url()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs `callsheet` to its end.
    pub(crate) fn callsheet<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ended {
        Running::start(&mut self.command(arguments)).ended()
    }

    /// The instances of a service, of any status.
    pub(crate) fn instances(&self, service: &str) -> Vec<Instance> {
        instances(&self.client, service)
    }

    /// The same as a load finds them that begins now: a client that looked before answers from what it has heard of yet.
    pub(crate) fn loaded(&self, service: &str) -> Vec<Instance> {
        let client = Client::connect(&self.url()).unwrap();
        let found = instances(&client, service);
        block_on(client.close()).unwrap();
        found
    }

    /// Waits until a service has this many instances.
    pub(crate) fn until_count(&self, service: &str, count: usize) {
        until(&format!("{count} instances of {service}"), || self.instances(service).len() == count);
    }

    /// Registers an instance in this process.
    pub(crate) fn register(&self, registration: Registration) -> RegistrationHandle {
        let handle = block_on(self.client.register(registration)).unwrap();
        assert_eq!(handle.state(), callsheet::State::Registered, "{:?}", handle.last_error());
        handle
    }
}

fn instances(client: &Client, service: &str) -> Vec<Instance> {
    let snapshot = block_on(client.lookup_with(service, &Filter::new().healthy(false))).unwrap();
    snapshot.iter().map(|instance| Instance::clone(instance)).collect()
}

fn url(folder: &Path) -> String {
    format!("local://{}", folder.join("registry.db").display())
}

/// A command in the background; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// Each line as it comes; ends with the pipe.
    stderr: mpsc::Receiver<String>,
    /// What was taken from it so far.
    said: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let mut pipe = BufReader::new(child.stderr.take().unwrap());
        let (sender, stderr) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|read| read > 0) {
                let _ = sender.send(std::mem::take(&mut line));
            }
        });
        Running { child, stdout, stderr, said: String::new() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// The next line of stdout; the test hangs, and is killed by its runner, if none ever comes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Waits for the next line of stderr.
    pub(crate) fn complaint(&mut self) {
        self.said += &self.stderr.recv_timeout(DEADLINE).expect("a line of stderr");
    }

    /// Closes the reading end of its stdout.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; the code is -N when signal N ended it.
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = String::new();
                pipe.read_to_string(&mut text).map(|_| text)
            })
        });
        let status = until_some("the end of the command", || self.child.try_wait().unwrap());
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap();
        let stdout = stdout.map(|reader| reader.join().unwrap().unwrap()).unwrap_or_default();
        let mut stderr = std::mem::take(&mut self.said);
        // A program that outlives `run` holds its stderr open.
        while let Ok(line) = self.stderr.recv_timeout(DEADLINE) {
            stderr += &line;
        }
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of `program.py`, as `callsheet run` starts it.
pub(crate) struct Program<'a> {
    registry: &'a Registry,
    pub(crate) port: u16,
    pub(crate) log: PathBuf,
}

impl<'a> Program<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        let port = free_port();
        Program { registry, port, log: registry.path(&format!("log-{port}")) }
    }

    /// `callsheet run SERVICE OPTIONS -- python3 program.py PORT LOG GATE`.
    pub(crate) fn run(&self, service: &str, options: &[&str], gate: Option<&Path>) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/program.py");
        let (port, log) = (self.port.to_string(), self.log.to_str().unwrap());
        let words = ["run", service, "--port", &port].into_iter().chain(options.iter().copied());
        let mut command = self.registry.command(words.chain(["--", "python3", script, &port, log]));
        command.args(gate);
        let list = format!("{} list {service}", env!("CARGO_BIN_EXE_callsheet"));
        command.env("LIST", list);
        command
    }

    /// What it has noted so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until it has noted what begins like this; the rest of it.
    pub(crate) fn until_noted(&self, prefix: &str) -> String {
        until_some(&format!("the note {prefix:?}"), || {
            self.notes().iter().find_map(|note| note.strip_prefix(prefix).map(|rest| rest.trim().to_owned()))
        })
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.until_noted("started").parse().unwrap()
    }
}
