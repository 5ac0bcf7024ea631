//! What the tests of the core share: a client on the test's own paused clock, over a memory registry of its own.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callsheet::memory::Memory;
use callsheet::{Builder, Client, Registration, RegistrationHandle, Snapshot, State, Watch};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A registry that no other test has, and the hand on its faults.
pub(crate) fn registry() -> (String, Memory) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let memory = Memory::named(&name).unwrap();
    (format!("memory:{name}"), memory)
}

pub(crate) fn builder(url: &str) -> Builder {
    Client::builder().url(url).runtime(Handle::current())
}

pub(crate) fn client(url: &str) -> Client {
    builder(url).connect().unwrap()
}

/// The next snapshot, or a failure that says that none came.
pub(crate) async fn next(watch: &Watch) -> Snapshot {
    timeout(secs(60), watch.next()).await.expect("a snapshot within a minute").expect("an open watch")
}

/// The first snapshot for which `done` holds.
pub(crate) async fn until(watch: &Watch, done: impl Fn(&Snapshot) -> bool) -> Snapshot {
    timeout(secs(600), async {
        loop {
            let snapshot = watch.next().await.expect("an open watch");
            if done(&snapshot) {
                return snapshot;
            }
        }
    })
    .await
    .expect("such a snapshot within ten minutes")
}

/// Whether nothing comes for a while. On a paused clock this waits for nothing but the actors.
pub(crate) async fn quiet(watch: &Watch) -> bool {
    timeout(secs(20), watch.next()).await.is_err()
}

pub(crate) fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.iter().map(|instance| &*instance.id).collect()
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) async fn register(client: &Client, service: &str, port: u16) -> RegistrationHandle {
    let registration = client.register(Registration::new(service).port(port)).await.unwrap();
    registration.wait(State::Registered, secs(30)).await.unwrap();
    registration
}
