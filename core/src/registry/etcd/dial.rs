//! A connection to one endpoint: name lookup, TCP, TLS, HTTP/2. It is dialled once: what is lost stays lost, so that who
//! comes next reads the files of TLS anew, and tries another endpoint first.

use std::future::{Future, Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Uri};
use tower_service::Service;

use super::wire::{Io, Tap, Wire};
use crate::config::{Endpoint, Tls};
use crate::error::{Code, Error, Result};
use crate::tls;

/// Between two pings of a connection with open streams. The server ends connections that ping more often than every 5 s.
const PING: Duration = Duration::from_secs(6);
/// What the answer to a ping may take.
const PONG: Duration = Duration::from_secs(3);
/// What a client of HTTP/2 says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a server is listened to that ended a connection without a word.
const LISTEN: Duration = Duration::from_millis(500);

/// How long something may take, for those who do it and for the words when it took longer.
pub(super) struct Limit {
    of: Duration,
    until: Instant,
}

impl Limit {
    pub(super) fn new(of: Duration) -> Self {
        Limit { of, until: Instant::now() + of }
    }

    pub(super) async fn keep<T>(&self, late: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
        let late = || Error::new(Code::Timeout, late.replace("{}", &format!("{:?}", self.of)));
        timeout_at(self.until, step).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Connects. Says what is wrong and what to do; the caller says where.
pub(super) async fn dial(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    limit: &Limit,
) -> Result<(Channel, Arc<Wire>)> {
    let io = reach(endpoint, tls, limit).await?;
    let wire = io.wire.clone();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = |error: tonic::transport::Error| unavailable("HTTP/2 can't be set up").with_cause(error);
    let origin = format!("{scheme}://{endpoint}").parse::<Uri>();
    let origin = origin.map_err(|error| unavailable("it is no part of a URL").with_cause(error))?;
    // TLS is below: to tonic, every connection is one in plain text.
    let connected = tonic::transport::Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(wrong)?
        .origin(origin)
        .user_agent(concat!("callsheet/", env!("CARGO_PKG_VERSION")))
        .map_err(wrong)?
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(false)
        .connect_with_connector(Once(Some(io)))
        .await;
    match connected {
        Ok(channel) => Ok((channel, wire)),
        Err(error) => {
            let why = wire.why().unwrap_or_else(|| wrong(error));
            Err(reason(&wire, endpoint, tls, limit).await.unwrap_or(why))
        }
    }
}

/// Why the server refuses us, if the connection of `silent` ended without a word and another one tells. What a server says
/// before it closes is lost where the reset for what it left unread gets here first; this one leaves it nothing unread.
pub(super) async fn reason(
    silent: &Wire,
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    limit: &Limit,
) -> Option<Error> {
    if !silent.silent() {
        return None;
    }
    let listen = async {
        let mut io = reach(endpoint, tls, limit).await?;
        // Within TLS a server that refuses says so by itself. In plain text it has to be asked.
        if tls.is_none() {
            let _ = io.write_all(PREFACE).await;
        }
        let mut rest = [0; 64];
        while let Ok(1..) = io.read(&mut rest).await {}
        Ok(io.wire.why())
    };
    let until = limit.until.min(Instant::now() + LISTEN);
    let told = timeout_at(until, listen).await.ok()?.unwrap_or_else(Some)?;
    // Whatever else went wrong now need not be what went wrong then.
    (told.code() != Code::Unavailable).then_some(told)
}

/// A connection on which nothing was said yet.
async fn reach(endpoint: &Endpoint, tls: Option<&Tls>, limit: &Limit) -> Result<Tap> {
    let late = "no connection within {}: the machine is down, or a firewall drops what is sent to it";
    let stream = limit.keep(late, tcp(endpoint)).await?;
    let mut presented = Vec::new();
    let io: Box<dyn Io> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let late = "it took the connection but not the TLS handshake within {}: it hangs, or speaks no TLS on this \
                        port";
            let stream = limit.keep(late, secured(endpoint, tls, stream)).await?;
            presented = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
            Box::new(stream)
        }
    };
    Ok(Tap { io, wire: Wire::new(&endpoint.host, tls, presented), greeted: false })
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream> {
    let Endpoint { host, port } = endpoint;
    let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|error| {
            let why =
                format!("the name {host:?} can't be looked up: check its spelling, and the name service");
            unavailable(&why).with_cause(error)
        })?
        .collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    let why = match last.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there: check that etcd runs, and that its --listen-client-urls has this address"
        }
        io::ErrorKind::NotFound => "the name has no address",
        _ => "the network does not reach it",
    };
    Err(unavailable(why).with_cause(last))
}

async fn secured(endpoint: &Endpoint, files: &Tls, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
    let name = tls::server_name(files, &endpoint.host)?;
    let read = files.clone();
    // The system's authorities alone are a hundred files.
    let config = tokio::task::spawn_blocking(move || tls::client(&read, &[b"h2"])).await;
    let config = config
        .map_err(|error| Error::new(Code::Internal, "reading the files of TLS").with_cause(error))??;
    let connector = TlsConnector::from(config);
    connector.connect(name, stream).await.map_err(|error| {
        tls::explained(&error, &endpoint.host, files).unwrap_or_else(|| {
            let why = "the server broke off the TLS handshake: if it speaks plain text on this port, write etcd:// instead \
                       of etcds://";
            unavailable(why).with_cause(error)
        })
    })
}

fn unavailable(why: &str) -> Error {
    Error::new(Code::Unavailable, why)
}

/// Gives tonic the one connection there is, and no other when it asks again.
struct Once(Option<Tap>);

impl Service<Uri> for Once {
    type Response = TokioIo<Tap>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let lost = || io::Error::new(io::ErrorKind::NotConnected, "the connection is lost");
        ready(self.0.take().map(TokioIo::new).ok_or_else(lost))
    }
}
