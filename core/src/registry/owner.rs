//! Who keeps an instance registered: the stamp that is written with it, so that only its owner withdraws it and a
//! restarted process recognises its own machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A machine and a client on it. Two clients never share a process stamp, also across restarts and forks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub(crate) struct Owner {
    /// The machine: its host name and a digest of what tells apart two machines of one name.
    pub(crate) host: String,
    /// The client: its process id and a random number.
    pub(crate) process: String,
}

impl Owner {
    /// A new stamp for a client of this process.
    pub(crate) fn new() -> Self {
        Owner { host: host(), process: format!("{}-{:016x}", std::process::id(), random_u64()) }
    }

    pub(crate) fn same_machine(&self, other: &Owner) -> bool {
        self.host == other.host
    }
}

/// From the system, so that it differs between a parent and its forked child.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // Without the system's source, time and process id still differ between any two calls that matter here.
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            fastrand::Rng::with_seed(now.as_nanos() as u64 ^ u64::from(std::process::id())).u64(..)
        }
    }
}

/// Stable over restarts of the program and of the machine; different in each container, because those have host names
/// of their own even where they share the machine id.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    // The machine id itself is confidential (machine-id(5)); a digest of it is not.
    format!("{}.{:08x}", name.replace('/', "_"), fnv1a(machine.trim().as_bytes()) as u32)
}

/// FNV-1a, 64 bits: a stable digest for what is not secret (http://www.isthe.com/chongo/tech/comp/fnv/).
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.process)
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.to_string()
    }
}

impl From<String> for Owner {
    fn from(text: String) -> Self {
        let (host, process) = text.split_once('/').unwrap_or((text.as_str(), ""));
        Owner { host: host.to_owned(), process: process.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_differ_and_survive_being_written() {
        let (a, b) = (Owner::new(), Owner::new());
        assert!(a.same_machine(&b));
        assert_ne!(a, b);
        assert_eq!(Owner::from(a.to_string()), a);
    }
}
