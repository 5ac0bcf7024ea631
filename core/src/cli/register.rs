//! `callsheet register`: keeps something registered that can't do that itself, until it is told to end. Checks it from
//! here, says every change, and withdraws it.

use std::future::pending;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::description::Description;
use super::exit::{self, Failure};
use super::output::Output;
use super::provider::{Provider, Voice};
use super::signals::{Received, Signals};
use super::{ENDING, value};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::health::Check;
use crate::instance::{host_and_port, quoted};
use crate::registration::{Registration, State};

/// Within this, the signal that came before is no second one.
const ECHO: Duration = Duration::from_millis(300);

const AFTER_HELP: &str = "\
Registers in the foreground until SIGINT, SIGTERM or SIGHUP, withdraws, waits out --drain and exits with 0; a second \
signal ends it at once. Each change is a line on stdout: `registered`, `lost`, `refused`, `superseded` or `closed`, \
and with a check `passing` or `critical`, then SERVICE/ID.

A registry that is down is no failure: a line on stderr says so, and it is registered when the registry answers. \
Exit codes: 0 withdrawn, 1 it could not be withdrawn (it goes with its TTL), 2 wrong usage or configuration.

With the check `ttl` it counts as healthy while this command runs. `tcp`, `http` and `grpc` are asked from this \
machine, every --check-interval.

Examples:
  callsheet register billing --address 10.0.0.7 --port 5432 --check tcp
  callsheet register api --address 10.0.0.7 --port 80 --check http --check-target /health --check-interval 2s
  callsheet register auth --address 10.0.0.7 --port 50051 --check grpc --check-target /auth.v1.Tokens
  callsheet register db --port 5432 --scheme postgres --tag primary --wait-for-port --drain 5s";

/// Keep an instance registered that can't register itself
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Register {
    /// The service that it is an instance of
    service: String,
    /// The port that it listens on
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    description: Description,
    /// How its health is decided
    #[arg(long, value_enum, default_value_t)]
    check: Kind,
    /// What the check asks. tcp: HOST:PORT, default ADDRESS:PORT. http: a path such as /health, or an http:// URL.
    /// grpc: /SERVICE, HOST:PORT or HOST:PORT/SERVICE, default the server at ADDRESS:PORT
    #[arg(long, value_name = "TARGET", required_if_eq("check", "http"))]
    check_target: Option<String>,
    /// Time between two checks. Default: 5s
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    check_interval: Option<Duration>,
    /// Time that one check may take. Default: 2s
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    check_timeout: Option<Duration>,
    /// Time that it may be critical before the registry removes it, at least 1m. Only Consul does
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    deregister_critical_after: Option<Duration>,
    /// Register only once the port accepts connections
    #[arg(long)]
    wait_for_port: bool,
    /// Time between withdrawing and exiting, for calls under way. Default: $CALLSHEET_DRAIN, else 0
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    drain: Option<Duration>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Healthy while this command runs
    #[default]
    Ttl,
    /// Healthy while a port accepts connections
    Tcp,
    /// Healthy while a GET is answered with 200 to 299
    Http,
    /// Healthy while the gRPC health service answers SERVING
    Grpc,
}

impl Register {
    pub(super) async fn execute(self, registry: Option<&str>, output: &Output) -> Result<i32, Failure> {
        let registration = self.registration()?;
        registration.validate()?;
        let client = super::connect(registry)?;
        let mut signals = Signals::listen(&ENDING)?;
        let provider = Provider::new(client, output, Voice::States);
        // The other two never end.
        let received = tokio::select! {
            () = provider.keep_registered(registration) => signals.next().await,
            () = self.tell_health(&provider) => signals.next().await,
            received = signals.next() => received,
        };
        tracing::debug!(signal = received.number, "withdrawing");
        tokio::select! {
            biased;
            closed = provider.close() => if let Err(error) = closed {
                // Whatever the reason: what was asked for now, to leave, was not done.
                output.warn(&error.to_string());
                return Ok(exit::FAILED);
            },
            again = again(&mut signals, received) => return Ok(exit::by_signal(again.number)),
        }
        if let Some(handle) = provider.handle() {
            provider.line(handle, State::Closed.as_str(), "");
        }
        Ok(exit::OK)
    }

    fn registration(&self) -> Result<Registration> {
        let registration = self.description.of(Registration::new(&self.service).port(self.port).hold(true));
        let registration = registration.wait_for_port(self.wait_for_port).check(self.health_check()?);
        Ok(match self.drain {
            Some(drain) => registration.drain(drain),
            None => registration,
        })
    }

    fn health_check(&self) -> Result<Check> {
        let mut check = match (self.check, self.check_target.as_deref()) {
            (Kind::Ttl, None) => Check::ttl(),
            (Kind::Ttl, Some(_)) => {
                return Err(Error::invalid("--check-target is for --check tcp, http and grpc"));
            }
            (Kind::Tcp, None) => Check::tcp(),
            (Kind::Tcp, Some(target)) => {
                let (address, port) = tcp_target(target)?;
                Check::tcp_target(address, port)
            }
            // The arguments require one.
            (Kind::Http, target) => Check::http(target.unwrap_or("/")),
            (Kind::Grpc, None) => Check::grpc(),
            (Kind::Grpc, Some(target)) => Check::grpc_target(target),
        };
        if let Some(interval) = self.check_interval {
            check = check.interval(interval);
        }
        if let Some(timeout) = self.check_timeout {
            check = check.timeout(timeout);
        }
        if let Some(after) = self.deregister_critical_after {
            check = check.deregister_critical_after(after);
        }
        Ok(check)
    }

    /// Tells when the check changes its mind, as those see it who look for the service.
    async fn tell_health(&self, provider: &Provider<'_>) {
        if self.check == Kind::Ttl {
            return pending().await;
        }
        provider.registered.notified().await;
        let Some(handle) = provider.handle() else { return pending().await };
        let everything = Filter::new().healthy(false);
        let Ok(watch) = provider.client.watch_with(&self.service, &everything) else {
            return pending().await;
        };
        let mut told = None;
        while let Some(snapshot) = watch.next().await {
            // While it is lost or superseded, what stands under its id is not its own.
            let status = snapshot.get(&handle.id()).map(|instance| instance.status);
            if status.is_some() && status != told && handle.state() == State::Registered {
                told = status;
                provider.line(handle, status.unwrap_or_default().as_str(), "");
            }
        }
        pending().await
    }
}

/// A second signal, from somebody who does not want to wait. The same one at once is no second one: `timeout`, for one,
/// sends its signal to the process and then to its group.
async fn again(signals: &mut Signals, first: Received) -> Received {
    let at = Instant::now();
    loop {
        let received = signals.next().await;
        if received.number != first.number || at.elapsed() > ECHO {
            return received;
        }
    }
}

fn tcp_target(text: &str) -> Result<(&str, u16)> {
    host_and_port(text).ok_or_else(|| {
        Error::invalid(format!(
            "{} is no target of a tcp check: write HOST:PORT, such as 10.0.0.7:5432",
            quoted(text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_a_tcp_check() {
        assert_eq!(tcp_target("10.0.0.7:5432").unwrap(), ("10.0.0.7", 5432));
        assert_eq!(tcp_target("[::1]:80").unwrap(), ("::1", 80));
        for bad in ["", ":80", "[]:80", "host", "host:", "host:port", "host:65536", "host:-1"] {
            assert!(tcp_target(bad).is_err(), "{bad}");
        }
    }
}
