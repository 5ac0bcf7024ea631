//! The actor of one watched service: load, follow, load again when that breaks. It keeps what the registry says
//! (`truth`) apart from what subscribers see, because an empty answer may have to be proven first.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::HELD;
use super::service::{Shared, Start};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::error::{Code, Error, Result};
use crate::instance::Instance;
use crate::registry::{Change, Listing, Position, Record, Update};
use crate::runtime::within;
use crate::snapshot::{Freshness, Snapshot};

/// How long a broken follow may take to be mended before subscribers hear of it.
const MEND: Duration = Duration::from_millis(500);

pub(super) struct Actor {
    shared: Arc<Shared>,
    start: Start,
    backoff: Backoff,
    truth: BTreeMap<String, Arc<Instance>>,
    /// What subscribers see; `None` while nothing was ever loaded.
    shown: Option<Arc<[Arc<Instance>]>>,
    /// Where `shown` was read: the witness against which an empty answer is proven.
    believed: Option<Position>,
    /// An empty answer is held back until then.
    held_until: Option<Instant>,
    /// When the registry last vouched for what is shown.
    confirmed: Instant,
    live: bool,
}

/// Why following ended.
enum End {
    Reload,
    Broken(Error),
}

impl Actor {
    pub(super) fn new(shared: Arc<Shared>, start: Start) -> Self {
        Actor {
            shared,
            start,
            backoff: Backoff::new(MAX_RETRY),
            truth: BTreeMap::new(),
            shown: None,
            believed: None,
            held_until: None,
            confirmed: Instant::now(),
            live: false,
        }
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut broken = None;
        loop {
            let loaded = self.load(broken.take()).await;
            match loaded {
                Ok(listing) => {
                    let position = listing.position;
                    self.accept(listing);
                    let began = Instant::now();
                    let end = self.follow(position).await;
                    let short = began.elapsed() < HELD;
                    if !short {
                        self.backoff.reset();
                    }
                    match end {
                        End::Reload => self.start.counters.reloads.one(),
                        End::Broken(error) => {
                            self.start.counters.load_failures.one();
                            if short {
                                self.stale(&error);
                            }
                            broken = Some(error);
                        }
                    }
                    if short {
                        self.pause().await;
                    }
                }
                Err(error) => {
                    self.start.counters.load_failures.one();
                    self.shared.first.failed(&error);
                    self.stale(&error);
                    self.pause().await;
                }
            }
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            _ = sleep(self.backoff.next()) => {}
            _ = self.shared.first.poked() => {}
        }
    }

    /// Reads the service. After a break, subscribers are told only if this takes long.
    async fn load(&mut self, broken: Option<Error>) -> Result<Listing> {
        self.start.counters.loads.one();
        let registry = self.start.registry.clone();
        let (name, believed) = (self.shared.name.clone(), self.believed);
        let load = self.deadline("load", async move { registry.load(&name, believed).await });
        tokio::pin!(load);
        if let Some(error) = broken {
            tokio::select! {
                loaded = &mut load => return loaded,
                _ = sleep(MEND) => self.stale(&error),
            }
        }
        load.await
    }

    /// One request with the client's deadline. Borrows nothing of the actor.
    fn deadline<T, F: Future<Output = Result<T>>>(
        &self,
        verb: &'static str,
        request: F,
    ) -> impl Future<Output = Result<T>> + use<T, F> {
        let limit = self.start.timeout;
        let (name, source) = (self.shared.name.clone(), self.shared.source.clone());
        within(limit, request, move || format!("could not {verb} {name:?} from {source} within {limit:?}"))
    }

