//! The `http` probe: one GET per run on a connection of its own, so that a program which no longer accepts any is seen.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::{Error, Result};
use crate::instance::{default_id, quoted};

/// A path of the instance, or a whole URL.
pub(super) fn check_target(target: &str) -> Result<()> {
    let usable = match target.parse::<Uri>() {
        Ok(uri) if target.starts_with('/') => uri.host().is_none(),
        Ok(uri) => uri.scheme_str() == Some("http") && uri.host().is_some(),
        Err(_) => false,
    };
    if usable {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "http check {} is not allowed: use a path such as /health, or a whole http:// URL (checks over TLS are not \
         part of this version)",
        quoted(target)
    )))
}

/// Asks once. `Err` says why the answer is not a good one.
pub(super) async fn get(target: &str, address: &str, port: u16) -> std::result::Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("http {target}: {error}");
    let uri: Uri = target.parse().map_err(|error| failed(&error))?;
    let host = uri.host().unwrap_or(address).trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if uri.host().is_some() { 80 } else { port });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header(header::HOST, default_id(&host, port))
        .header(header::USER_AGENT, concat!("callsheet/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| failed(&error))?;
    // The connection has to be driven while the answer is awaited. It may end first, with the answer already in.
    let response = sender.send_request(request);
    tokio::pin!(response, connection);
    let mut ended = false;
    let answered = loop {
        tokio::select! {
            biased;
            answered = &mut response => break answered,
            _ = &mut connection, if !ended => ended = true,
        }
    };
    let status = answered.map_err(|error| failed(&error))?.status();
    if status.is_success() { Ok(()) } else { Err(failed(&Said(status))) }
}

struct Said(StatusCode);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answered {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn targets() {
        for good in ["/", "/health?deep=1", "http://10.0.0.1:8080/health", "http://[::1]/"] {
            check_target(good).unwrap();
        }
        for bad in ["", "health", "https://h/", "http:///x", "//h/x y", "ftp://h/", "/a b"] {
            assert!(check_target(bad).is_err(), "{bad}");
        }
    }

    /// Answers one request with `answer` and gives back what was asked.
    async fn served(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..read].to_vec()).unwrap()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn only_a_2xx_is_healthy() {
        let (port, asked) = served("HTTP/1.1 204 No Content\r\n\r\n").await;
        get("/health?x=1", "127.0.0.1", port).await.unwrap();
        let request = asked.await.unwrap();
        assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: 127.0.0.1:{port}")), "{request}");

        let (port, _) = served("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
        let error = get(&format!("http://127.0.0.1:{port}/"), "192.0.2.1", 1).await.unwrap_err();
        assert!(error.contains("503"), "{error}");

        let (port, _) = served("").await;
        get("/", "127.0.0.1", port).await.unwrap_err();
    }
}
