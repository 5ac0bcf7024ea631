//! The connections to one agent, made with what the files of TLS hold: `http.rs` has them made anew when those change.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

use crate::config::{Agent, Endpoint, Place, Tls};
use crate::error::{Error, Result};
use crate::tls;

/// Connections of each pool that are kept though nothing is under way on them: those of other clients count too.
const IDLE: usize = 8;

#[derive(Clone)]
pub(super) struct Pools {
    pub(super) waiting: Client,
    pub(super) calls: Client,
    /// When the files of TLS were changed that these use.
    pub(super) files: Vec<Option<SystemTime>>,
    pub(super) looked: Instant,
}

impl Pools {
    /// Reads the files of TLS, if there are any.
    pub(super) fn new(agent: &Agent) -> Result<Self> {
        let paths = agent.tls.as_ref().map(paths).unwrap_or_default();
        let files = changed(&paths);
        // Reads its own certificates also where no connection has any.
        let config = match &agent.tls {
            Some(tls) => tls::client(tls, &[b"http/1.1"])?,
            None => tls::unused()?,
        };
        let client = || {
            let mut builder = Client::builder()
                .tls_backend_preconfigured((*config).clone())
                .tls_info(true)
                .http1_only()
                .no_proxy()
                .referer(false)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("callsheet/", env!("CARGO_PKG_VERSION")))
                .pool_max_idle_per_host(IDLE)
                .pool_idle_timeout(Duration::from_secs(60));
            match &agent.place {
                Place::Unix(path) => builder = builder.unix_socket(path.clone()),
                Place::Tcp(endpoint) => builder = builder.dns_resolver(Always(endpoint.clone())),
            }
            builder.build().map_err(|error| Error::config("HTTP can't be set up").with_cause(error))
        };
        Ok(Pools { waiting: client()?, calls: client()?, files, looked: Instant::now() })
    }
}

pub(super) fn paths(tls: &Tls) -> Vec<PathBuf> {
    let identity = tls.identity.iter().flat_map(|(cert, key)| [cert, key]);
    tls.ca.iter().chain(identity).cloned().collect()
}

pub(super) fn changed(paths: &[PathBuf]) -> Vec<Option<SystemTime>> {
    paths.iter().map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok()).collect()
}

/// Looks up the agent's host, whatever name its certificate has to have.
struct Always(Endpoint);

impl Resolve for Always {
    fn resolve(&self, _: Name) -> Resolving {
        let Endpoint { host, port } = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, port)).await?;
            let found: Addrs = Box::new(found.collect::<Vec<_>>().into_iter());
            Ok(found)
        })
    }
}
