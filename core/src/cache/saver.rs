//! Writes lists to disk behind the actors' backs: the latest of each service, some at a time, within a second of its being
//! loaded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::disk::{Disk, Saved};

/// Between the first list that waits and writing: a service that changes all the time is written twice a second.
const PAUSE: Duration = Duration::from_millis(500);
/// A list that does not change is saved again after this.
const AGAIN: Duration = Duration::from_secs(600);
/// What closing waits for a disk that hangs.
const LAST: Duration = Duration::from_secs(1);

pub(crate) struct Saver {
    shared: Arc<Shared>,
    runtime: Handle,
    task: AbortHandle,
}

struct Shared {
    disk: Disk,
    waiting: Mutex<HashMap<String, Saved>>,
    /// Held while writing, so that the last lists are written after those before them.
    writing: tokio::sync::Mutex<()>,
    news: Notify,
}

impl Saver {
    pub(crate) fn new(disk: Disk, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            disk,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            news: Notify::new(),
        });
        let task = runtime.spawn(run(shared.clone())).abort_handle();
        Saver { shared, runtime: runtime.clone(), task }
    }

    /// After how long a list is saved again of which the registry says that it did not change, so that it does not get too
    /// old.
    pub(crate) fn again(&self) -> Duration {
        (self.shared.disk.max_age() / 10).min(AGAIN)
    }

    /// Has a list written soon.
    pub(crate) fn save(&self, service: &str, saved: Saved) {
        self.shared.lock().insert(service.to_owned(), saved);
        self.shared.news.notify_one();
    }

    /// The saved list of a service.
    pub(crate) async fn load(&self, service: &str) -> Option<Saved> {
        let (shared, service) = (self.shared.clone(), service.to_owned());
        self.runtime.spawn_blocking(move || shared.disk.load(&service)).await.ok().flatten()
    }

    /// The services of which a list is saved.
    pub(crate) async fn services(&self) -> Vec<String> {
        let shared = self.shared.clone();
        self.runtime.spawn_blocking(move || shared.disk.services()).await.unwrap_or_default()
    }

    /// Writes what waits.
    pub(crate) async fn close(&self) {
        let _ = timeout(LAST, self.shared.clone().write()).await;
        self.task.abort();
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Saved>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>) {
        let _writing = self.writing.lock().await;
        let waiting = std::mem::take(&mut *self.lock());
        let shared = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            waiting.iter().for_each(|(service, saved)| shared.disk.save(service, saved));
        });
        let _ = written.await;
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        shared.news.notified().await;
        sleep(PAUSE).await;
        shared.clone().write().await;
    }
}
