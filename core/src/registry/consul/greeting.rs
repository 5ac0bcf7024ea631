//! What a server says of us before it is asked anything. One with TLS that wants another certificate says so and closes;
//! where the reset for the request that it left unread gets here first, its words are lost. So it is listened to once
//! without a request.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{Place, Tls};
use crate::error::Error;
use crate::tls;

/// How long it is listened to.
const LISTEN: Duration = Duration::from_millis(500);

/// Why the server refuses us, if it does.
pub(super) async fn refusal(place: &Place, files: &Tls) -> Option<Error> {
    let told = match place {
        Place::Tcp(endpoint) => {
            let connect = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
            timeout(LISTEN, async { listen(connect.await.ok()?, &endpoint.host, files).await }).await
        }
        Place::Unix(path) => {
            let connect = UnixStream::connect(path);
            timeout(LISTEN, async { listen(connect.await.ok()?, "localhost", files).await }).await
        }
    };
    told.ok()?.filter(Error::refused)
}

/// Whether an agent without TLS takes no more connections of ours, which it says before it is asked anything.
pub(super) async fn too_many(place: &Place) -> bool {
    const WORDS: &[u8] = b"HTTP/1.1 429";
    let mut heard = [0; WORDS.len()];
    let listen = async {
        match place {
            Place::Tcp(endpoint) => {
                let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
                stream.read_exact(&mut heard).await
            }
            Place::Unix(path) => UnixStream::connect(path).await?.read_exact(&mut heard).await,
        }
    };
    matches!(timeout(LISTEN, listen).await, Ok(Ok(_))) && heard == WORDS
}

async fn listen<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    files: &Tls,
) -> Option<Error> {
    let name = tls::server_name(files, host).ok()?;
    let read = files.clone();
    let config = tokio::task::spawn_blocking(move || tls::client(&read, &[b"http/1.1"])).await.ok()?.ok()?;
    let error = match TlsConnector::from(config).connect(name, stream).await {
        Err(error) => error,
        Ok(mut stream) => stream.read(&mut [0]).await.err()?,
    };
    tls::explained(&error, host, files)
}
