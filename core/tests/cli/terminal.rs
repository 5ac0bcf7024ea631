//! What a person sees: tables, the live table, and the terminal given back. In a real pseudo-terminal, whose
//! foreground the command has.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;

use callsheet::{Registration, Status, block_on};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{Program, Registry, send, until, until_some};

/// A command with a terminal of its own; killed when dropped.
struct Terminal {
    keyboard: File,
    slave: OwnedFd,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    before: Termios,
}

impl Terminal {
    fn start(command: &Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_col: columns, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).unwrap();
        let before = tcgetattr(&slave).unwrap();
        // setsid(1) makes it the leader of a session, with stdin as its terminal.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let end = || slave.try_clone().unwrap();
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, theirs) = (File::from(master.try_clone().unwrap()), shown.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                theirs.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Terminal { keyboard: File::from(master), slave, child, shown, before }
    }

    /// Everything written to the terminal so far.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// The same without escape sequences.
    fn text(&self) -> String {
        plain(&self.shown())
    }

    fn until_shown(&self, text: &str) {
        until(&format!("{text:?} on the terminal"), || self.text().contains(text));
    }

    /// What was drawn since the last time the picture began anew.
    fn picture(&self) -> String {
        let shown = self.shown();
        // The last one that is whole.
        let end = shown.rfind("\x1b[?2026l").unwrap_or(0);
        let begin = shown[..end].rfind("\x1b[?2026h").unwrap_or(0);
        plain(&shown[begin..end])
    }

    fn until_pictured(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        until(what, || wanted(&self.picture()));
    }

    fn press(&mut self, key: u8) {
        self.keyboard.write_all(&[key]).unwrap();
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Its exit code.
    fn ended(&mut self) -> i32 {
        until_some("the end of the command", || self.child.try_wait().unwrap()).code().unwrap()
    }

    fn is_restored(&self) -> bool {
        let now = tcgetattr(self.slave.as_fd()).unwrap();
        let modes = now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes;
        let shown = self.shown();
        let last =
            |on: &str, off: &str| shown.rfind(on).unwrap_or(0) > shown.rfind(off).unwrap_or(usize::MAX);
        // The cursor, line wrap, and the screen that was there before.
        modes
            && last("\x1b[?25h", "\x1b[?25l")
            && last("\x1b[?7h", "\x1b[?7l")
            && last("\x1b[?1049l", "\x1b[?1049h")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Text without CSI sequences; a cursor that moves begins a line.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(sequence.len() - 1);
        if sequence[end..].starts_with('H') {
            plain.push('\n');
        }
        rest = &sequence[end + 1..];
    }
    plain + rest
}

#[test]
fn a_list_is_a_coloured_table() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000).tag("v2"));
    let mut list = Terminal::start(&registry.command(["list", "billing"]), 80);
    assert_eq!(list.ended(), 0);
    list.until_shown("INSTANCE        ADDRESS         STATUS   TAGS");
    list.until_shown("127.0.0.1:8000  127.0.0.1:8000  passing  v2");
    assert!(list.shown().contains("\x1b["), "{:?}", list.shown());
    let mut plain = Terminal::start(
        Command::new("env").arg("NO_COLOR=1").arg(env!("CARGO_BIN_EXE_callsheet")).args([
            "--registry",
            &registry.url(),
            "list",
        ]),
        80,
    );
    assert_eq!(plain.ended(), 0);
    plain.until_shown("billing  1        1");
    assert!(!plain.shown().contains('\x1b'), "{:?}", plain.shown());
}

