//! Registers at an agent of Consul, as instances of a service.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::IgnoredAny;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Result;
use crate::put::{Store, address, on_consul};

/// One connection.
pub(crate) struct Consul {
    endpoint: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Consul {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Consul { endpoint: endpoint.to_owned(), sender })
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: String) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.endpoint);
        Ok(request.body(Full::from(body))?)
    }

    pub(crate) async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}

impl Store for Consul {
    type Put = Request<Full<Bytes>>;

    /// An instance as callsheet registers it, under an id that no other service has at the agent.
    fn prepare(&self, service: &str, number: u32, n: u32) -> Result<Self::Put> {
        let address = address(number);
        let own = format!("{address}:8080~{service}");
        let mut body = on_consul("Name", service, number, n);
        body["Check"] = serde_json::json!({
            "CheckID": format!("callsheet:{own}"), "Name": "callsheet: the process renews this",
            "Status": "passing", "TTL": "24h", "DeregisterCriticalServiceAfter": "24h",
        });
        self.request(Method::PUT, "/v1/agent/service/register", body.to_string())
    }

    async fn put(&mut self, request: Self::Put) -> Result<()> {
        self.answer(request).await?;
        Ok(())
    }

    async fn seed(&mut self, service: &str, count: u32) -> Result<()> {
        for number in 0..count {
            let request = self.prepare(service, number, 0)?;
            self.put(request).await?;
        }
        // The agent tells the servers a moment later.
        loop {
            let path = format!("/v1/health/service/{service}?passing");
            let request = self.request(Method::GET, &path, String::new())?;
            let listed: Vec<IgnoredAny> = serde_json::from_slice(&self.answer(request).await?)?;
            if listed.len() == count as usize {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