    async fn follow(&mut self, from: Position) -> End {
        let registry = self.start.registry.clone();
        let name = self.shared.name.clone();
        let open = self.deadline("follow", async move { registry.follow(&name, from).await });
        let mut follow = match open.await {
            Ok(follow) => follow,
            Err(error) => return End::Broken(error),
        };
        loop {
            let held_until = self.held_until;
            let update = tokio::select! {
                update = follow.next() => update,
                _ = sleep_until(held_until.unwrap_or_else(Instant::now)), if held_until.is_some() => {
                    self.believe();
                    continue;
                }
            };
            match update {
                Ok(Update::Changes { changes, position }) => {
                    changes.into_iter().for_each(|change| self.apply(change));
                    // A delete was seen, so an empty list here is proven, unless it only follows an unproven one.
                    if self.held_until.is_none() || !self.truth.is_empty() {
                        self.believed = Some(position);
                        self.believe();
                    }
                }
                Ok(Update::List(listing)) => self.accept(listing),
                Ok(Update::Alive) => self.confirmed = Instant::now(),
                Ok(Update::Reload) => return End::Reload,
                Err(error) => return End::Broken(error),
            }
        }
    }

    /// Takes a whole list as the truth, and shows it unless it is an empty one that nothing proves.
    fn accept(&mut self, listing: Listing) {
        let mut previous = std::mem::take(&mut self.truth);
        for Record { instance, .. } in listing.records {
            let kept = previous.remove(&instance.id).filter(|kept| **kept == instance);
            self.truth.insert(instance.id.clone(), kept.unwrap_or_else(|| Arc::new(instance)));
        }
        let emptied = self.truth.is_empty() && self.shown.as_ref().is_some_and(|shown| !shown.is_empty());
        // A follow compares with the list before, which may itself be one that nothing proved.
        let later = self
            .believed
            .is_none_or(|seen| listing.position.epoch == seen.epoch && listing.position.index >= seen.index);
        if emptied && !(listing.proven && later) {
            self.hold();
        } else {
            self.believed = Some(listing.position);
            self.believe();
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(Record { instance, .. }) => match self.truth.get(&instance.id) {
                Some(known) if **known == instance => {}
                _ => {
                    self.truth.insert(instance.id.clone(), Arc::new(instance));
                }
            },
            Change::Delete { id } => {
                self.truth.remove(&id);
            }
        }
    }

    /// Shows the truth, live.
    fn believe(&mut self) {
        self.held_until = None;
        self.confirmed = Instant::now();
        if !self.live {
            tracing::debug!(service = &*self.shared.name, registry = &*self.shared.source, "live");
        }
        self.live = true;
        let instances: Arc<[Arc<Instance>]> = self.truth.values().cloned().collect();
        self.shown = Some(instances);
        self.show(Freshness::Live, None);
    }

    /// Keeps showing the last list, because an empty one may be a registry that lost its data.
    fn hold(&mut self) {
        let hold = self.start.empty_hold;
        if self.held_until.is_none() {
            self.held_until = Some(Instant::now() + hold);
            self.start.counters.empty_held.one();
        }
        let error = Error::new(
            Code::Unavailable,
            format!(
                "{} answered that {:?} has no instances, but nothing proves it; \
                 the last list is kept for {hold:?} (empty_hold)",
                self.shared.source, &*self.shared.name
            ),
        );
        self.stale(&error);
    }

    /// The registry no longer vouches for what is shown.
    fn stale(&mut self, error: &Error) {
        if error.code() == Code::Closed {
            return; // The client was closed a moment before this actor ends.
        }
        if self.live {
            tracing::warn!(
                service = &*self.shared.name,
                registry = &*self.shared.source,
                %error,
                "the registry can't be followed; the last known instances are used until it can"
            );
        }
        self.live = false;
        self.show(Freshness::Stale, Some(error.clone()));
    }

    fn show(&self, freshness: Freshness, error: Option<Error>) {
        let Some(shown) = self.shown.clone() else { return };
        let Shared { name, source, .. } = &*self.shared;
        self.shared.publish(|revision| {
            Snapshot::new(name.clone(), revision, shown, freshness, source.clone(), self.confirmed, error)
        });
    }
}