#[test]
fn a_watch_is_a_live_table_until_q_is_pressed() {
    let registry = Registry::new();
    let one = registry.register(Registration::new("billing").port(8000).zone("eu-1").tag("v2"));
    let mut watch = Terminal::start(&registry.command(["watch", "billing"]), 100);
    watch.until_pictured("the table", |picture| {
        picture.contains("billing: 1 of 1 healthy, live, local:///")
            && picture.contains("INSTANCE        STATUS   AGE  ADDRESS         ZONE  TAGS")
            && picture.contains("127.0.0.1:8000  passing")
    });
    assert!(!watch.is_restored());
    let two = registry.register(Registration::new("billing").port(8001));
    watch.until_pictured("the new one", |picture| {
        picture.contains("2 of 2") && picture.contains(":8001  passing")
    });
    block_on(one.set_status(Status::Critical, "down")).unwrap();
    watch.until_pictured("the change", |picture| {
        picture.contains("1 of 2") && picture.contains(":8000  critical")
    });
    block_on(two.close()).unwrap();
    watch.until_pictured("one less", |picture| picture.contains("0 of 1") && !picture.contains(":8001"));
    watch.press(b'x');
    watch.press(b'q');
    assert_eq!(watch.ended(), 0);
    until("the terminal as it was", || watch.is_restored());
}

#[test]
fn a_narrow_terminal_shows_fewer_columns() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000).zone("eu-1").version("1.2"));
    let watch = Terminal::start(&registry.command(["watch", "billing"]), 100);
    watch.until_pictured("every column", |picture| picture.contains("VERSION"));
    let size = Winsize { ws_col: 40, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&watch.slave, size).unwrap();
    watch.until_pictured("fewer columns", |picture| {
        picture.contains("STATUS") && !picture.contains("ZONE") && !picture.contains("VERSION")
    });
}

#[test]
fn signals_end_the_live_table_and_restore_the_terminal() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut watch = Terminal::start(&registry.command(["watch"]), 80);
        watch.until_pictured("the table", |picture| picture.contains("SERVICE  HEALTHY  INSTANCES  AGE"));
        match signal {
            // Ctrl-C, as the terminal sends it.
            Signal::INT => watch.press(3),
            _ => watch.signal(signal),
        }
        assert_eq!(watch.ended(), code);
        until("the terminal as it was", || watch.is_restored());
    }
}

#[test]
fn a_stopped_watch_gives_the_terminal_back_and_takes_it_again() {
    let registry = Registry::new();
    registry.register(Registration::new("billing").port(8000));
    let mut watch = Terminal::start(&registry.command(["watch"]), 80);
    watch.until_pictured("the table", |picture| picture.contains("billing"));
    // Ctrl-Z.
    watch.press(26);
    until("a stopped process", || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", watch.child.id())).unwrap();
        status.contains(") T ")
    });
    until("the terminal as it was", || watch.is_restored());
    registry.register(Registration::new("mail").port(25));
    watch.signal(Signal::CONT);
    watch.until_pictured("the table again", |picture| picture.contains("mail"));
    assert!(!watch.is_restored());
    watch.press(b'q');
    assert_eq!(watch.ended(), 0);
}

#[test]
fn a_registry_that_is_away_is_shown_and_waited_for() {
    let registry = Registry::new();
    let words = ["watch", "billing", "--registry", "local:///dev/null/registry.db"];
    let watch = Terminal::start(&registry.command(words), 200);
    watch.until_pictured("the reason", |picture| {
        picture.contains("can't read") && picture.contains("trying again")
    });
}

#[test]
fn ctrl_c_reaches_a_program_once_and_withdraws_it() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let mut run = Terminal::start(program.run("billing", &[], None).env("STUBBORN", "1"), 80);
    registry.until_count("billing", 1);
    run.press(3);
    program.until_noted("SIGINT");
    registry.until_count("billing", 0);
    // Signals that have gone the same way afterwards.
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::ALARM, "SIGALRM")] {
        run.signal(signal);
        program.until_noted(name);
    }
    run.signal(Signal::TERM);
    assert_eq!(run.ended(), 42);
    assert_eq!(program.notes().iter().filter(|note| *note == "SIGINT").count(), 1, "{:?}", program.notes());
}

#[test]
fn an_interrupt_that_was_sent_to_run_alone_is_passed_on() {
    let registry = Registry::new();
    let program = Program::new(&registry);
    let mut run = Terminal::start(&program.run("billing", &[], None), 80);
    registry.until_count("billing", 1);
    run.signal(Signal::INT);
    assert_eq!(run.ended(), 42);
    assert_eq!(program.until_noted("SIGINT"), "nothing");
}
