//! Where a command writes: results to stdout, everything said to a person to stderr. Knows whether a terminal or a
//! pipe reads, and never panics on one that is closed.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;
use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::exit::Failure;

pub(super) struct Output {
    stdout: RefCell<Box<dyn Write>>,
    stderr: RefCell<Box<dyn Write>>,
    terminal: bool,
    colour: bool,
}

impl Output {
    pub(super) fn of_process() -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: set, and not empty.
        let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Output {
            stdout: RefCell::new(Box::new(BufWriter::new(io::stdout()))),
            stderr: RefCell::new(Box::new(io::stderr())),
            terminal,
            colour: terminal && !colourless && !dumb,
        }
    }

    /// Whether a person reads stdout.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether stdout takes colour.
    pub(super) fn has_colour(&self) -> bool {
        self.colour
    }

    /// One line of result, kept back until [`Output::flush`].
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Text of the result as it is, without a newline.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        self.stdout.borrow_mut().write_all(text.as_bytes()).map_err(Failure::Output)
    }

    /// One line of JSON.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
        self.line(&text)
    }

    pub(super) fn flush(&self) -> Result<(), Failure> {
        self.stdout.borrow_mut().flush().map_err(Failure::Output)
    }

    /// One line on stderr.
    pub(super) fn warn(&self, message: &str) {
        // There is nobody left to tell when stderr is closed.
        let _ = writeln!(self.stderr.borrow_mut(), "callsheet: {}", printable(message));
    }

    /// Resolves when the reader of stdout has gone, so that `watch` ends with its pipe rather than at the next change.
    /// Never does where the system can't tell.
    pub(super) async fn reader_gone(&self) {
        // Unchecked, because the checked one would make the pipe non-blocking for all who write to it.
        if !self.terminal
            && let Ok(stdout) = rustix::stdio::stdout().try_clone_to_owned()
            && let Ok(stdout) = pipe::Sender::from_owned_fd_unchecked(stdout)
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Text for a line on a terminal: anyone may write to a registry, so nothing of it may move the cursor or begin a
/// new line.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            // Writing to a string can't fail.
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::rc::Rc;

    /// What a command wrote, for tests within the process.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output {
        /// An output to memory: itself, its stdout, its stderr.
        pub(in crate::cli) fn captured(terminal: bool) -> (Self, Written, Written) {
            let (stdout, stderr) = (Written::default(), Written::default());
            let output = Output {
                stdout: RefCell::new(Box::new(stdout.clone())),
                stderr: RefCell::new(Box::new(stderr.clone())),
                terminal,
                colour: false,
            };
            (output, stdout, stderr)
        }
    }

    #[test]
    fn what_others_wrote_can_not_move_the_cursor() {
        assert_eq!(printable("a\x1b[2J\nb\u{9b}c ü"), "a\\u{1b}[2J\\nb\\u{9b}c ü");
    }
}
