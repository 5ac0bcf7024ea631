//! The probes that this process runs for its own registrations. A probe only tells its verdict; the registration
//! decides what to publish.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Check, Kind, grpc, http};
use crate::instance::{Status, default_id};

/// A program's signs of life for `heartbeat`. Beats never block and never fail.
pub(crate) struct Beats(Mutex<Instant>);

impl Beats {
    pub(crate) fn new() -> Self {
        Beats(Mutex::new(Instant::now()))
    }

    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What a probe found last: a status, and why it is not passing. `None` until it has run once.
pub(crate) type Verdict = Option<(Status, String)>;

/// A check that this process runs. `watch::Sender` keeps the latest verdict only.
pub(crate) struct Probe {
    pub(crate) check: Check,
    /// Where the instance is, for targets that do not say.
    pub(crate) address: String,
    pub(crate) port: u16,
}

impl Probe {
    /// Runs until the receivers are gone.
    pub(crate) async fn run(self, beats: &Beats, verdicts: watch::Sender<Verdict>) {
        match &self.check.kind {
            Kind::Ttl => verdicts.closed().await,
            Kind::Heartbeat => self.listen_for_beats(beats, verdicts).await,
            Kind::Tcp { .. } | Kind::Http { .. } | Kind::Grpc { .. } => {
                let mut ticks = interval(self.check.interval);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ = verdicts.closed() => return,
                        _ = ticks.tick() => {}
                    }
                    tell(&verdicts, self.once().await);
                }
            }
        }
    }

    async fn once(&self) -> Verdict {
        let limit = self.check.timeout;
        let (what, tried) = match &self.check.kind {
            Kind::Http { target } => {
                (target.clone(), timeout(limit, http::get(target, &self.address, self.port)).await)
            }
            Kind::Grpc { target } => (
                target.clone().unwrap_or_else(|| default_id(&self.address, self.port)),
                timeout(limit, grpc::ask(target.as_deref(), &self.address, self.port)).await,
            ),
            kind => {
                let own = (self.address.clone(), self.port);
                let (address, port) = match kind {
                    Kind::Tcp { target: Some(target) } => target.clone(),
                    _ => own,
                };
                let connect = async {
                    let connected = connect(&address, port).await;
                    connected.map(drop).map_err(|error| format!("tcp {address}:{port}: {error}"))
                };
                (format!("{address}:{port}"), timeout(limit, connect).await)
            }
        };
        Some(match tried {
            Ok(Ok(())) => (Status::Passing, String::new()),
            Ok(Err(why)) => (Status::Critical, why),
            Err(_) => (Status::Critical, format!("{what}: no answer within {limit:?}")),
        })
    }

    async fn listen_for_beats(&self, beats: &Beats, verdicts: watch::Sender<Verdict>) {
        let limit = self.check.interval;
        loop {
            let due = beats.last() + limit;
            let verdict = if Instant::now() < due {
                (Status::Passing, String::new())
            } else {
                (Status::Critical, format!("no beat() for {limit:?}"))
            };
            let late = verdict.0 != Status::Passing;
            tell(&verdicts, Some(verdict));
            // A program that beats again is seen within a quarter of its interval.
            let next = if late { Instant::now() + limit / 4 } else { due };
            tokio::select! {
                _ = verdicts.closed() => return,
                _ = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

fn tell(verdicts: &watch::Sender<Verdict>, verdict: Verdict) {
    verdicts.send_if_modified(|current| {
        let modified = *current != verdict;
        *current = verdict;
        modified
    });
}

/// Connects once. A port of the ephemeral range where nobody listens may be given to the connecting socket itself, which
/// then is connected to itself (RFC 9293, simultaneous open): that is nobody's answer.
pub(super) async fn connect(address: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address, port)).await?;
    if is_itself(&stream) { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
}

fn is_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

/// Whether the port listens, at the advertised address or, for a program behind address translation, on loopback.
pub(crate) async fn accepts(address: &str, port: u16) -> bool {
    const LIMIT: Duration = Duration::from_secs(1);
    for address in [address, "127.0.0.1", "::1"] {
        if let Ok(Ok(_)) = timeout(LIMIT, connect(address, port)).await {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn a_program_that_stops_beating_goes_critical_and_comes_back() {
        let beats = Arc::new(Beats::new());
        let (sender, mut verdicts) = watch::channel(None);
        let probe =
            Probe { check: Check::heartbeat(Duration::from_secs(10)), address: String::new(), port: 1 };
        let theirs = beats.clone();
        let running = tokio::spawn(async move { probe.run(&theirs, sender).await });
        let start = Instant::now();
        verdicts.changed().await.unwrap();
        assert_eq!(verdicts.borrow_and_update().as_ref().unwrap().0, Status::Passing);
        verdicts.changed().await.unwrap();
        assert_eq!(verdicts.borrow_and_update().as_ref().unwrap().0, Status::Critical);
        assert_eq!(start.elapsed().as_secs(), 10);
        beats.beat();
        verdicts.changed().await.unwrap();
        assert_eq!(verdicts.borrow_and_update().as_ref().unwrap().0, Status::Passing);
        assert!(start.elapsed().as_secs() <= 13);
        drop(verdicts);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_port_is_critical_until_it_listens() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let check = Check::tcp().timeout(Duration::from_secs(5));
        let probe = Probe { check, address: "127.0.0.1".into(), port };
        assert_eq!(probe.once().await.unwrap().0, Status::Passing);
        assert!(accepts("192.0.2.1", port).await, "loopback counts");
        drop(listener);
        let (status, why) = probe.once().await.unwrap();
        assert_eq!(status, Status::Critical);
        assert!(why.contains("refused"), "{why}");
        assert!(!accepts("127.0.0.1", port).await);
    }

    #[tokio::test]
    async fn a_server_that_gives_no_answer_is_critical_in_time() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for check in [Check::http("/health"), Check::grpc()] {
            let check = check.timeout(Duration::from_millis(50));
            let (status, why) = Probe { check, address: "127.0.0.1".into(), port }.once().await.unwrap();
            assert_eq!(status, Status::Critical);
            assert!(why.ends_with("no answer within 50ms"), "{why}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_that_meets_itself_is_no_listener() {
        // Sockets of the test that meet themselves show that the kernel does this, and at which port.
        let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        let itself = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
        assert!(is_itself(&itself));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!is_itself(&other));
    }
}
