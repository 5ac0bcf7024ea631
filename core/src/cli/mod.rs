//! The command line: its arguments, one file per command, and the way from a failure to an exit code. Called by the
//! binary and, inside a host's process, by the wheel: it never ends the process and leaves the terminal as it was.

mod changes;
mod child;
mod completions;
mod description;
mod exit;
mod feed;
mod filter;
mod list;
mod live;
mod output;
mod pick;
mod provider;
mod register;
mod row;
mod run;
mod screen;
mod signals;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod value;
mod watch;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::client::Client;
use crate::error::Result;
use exit::Failure;
use output::Output;
use signals::Signals;

/// Signals that end every command but `run`, which forwards them. `register` withdraws first.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 69 the registry can't be read, 128+N ended by signal N. \
`run` exits as its program does.

Output is a table on a terminal and plain lines in a pipe; colour is for terminals only, and NO_COLOR turns it off.

Examples:
  callsheet run billing --port 8000 -- python3 -m http.server 8000
  callsheet list
  callsheet watch billing
  curl \"$(callsheet pick billing)/invoices\"";

/// Service discovery: run programs registered, register others, and list, watch and pick instances.
#[derive(Parser)]
#[command(name = "callsheet", bin_name = "callsheet", version, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP)]
struct Arguments {
    /// The registry, such as local: or etcd://127.0.0.1:2379. Default: $CALLSHEET_URL, else local:
    // The core reads the environment. Read by clap, a URL with a password would stand in --help.
    #[arg(long, global = true, value_name = "URL")]
    registry: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Register(register::Register),
    List(list::List),
    Watch(watch::Watch),
    Pick(pick::Pick),
    Completions(completions::Completions),
}

/// Runs the command line `args`, the program's own name first, and returns its exit code.
///
/// Works on any thread that runs no async executor. While it runs it handles the signals that end a program, besides
/// the handlers that the host has; a host that acts on SIGINT itself should set that back to the default before.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    let output = Output::of_process();
    let done = catch_unwind(AssertUnwindSafe(|| execute(args, &output)));
    done.unwrap_or_else(|_| {
        output.warn("callsheet panicked; please report this");
        exit::FAILED
    })
}

fn execute(args: Vec<OsString>, output: &Output) -> i32 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help into a closed pipe is no failure.
            let _ = error.print();
            return error.exit_code();
        }
    };
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("can't start an event loop", error))
        .and_then(|runtime| runtime.block_on(arguments.execute(output)));
    let done = done.and_then(|code| output.flush().map(|()| code));
    done.unwrap_or_else(|failure| failure.tell(output))
}

impl Arguments {
    async fn execute(self, output: &Output) -> Result<i32, Failure> {
        let registry = self.registry.as_deref();
        match self.command {
            Command::Completions(completions) => completions.execute(output),
            Command::Run(run) => run.execute(registry, output).await,
            Command::Register(register) => register.execute(registry, output).await,
            Command::List(list) => unless_ended(list.execute(&connect(registry)?, output)).await,
            Command::Pick(pick) => unless_ended(pick.execute(&connect(registry)?, output)).await,
            Command::Watch(watch) => unless_ended(watch.execute(&connect(registry)?, output)).await,
        }
    }
}

fn connect(registry: Option<&str>) -> Result<Client> {
    match registry {
        Some(url) => Client::connect(url),
        None => Client::from_env(),
    }
}

/// `command`, unless a signal ends it first. The signals are taken rather than left to kill the process, so that the
/// terminal is restored and a host in whose process this runs goes on.
async fn unless_ended(command: impl Future<Output = Result<i32, Failure>>) -> Result<i32, Failure> {
    let mut signals = Signals::listen(&ENDING)?;
    tokio::select! {
        done = command => done,
        received = signals.next() => Ok(exit::by_signal(received.number)),
    }
}
