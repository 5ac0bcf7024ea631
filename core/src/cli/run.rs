//! `callsheet run`: a program, registered while it runs. Starts it, registers it once its port listens, hands signals
//! on, withdraws, and ends as it ended.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsString;
use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;

use clap::ValueEnum;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use tokio::time::{Instant, sleep, timeout};

use super::child::{Child, not_started};
use super::exit::Failure;
use super::output::{Output, printable};
use super::signals::Signals;
use super::value;
use crate::client::Client;
use crate::error::Error;
use crate::health::{Check, accepts};
use crate::registration::{Registration, RegistrationHandle, State};

/// What is handed on to the program. The others either can't be caught or mean this process alone.
const FORWARDED: [i32; 8] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM];
/// How long a signal to end is held back for a registry that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a program that has ended is withdrawn at most; the registration itself gives up a little earlier.
const WITHDRAWAL: Duration = Duration::from_secs(6);
/// Between two tries of what the core does not retry by itself, and between two looks at a registration that is
/// pending.
const RETRY: Duration = Duration::from_secs(5);
/// The same trouble is told again after this.
const REMINDER: Duration = Duration::from_secs(60);

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
    /// The address that others reach it at. Default: $CALLSHEET_ADDRESS, else what suits the registry
    #[arg(long)]
    address: Option<String>,
    /// Its id within the service. Default: ADDRESS:PORT
    #[arg(long)]
    id: Option<String>,
    /// A tag; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A metadata pair; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::pair)]
    metadata: Vec<(String, String)>,
    /// Where it runs, such as an availability zone
    #[arg(long)]
    zone: Option<String>,
    /// What it runs
    #[arg(long)]
    version: Option<String>,
    /// Its share of calls for weighted policies, 1 to 65535. Default: 1
    #[arg(long)]
    weight: Option<u32>,
    /// How long the registry keeps it without hearing of it, such as 10s. Default: $CALLSHEET_TTL, else 10s
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    ttl: Option<Duration>,
    /// How to speak to it. Default: http
    #[arg(long)]
    scheme: Option<String>,
    /// How its health is decided
    #[arg(long, value_enum, default_value_t)]
    check: HealthCheck,
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
        let provider = &Provider { client, handle: OnceCell::new(), output, told: RefCell::default() };
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
        let mut registration =
            Registration::new(&self.service).port(self.port).wait_for_port(true).hold(true);
        registration = registration.check(match self.check {
            HealthCheck::Ttl => Check::ttl(),
            HealthCheck::Tcp => Check::tcp(),
        });
        for tag in &self.tags {
            registration = registration.tag(tag);
        }
        for (key, value) in &self.metadata {
            registration = registration.metadata(key, value);
        }
        if let Some(address) = &self.address {
            registration = registration.address(address);
        }
        if let Some(id) = &self.id {
            registration = registration.id(id);
        }
        if let Some(zone) = &self.zone {
            registration = registration.zone(zone);
        }
        if let Some(version) = &self.version {
            registration = registration.version(version);
        }
        if let Some(weight) = self.weight {
            registration = registration.weight(weight);
        }
        if let Some(ttl) = self.ttl {
            registration = registration.ttl(ttl);
        }
        if let Some(scheme) = &self.scheme {
            registration = registration.scheme(scheme);
        }
        if let Some(drain) = self.drain {
            registration = registration.drain(drain);
        }
        registration
    }
}

/// The registration of a running program. What goes wrong with it is told and retried, and never ends the program.
struct Provider<'a> {
    client: Client,
    handle: OnceCell<RegistrationHandle>,
    output: &'a Output,
    /// The trouble that was told last and when; `None` while all is well.
    told: RefCell<Option<(String, Instant)>>,
}

impl Provider<'_> {
    /// Registers, and tells what keeps it from being registered. Never ends by itself.
    async fn keep_registered(&self, registration: Registration) {
        let handle = loop {
            match self.client.register(registration.clone()).await {
                Ok(handle) => break self.handle.get_or_init(|| handle),
                Err(error) => self.trouble(&error),
            }
            sleep(RETRY).await;
        };
        let Ok(states) = handle.states() else { return pending().await };
        // Only lifts the hold; how it goes is told by the states.
        let _ = handle.ready(Duration::ZERO).await;
        // A registry that is down is told of at once, not only when the port listens.
        if let Err(error) = self.client.ping().await {
            self.trouble(&error);
        }
        let mut state = State::Pending;
        loop {
            let change = match state {
                // Tries that fail are no change of state.
                State::Pending => timeout(RETRY, states.next()).await,
                _ => Ok(states.next().await),
            };
            match change {
                Ok(Some(change)) => {
                    state = change.state;
                    match (state, change.error) {
                        (State::Registered, _) => self.well(handle),
                        (_, Some(error)) => self.trouble(&error),
                        _ => {}
                    }
                }
                Ok(None) => pending().await,
                Err(_) => handle.last_error().iter().for_each(|error| self.trouble(error)),
            }
        }
    }

    fn trouble(&self, error: &Error) {
        let message = error.to_string();
        let mut told = self.told.borrow_mut();
        if told.as_ref().is_some_and(|(last, at)| *last == message && at.elapsed() < REMINDER) {
            return;
        }
        self.output.warn(&format!("not registered: {message}"));
        *told = Some((message, Instant::now()));
    }

    fn well(&self, handle: &RegistrationHandle) {
        if self.told.take().is_some() {
            let (service, id) = (handle.instance().service, handle.id());
            self.output.warn(&format!("{service}/{} is registered now", printable(&id)));
        }
    }

    /// Until no new calls should come: withdrawn and drained, or told to a registry that does not answer.
    async fn withdrawn(&self) {
        let silence = async {
            match self.handle.get() {
                // Only the drain is left.
                Some(handle) if handle.wait(State::Closed, PATIENCE).await.is_ok() => pending().await,
                Some(_) => {}
                None => sleep(PATIENCE).await,
            }
        };
        tokio::select! {
            _ = self.client.close() => {}
            () = silence => {}
        }
    }

    /// Withdraws a program that has ended, which has no calls under way to wait for.
    async fn withdraw(&self) {
        let undrained = async {
            match self.handle.get() {
                Some(handle) if handle.wait(State::Closed, WITHDRAWAL).await.is_ok() => {}
                _ => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.client.close() => {}
            () = undrained => {}
            () = sleep(WITHDRAWAL) => {}
        }
        if let Some(error) = self.handle.get().and_then(RegistrationHandle::last_error) {
            self.output.warn(&error.to_string());
        }
    }
}
