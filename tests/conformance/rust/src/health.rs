//! A gRPC server that says how it is.

use std::io;
use std::thread::{JoinHandle, spawn};

use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use crate::listener::bind;

/// Serves on loopback until it is dropped.
pub(crate) struct HealthServer {
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl HealthServer {
    /// Says these statuses of its services; the server as a whole is the one without a name.
    pub(crate) fn open(port: u16, serves: Vec<(String, ServingStatus)>) -> io::Result<Self> {
        let listener = bind(port)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener is taken over");
                let (health, service) = health_reporter();
                for (name, status) in serves {
                    health.set_service_status(name, status).await;
                }
                let served = Server::builder().add_service(service);
                tokio::select! {
                    ended = served.serve_with_incoming(TcpListenerStream::new(listener)) => ended.expect("a server serves"),
                    _ = stopped => {}
                }
            });
        });
        Ok(HealthServer { stop: Some(stop), serving: Some(serving) })
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.serving.take().map(JoinHandle::join));
    }
}
