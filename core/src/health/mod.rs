//! How an instance's health is decided: the checks that a registration can ask for, and the probes that this process
//! runs where the registry has no agent to run them.

mod grpc;
mod http;
mod probe;

use std::time::Duration;

use crate::config::check_wait;
use crate::error::{Error, Result};
use crate::instance::{check_address, quoted};

#[cfg(any(test, fuzzing))]
pub(crate) use grpc::fuzz;
pub(crate) use probe::{Beats, Probe, Verdict, accepts};

/// Shortest interval between two runs of a check.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Shortest time after which a registry removes what is critical: Consul takes no less.
const MIN_DEREGISTER_AFTER: Duration = Duration::from_secs(60);

/// How the health of an instance is decided.
///
/// ```
/// use std::time::Duration;
/// use callsheet::Check;
/// let check = Check::tcp().interval(Duration::from_secs(2)).timeout(Duration::from_millis(500));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub(crate) kind: Kind,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) deregister_critical_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Alive while this process lives.
    Ttl,
    /// Alive while the program says so.
    Heartbeat,
    /// Alive while the port accepts connections; `None` is the instance's own address and port.
    Tcp { target: Option<(String, u16)> },
    /// Alive while a GET of this path, or of this whole URL, is answered with a status of 200 to 299.
    Http { target: String },
    /// Alive while the gRPC health service says so; `None` is the instance's own server as a whole.
    Grpc { target: Option<String> },
}

impl Kind {
    /// Whether an agent runs it, where the registry has one.
    pub(crate) fn by_agent(&self) -> bool {
        matches!(self, Kind::Tcp { .. } | Kind::Http { .. } | Kind::Grpc { .. })
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::ttl()
    }
}

impl Check {
    fn new(kind: Kind) -> Self {
        Check {
            kind,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            deregister_critical_after: None,
        }
    }

    /// Healthy while this process lives and renews. The default.
    pub fn ttl() -> Self {
        Self::new(Kind::Ttl)
    }

    /// Healthy while the program calls `beat()` at least every `interval`: a deadlocked program goes critical.
    pub fn heartbeat(interval: Duration) -> Self {
        Self::new(Kind::Heartbeat).interval(interval)
    }

    /// Healthy while the instance's address and port accept a TCP connection. Every 5 s, with 2 s for an answer,
    /// unless chosen.
    pub fn tcp() -> Self {
        Self::new(Kind::Tcp { target: None })
    }

    /// Like [`Check::tcp`], towards another address and port.
    pub fn tcp_target(address: impl Into<String>, port: u16) -> Self {
        Self::new(Kind::Tcp { target: Some((address.into(), port)) })
    }

    /// Healthy while a GET is answered with a status of 200 to 299. `target` is a path on the instance itself, such as
    /// `/health`, or a whole `http://` URL. Every 5 s, with 2 s for an answer, unless chosen.
    pub fn http(target: impl Into<String>) -> Self {
        Self::new(Kind::Http { target: target.into() })
    }

    /// Healthy while the instance's gRPC server says of itself that it is `SERVING`, in the gRPC health protocol
    /// (`grpc.health.v1.Health/Check`), without TLS. Any other status, an error or no answer is critical. Every 5 s, with
    /// 2 s for an answer, unless chosen.
    pub fn grpc() -> Self {
        Self::new(Kind::Grpc { target: None })
    }

    /// Like [`Check::grpc`], towards another server or one of its services: `host:port`, `host:port/service`, or
    /// `/service` on the instance itself.
    pub fn grpc_target(target: impl Into<String>) -> Self {
        Self::new(Kind::Grpc { target: Some(target.into()) })
    }

    /// Time between two runs of the check, at least 100 ms.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Time that one run may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time that the instance may be critical before the registry removes it, at least a minute. Only Consul acts on
    /// it; the other registries remove what is not renewed within its TTL, and nothing else.
    /// Default: 1 minute with [`Check::ttl`], whose process is dead by then, else 10 minutes.
    #[must_use]
    pub fn deregister_critical_after(mut self, after: Duration) -> Self {
        self.deregister_critical_after = Some(after);
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.interval < MIN_INTERVAL {
            return Err(Error::invalid(format!(
                "check interval {:?} is not allowed: use at least {MIN_INTERVAL:?}",
                self.interval
            )));
        }
        if self.timeout.is_zero() {
            return Err(Error::invalid("check timeout must be above 0"));
        }
        check_wait("check interval", self.interval)?;
        check_wait("check timeout", self.timeout)?;
        if let Some(after) = self.deregister_critical_after {
            if after < MIN_DEREGISTER_AFTER {
                return Err(Error::invalid(format!(
                    "deregister_critical_after {after:?} is not allowed: use at least 1 minute"
                )));
            }
            check_wait("deregister_critical_after", after)?;
        }
        if let Kind::Tcp { target: Some((address, port)) } = &self.kind {
            check_address(address)?;
            if *port == 0 {
                return Err(Error::invalid(format!("the check of {} names port 0", quoted(address))));
            }
        }
        if let Kind::Http { target } = &self.kind {
            http::check_target(target)?;
        }
        if let Kind::Grpc { target: Some(target) } = &self.kind {
            grpc::check_target(target)?;
        }
        Ok(())
    }
}
