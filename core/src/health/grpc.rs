//! The `grpc` probe: one call of the gRPC health protocol per run (`grpc.health.v1.Health/Check`), on a connection of its
//! own as for `http`. On h2 alone: one call with a small message each way needs no gRPC library.

use std::future::{Future, poll_fn};
use std::task::Poll;

use h2::client::SendRequest;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode, header};
use percent_encoding::percent_decode;
use prost::Message;

use super::probe::connect;
use crate::error::{Error, Result};
use crate::instance::{check_address, check_port, default_id, host_and_port, quoted};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// Far above what an answer takes, which is one number.
const MAX_ANSWER: usize = 4096;
/// Room for headers, of which a few are sent.
const MAX_HEADERS: u32 = 16 * 1024;
/// What comes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The status is an enumeration, which is written as such a number.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const UNIMPLEMENTED: usize = 12;
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A target as it is written: `host:port`, `host:port/service`, or `/service` of the instance itself.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    /// `None` is the instance.
    server: Option<(&'a str, u16)>,
    /// Empty for the server as a whole.
    service: &'a str,
}

fn parse(target: &str) -> Result<Target<'_>> {
    let (server, service) = target.split_once('/').unwrap_or((target, ""));
    let elsewhere = host_and_port(server);
    if target.is_empty() || elsewhere.is_none() != server.is_empty() || service.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "grpc check {} is not allowed: use HOST:PORT, HOST:PORT/SERVICE, or /SERVICE on the instance itself",
            quoted(target)
        )));
    }
    if let Some((host, port)) = elsewhere {
        check_address(host)?;
        check_port(port.into())?;
    }
    Ok(Target { server: elsewhere, service })
}

pub(super) fn check_target(target: &str) -> Result<()> {
    parse(target).map(drop)
}

/// Asks once. `Err` says why the answer is not a good one.
pub(super) async fn ask(target: Option<&str>, address: &str, port: u16) -> std::result::Result<(), String> {
    let own = default_id(address, port);
    let failed = |why: String| format!("grpc {}: {why}", target.unwrap_or(&own));
    let Target { server, service } = match target {
        Some(target) => parse(target).map_err(|error| failed(error.to_string()))?,
        None => Target { server: None, service: "" },
    };
    let (host, port) = server.unwrap_or((address, port));
    call(host, port, service).await.map_err(failed)
}

async fn call(host: &str, port: u16, service: &str) -> std::result::Result<(), String> {
    let request = Request::post(format!("http://{}{METHOD}", default_id(host, port)))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, concat!("callsheet/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| error.to_string())?;
    let stream = connect(host, port).await.map_err(|error| error.to_string())?;
    // What is written in several pieces must not wait for the first one's acknowledgement.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let handshake = h2::client::Builder::new()
        .enable_push(false)
        .max_header_list_size(MAX_HEADERS)
        .handshake(stream)
        .await;
    let (sender, connection) = handshake.map_err(told)?;
    tokio::pin!(connection);
    let mut ended = false;
    let answered = {
        let answer = answer(sender, request, framed(service));
        tokio::pin!(answer);
        // The connection has to be driven while the answer is awaited. It may end first, with the answer already in.
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => break answered,
                _ = &mut connection, if !ended => ended = true,
            }
        }
    };
    if !ended {
        // So that the server is told that this is the end, as far as that takes no waiting.
        poll_fn(|context| {
            let _ = connection.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    answered
}

/// The request's message, with its prefix.
fn framed(service: &str) -> Bytes {
    let request = HealthCheckRequest { service: service.to_owned() };
    let length = u32::try_from(request.encoded_len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + request.encoded_len());
    framed.push(0);
    framed.extend(length.to_be_bytes());
    framed.extend(request.encode_to_vec());
    framed.into()
}

async fn answer(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
) -> std::result::Result<(), String> {
    let mut sender = sender.ready().await.map_err(told)?;
    let (response, mut sent) = sender.send_request(request, false).map_err(told)?;
    sent.send_data(message, true).map_err(told)?;
    let (head, mut body) = response.await.map_err(told)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("answered {}", head.status));
    }
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(told)?;
        if message.len() + data.len() > MAX_ANSWER {
            return Err(unreadable());
        }
        message.extend_from_slice(&data);
    }
    // An answer without a message may have its status among the headers.
    let trailers = body.trailers().await.map_err(told)?;
    judge(trailers.as_ref().unwrap_or(&head.headers), &message)
}

fn judge(status: &HeaderMap, message: &[u8]) -> std::result::Result<(), String> {
    let text = |name| status.get(name).and_then(|value| value.to_str().ok());
    let code: usize = text("grpc-status")
        .and_then(|code| code.parse().ok())
        .ok_or("answered without a gRPC status: is it a gRPC server?")?;
    if code == UNIMPLEMENTED {
        return Err("answered UNIMPLEMENTED: it has no health service (grpc.health.v1)".into());
    }
    if code != 0 {
        let name = CODES.get(code).map_or_else(|| format!("gRPC status {code}"), ToString::to_string);
        let why = text("grpc-message").map(|why| percent_decode(why.as_bytes()).decode_utf8_lossy());
        return Err(why
            .map_or_else(|| format!("answered {name}"), |why| format!("answered {name}: {}", quoted(&why))));
    }
    let (prefix, message) = message.split_first_chunk::<PREFIX>().ok_or_else(unreadable)?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(unreadable());
    }
    let answer = HealthCheckResponse::decode(message).map_err(|_| unreadable())?;
    if answer.status == SERVING {
        return Ok(());
    }
    let name = usize::try_from(answer.status).ok().and_then(|status| STATUSES.get(status));
    Err(name.map_or_else(|| format!("answered status {}", answer.status), |name| format!("answered {name}")))
}

