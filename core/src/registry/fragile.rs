//! A registry for the tests of what is above the seam: everything begins well and nothing holds. Follows break as soon
//! as they are open, and the first update of a registration is written but never answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{
    Follow, FollowNames, Listing, Loss, Position, Publication, Publish, Published, Record, Registry,
};
use crate::error::{Code, Error, Result};
use crate::instance::Instance;

#[derive(Default)]
pub(crate) struct Fragile {
    /// Lists of names that were given out.
    pub(crate) listed: AtomicU64,
    /// What was written last.
    pub(crate) written: Arc<Mutex<Option<Arc<Record>>>>,
}

fn broken() -> Error {
    Error::new(Code::Unavailable, "broken on purpose")
}

#[async_trait]
impl Registry for Fragile {
    fn source(&self) -> &str {
        "fragile:"
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn advertised_address(&self) -> Result<String> {
        Ok("127.0.0.1".into())
    }

    async fn publish(&self, publish: Publish) -> Result<Published> {
        *self.written.lock().unwrap() = Some(publish.record);
        Ok(Published::Ours(Box::new(Publishing { written: self.written.clone(), updated: false })))
    }

    async fn load(&self, service: &str, _: Option<Position>) -> Result<Listing> {
        let instance = Instance::new(service, "10.0.0.1", 1);
        let records = vec![Record::unowned(instance)];
        Ok(Listing { records, position: Position { epoch: 1, index: 1 }, proven: true })
    }

    async fn follow(&self, _: &str, _: Position) -> Result<Box<dyn Follow>> {
        Err(broken())
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Names(false)))
    }
}

struct Names(bool);

#[async_trait]
impl FollowNames for Names {
    async fn next(&mut self) -> Result<Vec<String>> {
        if std::mem::replace(&mut self.0, true) { Err(broken()) } else { Ok(vec!["billing".into()]) }
    }
}

struct Publishing {
    written: Arc<Mutex<Option<Arc<Record>>>>,
    updated: bool,
}

#[async_trait]
impl Publication for Publishing {
    async fn lost(&mut self) -> Loss {
        std::future::pending().await
    }

    async fn update(&mut self, record: Arc<Record>) -> Result<()> {
        *self.written.lock().unwrap() = Some(record);
        if std::mem::replace(&mut self.updated, true) { Ok(()) } else { std::future::pending().await }
    }

    async fn withdraw(&mut self) -> Result<()> {
        Ok(())
    }
}
