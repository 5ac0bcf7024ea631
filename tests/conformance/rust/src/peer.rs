//! Another process that runs steps: one step per line in, one answer per line out.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::{Fail, wrong};

pub(crate) struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(program: &Path, url: &str, environment: Vec<(String, String)>) -> Result<Self, Fail> {
        let failed = |error| Fail::Wrong(format!("can't start {}: {error}", program.display()));
        let mut command = Command::new(program);
        command.arg(url).envs(environment).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let Some(stdout) = child.stdout.take() else { return wrong("the peer has no output") };
        Ok(Peer { child, answers: BufReader::new(stdout) })
    }

    /// Has the peer run a step; it judges the outcome itself.
    pub(crate) fn run(&mut self, step: &Value) -> Result<(), Fail> {
        let Some(stdin) = &mut self.child.stdin else { return wrong("the peer was told to exit") };
        let mut answer = String::new();
        let asked = writeln!(stdin, "{step}").and_then(|()| self.answers.read_line(&mut answer));
        match (asked, answer.trim()) {
            (Ok(_), "ok") => Ok(()),
            (Ok(_), "") => wrong("the peer ended without an answer"),
            (Ok(_), answer) => wrong(format!("in the peer: {answer}")),
            (Err(error), _) => wrong(format!("the peer is gone: {error}")),
        }
    }

    /// Ends the peer by a signal, which must be what ends it.
    pub(crate) fn kill(&mut self, signal: &str, limit: Duration) -> Result<(), Fail> {
        let number = match signal {
            "KILL" => 9,
            "TERM" => 15,
            other => return wrong(format!("there is no signal {other}")),
        };
        let pid = self.child.id().to_string();
        if !Command::new("kill").args(["-s", signal, &pid]).status().is_ok_and(|status| status.success()) {
            return wrong(format!("can't send {signal} to the peer"));
        }
        match self.ended(limit)? {
            status if status.signal() == Some(number) => Ok(()),
            status => wrong(format!("the peer should have ended by {signal}, but: {status}")),
        }
    }

    /// Lets the peer end like any program whose work is done, without closing anything.
    pub(crate) fn exit(&mut self, limit: Duration) -> Result<(), Fail> {
        drop(self.child.stdin.take());
        match self.ended(limit)? {
            status if status.success() => Ok(()),
            status => wrong(format!("the peer did not end well: {status}")),
        }
    }

    fn ended(&mut self, limit: Duration) -> Result<ExitStatus, Fail> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() > deadline => {
                    return wrong(format!("the peer did not end within {limit:?}"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return wrong(format!("can't wait for the peer: {error}")),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
