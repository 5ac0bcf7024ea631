//! A connection to one endpoint: name lookup, TCP, TLS, HTTP/2. It is dialled once: what is lost stays lost, so that who
//! comes next reads the files of TLS anew, and tries another endpoint first.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Uri};
use tower_service::Service;

use crate::config::{Endpoint, Tls};
use crate::error::{Code, Error, Result};
use crate::tls;

/// Between two pings of a connection with open streams. The server ends connections that ping more often than every 5 s.
const PING: Duration = Duration::from_secs(6);
/// What the answer to a ping may take.
const PONG: Duration = Duration::from_secs(3);

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects. Says what is wrong and what to do; the caller says with which registry.
pub(super) async fn dial(endpoint: &Endpoint, tls: Option<&Tls>) -> Result<Channel> {
    let stream = tcp(endpoint).await?;
    let (io, scheme): (Box<dyn Io>, _) = match tls {
        None => (Box::new(stream), "http"),
        Some(tls) => (Box::new(secured(endpoint, tls, stream).await?), "https"),
    };
    let wrong =
        |error: tonic::transport::Error| unreachable(endpoint, "HTTP/2 can't be set up").with_cause(error);
    let origin = format!("{scheme}://{endpoint}").parse::<Uri>();
    let origin = origin.map_err(|error| unreachable(endpoint, "it is no part of a URL").with_cause(error))?;
    // TLS is below: to tonic, every connection is one in plain text.
    tonic::transport::Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(wrong)?
        .origin(origin)
        .user_agent(concat!("callsheet/", env!("CARGO_PKG_VERSION")))
        .map_err(wrong)?
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(false)
        .connect_with_connector(Once(Some(io)))
        .await
        .map_err(wrong)
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream> {
    let Endpoint { host, port } = endpoint;
    let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|error| {
            unreachable(endpoint, &format!("there is no host named {host:?}; check its spelling"))
                .with_cause(error)
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
            "nothing listens there; check that etcd runs and its --listen-client-urls"
        }
        io::ErrorKind::NotFound => "the name has no address",
        _ => "the network does not reach it",
    };
    Err(unreachable(endpoint, why).with_cause(last))
}

async fn secured(
    endpoint: &Endpoint,
    files: &Tls,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = tls::server_name(files, &endpoint.host)?;
    let connector = TlsConnector::from(tls::client(files, &[b"h2"])?);
    connector.connect(name, stream).await.map_err(|error| refused(endpoint, error))
}

/// A failure of the handshake, or of the first request where TLS 1.3 shows that the server did not accept us.
pub(super) fn refused(endpoint: &Endpoint, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    match tls::explained(&error, &endpoint.host) {
        Some((why, true)) => Error::new(Code::Unauthenticated, format!("{endpoint}: {why}")),
        Some((why, false)) => unreachable(endpoint, &why),
        None => unreachable(endpoint, "the connection broke").with_cause(error),
    }
}

pub(super) fn unreachable(endpoint: &Endpoint, why: &str) -> Error {
    Error::new(Code::Unavailable, format!("{endpoint}: {why}"))
}

/// Gives tonic the one connection there is, and no other when it asks again.
struct Once(Option<Box<dyn Io>>);

impl Service<Uri> for Once {
    type Response = TokioIo<Box<dyn Io>>;
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
