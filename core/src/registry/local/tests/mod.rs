//! The promises of `local:` on real files and real processes, at the level of the registry. Other processes are this test
//! binary again, driven over their standard input; what waits does so for a condition, with a deadline.

mod child;
mod claims;
mod disk;
mod files;
mod forks;
mod liveness;
mod scale;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::Settings;
use super::{Local, Registry};
use crate::config::{Config, Options};
use crate::health::Check;
use crate::instance::Instance;
use crate::registry::{
    Change, Claim, Follow, Owner, Position, Publication, Publish, Published, Record, Update,
};
use crate::stats::Counters;

/// Five times the promised second.
const DEADLINE: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(10);

/// A folder for one registry, gone with the test.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Scene { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("callsheet/registry.db")
    }

    fn owners(&self) -> PathBuf {
        self.folder.path().join("callsheet/registry.db-owners")
    }

    fn client(&self) -> Client {
        Client::new(&self.path(), Settings::default())
    }
}

/// One client's view of a registry.
struct Client {
    registry: Local,
    owner: Owner,
    counters: Arc<Counters>,
}

impl Client {
    fn new(path: &Path, settings: Settings) -> Self {
        let config =
            Config::new(Some(&format!("local://{}", path.display())), Options::new(), |_| None).unwrap();
        let counters = Arc::new(Counters::default());
        Client { registry: Local::new(&config, counters.clone(), settings), owner: Owner::new(), counters }
    }

    fn publish_of(&self, service: &str, id: &str, ttl: Duration, claim: Claim) -> Publish {
        let mut instance = Instance::new(service, "127.0.0.1", 8080);
        instance.id = id.to_owned();
        let record = Arc::new(Record { instance, owner: Some(self.owner.clone()), note: String::new() });
        Publish { record, ttl, check: Check::ttl(), claim }
    }

    async fn publish(&self, service: &str, id: &str, ttl: Duration) -> Box<dyn Publication> {
        ours(self.registry.publish(self.publish_of(service, id, ttl, Claim::IfFree)).await.unwrap())
    }

    async fn ids(&self, service: &str) -> Vec<String> {
        let mut ids: Vec<_> = self
            .registry
            .load(service, None)
            .await
            .unwrap()
            .records
            .into_iter()
            .map(|record| record.instance.id)
            .collect();
        ids.sort();
        ids
    }

    /// Loads until the ids are these.
    async fn wait_for(&self, service: &str, ids: &[&str]) -> Duration {
        let begun = Instant::now();
        loop {
            let found = self.ids(service).await;
            if found == ids {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < DEADLINE, "{found:?} instead of {ids:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn follow(&self, service: &str) -> Box<dyn Follow> {
        let position = self.registry.load(service, None).await.unwrap().position;
        self.registry.follow(service, position).await.unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Or its thread would make files in a folder that is being removed.
        crate::runtime::block_on(self.registry.close());
    }
}

fn ours(published: Published) -> Box<dyn Publication> {
    match published {
        Published::Ours(publication) => publication,
        Published::Held(holder) => panic!("held by {:?}", holder.owner),
    }
}

fn held(published: Published) -> crate::registry::Holder {
    match published {
        Published::Held(holder) => holder,
        Published::Ours(_) => panic!("ours"),
    }
}

/// The next changes: puts as their id, deletions with a minus before it.
async fn next(follow: &mut Box<dyn Follow>) -> Vec<String> {
    loop {
        match tokio::time::timeout(DEADLINE, follow.next()).await.expect("no change in time").unwrap() {
            Update::Changes { changes, .. } => {
                return changes
                    .into_iter()
                    .map(|change| match change {
                        Change::Put(record) => record.instance.id,
                        Change::Delete { id } => format!("-{id}"),
                    })
                    .collect();
            }
            Update::Alive => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for a condition that no registry tells of.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
