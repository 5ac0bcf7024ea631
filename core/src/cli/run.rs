//! `callsheet run`: a program, registered while it runs. Starts it, registers it once its port listens, hands signals
//! on, withdraws, and ends as it ended.

use std::ffi::OsString;
use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;

use clap::ValueEnum;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use super::child::{Child, not_started};
use super::description::Description;
use super::exit::Failure;
use super::output::Output;
use super::provider::{Provider, Voice};
use super::signals::Signals;
use super::value;
use crate::health::{Check, accepts};
use crate::registration::Registration;

/// What is handed on to the program. The others either can't be caught or mean this process alone.
const FORWARDED: [i32; 8] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM];

const AFTER_HELP: &str = "\
The program is registered once PORT accepts connections and withdrawn when it ends, however it ends. SIGTERM and \
SIGINT withdraw it first, wait out --drain, and are then passed on; a second one is passed on at once. Other signals \
are passed on as they come. Ctrl-C on a terminal reaches the program directly: it is withdrawn at the same moment.

A registry that is down does not keep the program from running: one line on stderr says so, and it is registered when \
the registry answers. So `run` itself fails only before the program starts: 2 for wrong usage or configuration, 127 \
for a program that is not found, 126 for one that can't be executed. After that its exit code is the program's, or \
128+N when signal N ended it.

If callsheet itself is killed (SIGKILL), the program runs on without its registration.

Examples:
  callsheet run billing --port 8000 -- python3 -m http.server 8000
  callsheet run billing --port 8080 --tag v2 --metadata team=pay --drain 5s -- ./server
  callsheet --registry etcd://10.0.0.5:2379 run db --port 5432 --scheme postgres --check tcp -- postgres -D data";

/// Run a program and keep it registered while it runs
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Run {
    /// The service that the program is an instance of
    service: String,
    /// The port that it listens on
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    description: Description,
    /// How its health is decided
    #[arg(long, value_enum, default_value_t)]
    check: HealthCheck,
    /// Time that it may be critical before the registry removes it, at least 1m. Only Consul does
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    deregister_critical_after: Option<Duration>,
    /// Time between withdrawing and passing on SIGTERM or SIGINT, for calls under way. Default: $CALLSHEET_DRAIN,
    /// else 0
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    drain: Option<Duration>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum HealthCheck {
    /// Healthy while the program runs
    #[default]
    Ttl,
    /// Healthy while the port accepts connections
    Tcp,
    /// Healthy while the program's gRPC health service answers SERVING
    Grpc,
}

impl Run {
    pub(super) async fn execute(self, registry: Option<&str>, output: &Output) -> Result<i32, Failure> {
        let registration = self.registration();
        registration.validate()?;
        let client = super::connect(registry)?;
        // Before the program starts, so that no signal ends this process and leaves that one behind.
        let mut signals = Signals::listen(&FORWARDED)?;
        if accepts("127.0.0.1", self.port).await {
            output.warn(&format!(
                "port {} listens before the program was started; if another program has it, that one is registered",
                self.port
            ));
        }
        let mut child = match Child::start(&self.command) {
            Ok(child) => child,
            Err(error) => {
                output.warn(&format!("can't run {:?}: {error}", self.command[0]));
                return Ok(not_started(&error));
            }
        };
        let provider = &Provider::new(client, output, Voice::Trouble);
        let mut registered = pin!(provider.keep_registered(registration));
        // The signal to pass on once the program is withdrawn.
        let mut farewell: Option<Pin<Box<dyn Future<Output = i32> + '_>>> = None;
        let mut leaving = false;
        let code = loop {
            tokio::select! {
                code = child.ended() => break code,
                () = &mut registered, if !leaving => {}
                received = signals.next() => {
                    let has = child.has(received);
                    match received.number {
                        SIGTERM | SIGINT if !leaving => {
                            leaving = true;
                            farewell = Some(Box::pin(async move {
                                provider.withdrawn().await;
                                if has { pending().await } else { received.number }
                            }));
                        }
                        number => {
                            if matches!(number, SIGTERM | SIGINT) {
                                // Asked twice: no more waiting, and the program is not told a third time.
                                farewell = None;
                            }
                            if !has {
                                child.signal(number);
                            }
                        }
                    }
                }
                number = async { farewell.as_mut().expect("looked at before").await }, if farewell.is_some() => {
                    farewell = None;
                    child.signal(number);
                }
            }
        };
        drop(farewell);
        provider.withdraw().await;
        code.map_err(|error| Failure::system("can't wait for the program", error))
    }

    fn registration(&self) -> Registration {
        let registration = Registration::new(&self.service).port(self.port).wait_for_port(true).hold(true);
        let mut check = match self.check {
            HealthCheck::Ttl => Check::ttl(),
            HealthCheck::Tcp => Check::tcp(),
            HealthCheck::Grpc => Check::grpc(),
        };
        if let Some(after) = self.deregister_critical_after {
            check = check.deregister_critical_after(after);
        }
        let registration = self.description.of(registration).check(check);
        match self.drain {
            Some(drain) => registration.drain(drain),
            None => registration,
        }
    }
}
