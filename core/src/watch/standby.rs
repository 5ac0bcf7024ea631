//! What stands in for a registry that was never read: the fallback registries, in their order. The first that knows an
//! instance of the service is followed until it breaks, and then they are asked again from the first on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::bounded;
use super::known::Known;
use crate::backoff::{Backoff, MAX_RETRY};
use crate::error::Result;
use crate::instance::Instance;
use crate::registry::{Registry, Update};
use crate::runtime::within;

/// What the fallbacks have to say.
#[derive(Clone, Default)]
pub(super) enum Word {
    #[default]
    Asking,
    List(Given),
    /// None of them knows an instance, or can be read.
    Nothing,
}

/// A list, and who gave it.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) source: Arc<str>,
    pub(super) instances: Arc<[Arc<Instance>]>,
}

/// Asks as long as it is there.
pub(super) struct Standby {
    words: watch::Receiver<Word>,
    _asking: JoinSet<()>,
}

impl Standby {
    pub(super) fn new(registries: Arc<[Arc<dyn Registry>]>, service: Arc<str>, timeout: Duration) -> Self {
        let (sender, words) = watch::channel(Word::Asking);
        let mut asking = JoinSet::new();
        asking.spawn(async move { Asker { registries, service, timeout, words: sender }.run().await });
        Standby { words, _asking: asking }
    }

    /// The next word. Cancel-safe.
    pub(super) async fn next(&mut self) -> Word {
        match self.words.changed().await {
            Ok(()) => self.words.borrow_and_update().clone(),
            Err(_) => std::future::pending().await,
        }
    }
}

struct Asker {
    registries: Arc<[Arc<dyn Registry>]>,
    service: Arc<str>,
    timeout: Duration,
    words: watch::Sender<Word>,
}

impl Asker {
    async fn run(self) {
        let mut backoff = Backoff::new(MAX_RETRY);
        loop {
            let mut found = false;
            for registry in self.registries.iter() {
                if let Ok(true) = self.follow(registry).await {
                    found = true;
                    break;
                }
            }
            if found {
                backoff.reset();
            } else {
                self.words.send_replace(Word::Nothing);
            }
            sleep(backoff.next()).await;
        }
    }

    /// Follows one of them for as long as it knows an instance; whether it knew one.
    async fn follow(&self, registry: &Arc<dyn Registry>) -> Result<bool> {
        let late = || format!("{} did not answer within {:?}", registry.source(), self.timeout);
        let listing = within(self.timeout, registry.load(&self.service, None), &late).await?;
        bounded(&self.service, registry.source(), listing.records.len())?;
        let position = listing.position;
        let mut known = Known::default();
        known.replace(listing.records);
        let source: Arc<str> = registry.source().into();
        let mut follow = None;
        let mut found = false;
        while !known.is_empty() && bounded(&self.service, registry.source(), known.len()).is_ok() {
            found = true;
            let given = Given { source: source.clone(), instances: known.list() };
            self.words.send_replace(Word::List(given));
            let follow = match &mut follow {
                Some(follow) => follow,
                None => follow
                    .insert(within(self.timeout, registry.follow(&self.service, position), &late).await?),
            };
            loop {
                match follow.next().await {
                    Ok(Update::Alive) => {}
                    Ok(Update::Changes { changes, .. }) => {
                        changes.into_iter().for_each(|change| known.apply(change));
                        break;
                    }
                    Ok(Update::List(listing)) => {
                        known.replace(listing.records);
                        break;
                    }
                    // It is asked again, after the pause of who asks in vain.
                    Ok(Update::Reload) | Err(_) => return Ok(true),
                }
            }
        }
        Ok(found)
    }
}