fn unreadable() -> String {
    "answered with something else than a health status".into()
}

/// What went wrong below gRPC. What is no HTTP/2 is most often HTTP/1.1, or TLS.
fn told(error: h2::Error) -> String {
    if error.is_library() { format!("{error}: is it a gRPC server, without TLS?") } else { error.to_string() }
}

/// What holds for whatever a server answers: a line with its gRPC status and message, then the answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, message) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let mut headers = HeaderMap::new();
    for name in ["grpc-status", "grpc-message"] {
        if let Some(Ok(value)) = words.next().map(header::HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    match judge(&headers, message) {
        Ok(()) => assert_eq!(headers["grpc-status"].to_str().unwrap().parse(), Ok(0)),
        Err(why) => assert!(why.starts_with("answered ") && why.len() < 1000, "{why}"),
    }
    if let Ok(target) = std::str::from_utf8(line)
        && let Ok(Target { server: Some((host, port)), .. }) = parse(target)
    {
        assert!(port > 0 && check_address(host).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Response;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic_health::ServingStatus;

    #[test]
    fn targets() {
        for (written, server, service) in [
            ("10.0.0.1:50051", Some(("10.0.0.1", 50051)), ""),
            ("[::1]:80/billing", Some(("::1", 80)), "billing"),
            ("h:1/a.b/c", Some(("h", 1)), "a.b/c"),
            ("h:1/", Some(("h", 1)), ""),
            ("/billing", None, "billing"),
            ("/", None, ""),
        ] {
            assert_eq!(parse(written).unwrap(), Target { server, service }, "{written}");
        }
        for bad in ["", "h", "h/billing", "h:0", "h:65536/x", ":80", "http://h:1/x", "a b:1", "/a\n"] {
            assert!(check_target(bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_server_decides_for_itself_and_for_its_services() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (health, service) = tonic_health::server::health_reporter();
        health.set_service_status("billing", ServingStatus::NotServing).await;
        let served = tonic::transport::Server::builder().add_service(service);
        let serving = tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));

        ask(None, "127.0.0.1", port).await.unwrap();
        ask(Some(&format!("127.0.0.1:{port}")), "192.0.2.1", 1).await.unwrap();
        let error = ask(Some("/billing"), "127.0.0.1", port).await.unwrap_err();
        assert_eq!(error, "grpc /billing: answered NOT_SERVING");
        let error = ask(Some("/nobody"), "127.0.0.1", port).await.unwrap_err();
        assert!(error.contains("NOT_FOUND: \"service not registered\""), "{error}");
        health.set_service_status("billing", ServingStatus::Serving).await;
        ask(Some(&format!("127.0.0.1:{port}/billing")), "192.0.2.1", 1).await.unwrap();

        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        let error = ask(None, "127.0.0.1", port).await.unwrap_err();
        assert!(
            error.starts_with(&format!("grpc 127.0.0.1:{port}: ")) && error.contains("refused"),
            "{error}"
        );
    }

    /// What the probe says of a server that gives this answer.
    async fn of(status: u16, body: &'static [u8], trailers: &[(&'static str, &'static str)]) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let trailers: HeaderMap =
            trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            assert_eq!(
                (request.uri().path(), &request.headers()["te"]),
                (METHOD, &"trailers".parse().unwrap())
            );
            let response = Response::builder().status(status).body(()).unwrap();
            let mut send = respond.send_response(response, false).unwrap();
            send.send_data(Bytes::from_static(body), false).unwrap();
            send.send_trailers(trailers).unwrap();
            // Until the probe goes.
            assert!(connection.accept().await.is_none_or(|request| request.is_err()));
        });
        let said = ask(None, "127.0.0.1", port).await.err().unwrap_or_default();
        serving.await.unwrap();
        said.split_once(": ").map_or("", |(_, why)| why).to_owned()
    }

    #[tokio::test]
    async fn only_serving_is_healthy() {
        const OK: &[(&str, &str)] = &[("grpc-status", "0")];
        const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
        assert_eq!(of(200, SERVING, OK).await, "");
        for (status, body, trailers, why) in [
            (200, &[0, 0, 0, 0, 0][..], OK, "answered UNKNOWN"),
            (200, &[0, 0, 0, 0, 2, 8, 3], OK, "answered SERVICE_UNKNOWN"),
            (200, &[0, 0, 0, 0, 2, 8, 9], OK, "answered status 9"),
            (200, &[1, 0, 0, 0, 2, 8, 1], OK, "something else"),
            (200, &[0, 0, 0, 0, 3, 8, 1], OK, "something else"),
            (200, &[0, 0, 0, 0, 2, 255, 255], OK, "something else"),
            (200, &[], OK, "something else"),
            (200, &[0; MAX_ANSWER + 1], OK, "something else"),
            (200, SERVING, &[], "without a gRPC status"),
            (200, SERVING, &[("grpc-status", "two")], "without a gRPC status"),
            (200, SERVING, &[("grpc-status", "12")], "has no health service"),
            (200, SERVING, &[("grpc-status", "16"), ("grpc-message", "who%3F")], "UNAUTHENTICATED: \"who?\""),
            (200, SERVING, &[("grpc-status", "99")], "answered gRPC status 99"),
            (503, SERVING, OK, "answered 503"),
        ] {
            let said = of(status, body, trailers).await;
            assert!(said.contains(why), "{said:?}, expected {why:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_grpc_server_is_said_to_be_none() {
        for (answer, why) in
            [("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", "is it a gRPC server"), ("", "")]
        {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serving = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            let error = ask(None, "127.0.0.1", port).await.unwrap_err();
            assert!(error.contains(why), "{error}");
            serving.await.unwrap();
        }
    }
}
