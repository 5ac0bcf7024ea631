//! The address under which this process is reachable for those who read the registry: that of the route towards it, and
//! where that never leaves the machine, that of the default route.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::config::Endpoint;
use crate::error::{Error, Result};

/// What looking up the name of an endpoint may take; without an answer, the default route has to do.
const LOOK_UP: Duration = Duration::from_millis(500);
/// Addresses that belong to nobody (RFC 5737, RFC 3849). Nothing is sent to them.
const NOBODY: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// Our address on the route towards one of the registry's servers, unless that never leaves the machine.
pub(super) async fn towards(endpoints: &[Endpoint]) -> Option<String> {
    for Endpoint { host, port } in endpoints {
        let found = timeout(LOOK_UP, tokio::net::lookup_host((host.as_str(), *port))).await;
        for address in found.into_iter().flatten().flatten() {
            if let Some(ours) = of_route(address).await {
                return Some(ours.to_string());
            }
        }
    }
    None
}

/// Our address on the route to everywhere.
pub(super) async fn default() -> Result<String> {
    for nobody in NOBODY {
        if let Ok(address) = nobody.parse()
            && let Some(ours) = of_route(address).await
        {
            return Ok(ours.to_string());
        }
    }
    Err(Error::invalid(
        "this machine has no address but loopback, which is no use to readers on other machines: give one (address, or \
         $CALLSHEET_ADDRESS)",
    ))
}

/// Our address on the way to another one. Connecting a datagram socket chooses a route and sends nothing.
async fn of_route(other: SocketAddr) -> Option<IpAddr> {
    let any = if other.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(other).await.ok()?;
    let ours = socket.local_addr().ok()?.ip();
    (!ours.is_loopback() && !ours.is_unspecified()).then_some(ours)
}
