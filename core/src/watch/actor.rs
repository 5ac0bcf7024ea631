//! The actor of one watched service: load, follow, load again when that breaks. It keeps what the registry says
//! (`truth`) apart from what subscribers see, because an empty answer may have to be proven first, and because others stand
//! in for a registry that was never read: what is saved on disk, then the fallback registries.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, sleep_until};

use super::known::Known;
use super::service::{Shared, Start};
use super::standby::{Given, Standby, Word};
use super::{ASKED_FOR, HELD, bounded};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::breaker::Tries;
use crate::cache::{Saved, Saver};
use crate::error::{Code, Error, Result};
use crate::instance::Instance;
use crate::registry::{Listing, Position, Update};
use crate::runtime::within;
use crate::snapshot::{Freshness, Snapshot};

/// How long a broken follow may take to be mended before subscribers hear of it.
const MEND: Duration = Duration::from_millis(500);

/// How long the registry is waited for before a saved list is shown.
const PATIENCE: Duration = Duration::from_millis(50);

/// Between two lists, for each instance in them. A change makes the whole list anew, here and at all who read it, and the
/// more instances there are, the more of them change.
const PACE: Duration = Duration::from_micros(1);
/// A list that would be held up for less is shown at once.
const MOMENT: Duration = Duration::from_millis(1);

pub(super) struct Actor {
    shared: Arc<Shared>,
    start: Start,
    backoff: Backoff,
    tries: Tries,
    truth: Known,
    /// What subscribers see; `None` while nothing was ever loaded.
    shown: Option<Arc<[Arc<Instance>]>>,
    origin: Origin,
    /// Where `shown` was read: the witness against which an empty answer is proven.
    believed: Option<Position>,
    /// An empty answer is held back until then.
    held_until: Option<Instant>,
    /// When the truth was shown last, and when it is to be shown next, if it has changed since.
    told: Instant,
    due: Option<Instant>,
    /// When whoever it is from last vouched for what is shown.
    confirmed: Instant,
    live: bool,
    /// The disk was asked.
    disk_read: bool,
    /// The fallbacks, while the registry was never read and they are needed.
    standby: Option<Standby>,
    /// They know nothing.
    in_vain: bool,
    /// Why the registry was not read yet.
    failed: Option<Error>,
    saved: Instant,
    /// A lookup waits for the next try.
    asked_for: bool,
}

/// Who gave what is shown.
enum Origin {
    Registry,
    Disk,
    Fallback(Arc<str>),
}

/// Spread of those who try again when the registry is back.
const SPREAD: Duration = Duration::from_millis(100);

/// The next word of the fallbacks, if they are asked.
async fn word(standby: &mut Option<Standby>) -> Word {
    match standby {
        Some(standby) => standby.next().await,
        None => std::future::pending().await,
    }
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
            tries: Tries::default(),
            truth: Known::default(),
            shown: None,
            origin: Origin::Registry,
            believed: None,
            held_until: None,
            told: Instant::now(),
            due: None,
            confirmed: Instant::now(),
            live: false,
            disk_read: false,
            standby: None,
            in_vain: false,
            failed: None,
            saved: Instant::now(),
            asked_for: false,
        }
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut broken = None;
        loop {
            let loaded = self.load(broken.take()).await;
            let loaded = loaded.and_then(|listing| self.bounded(listing.records.len()).map(|()| listing));
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
                    self.stale(&error);
                    self.failed = Some(error);
                    self.fall_back().await;
                    self.pause().await;
                }
            }
        }
    }

    async fn pause(&mut self) {
        let breaker = self.start.breaker.clone();
        let mut until = Instant::now() + breaker.pause(self.backoff.next(), MAX_RETRY);
        loop {
            tokio::select! {
                _ = sleep_until(until) => return,
                _ = self.shared.first.poked() => {
                    self.asked_for = true;
                    return;
                }
                _ = breaker.recovered() => {
                    // All are woken at once, and need not ask at once.
                    until = until.min(Instant::now() + self.backoff.jitter(SPREAD));
                }
                word = word(&mut self.standby) => self.take(word),
            }
        }
    }

    /// Reads the service. After a break, subscribers are told only if this takes long; before the first list, others stand
    /// in if it does.
    async fn load(&mut self, broken: Option<Error>) -> Result<Listing> {
        let mut tries = std::mem::take(&mut self.tries);
        let loaded = self.load_again(&mut tries, broken).await;
        self.tries = tries;
        loaded
    }

    async fn load_again(&mut self, tries: &mut Tries, broken: Option<Error>) -> Result<Listing> {
        self.start.counters.loads.one();
        let registry = self.start.registry.clone();
        let (name, believed) = (self.shared.name.clone(), self.believed);
        let load = self.deadline("load", async move { registry.load(&name, believed).await });
        let breaker = self.start.breaker.clone();
        let most = if std::mem::take(&mut self.asked_for) { ASKED_FOR } else { MAX_RETRY };
        let load = breaker.call(tries, most, load);
        tokio::pin!(load);
        if let Some(error) = broken {
            tokio::select! {
                loaded = &mut load => return loaded,
                _ = sleep(MEND) => self.stale(&error),
            }
        }
        let began = Instant::now();
        loop {
            let (disk, fallbacks) = (began + PATIENCE, began + self.start.timeout / 2);
            let alone = self.shown.is_none();
            tokio::select! {
                loaded = &mut load => return loaded,
                _ = sleep_until(disk), if alone && !self.disk_read => self.read_disk().await,
                _ = sleep_until(fallbacks), if alone && self.disk_read && self.lacks_standby() => self.stand_by(),
                word = word(&mut self.standby) => self.take(word),
            }
        }
    }

    /// Shows what stands in for a registry that can't be read.
    async fn fall_back(&mut self) {
        if self.shown.is_none() {
            self.read_disk().await;
        }
        if self.shown.is_none() && self.lacks_standby() {
            self.stand_by();
        }
        if self.standby.is_none() || self.in_vain {
            self.tell_why();
        }
    }

    /// Tells lookups that wait why there is nothing, if that is known.
    fn tell_why(&self) {
        if let Some(error) = &self.failed {
            self.shared.first.failed(error, self.start.breaker.tried());
        }
    }

    async fn read_disk(&mut self) {
        self.disk_read = true;
        let Some(saver) = &self.start.saver else { return };
        let Some(Saved { instances, position, at }) = saver.load(&self.shared.name).await else { return };
        let age = SystemTime::now().duration_since(at).unwrap_or_default();
        self.confirmed = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        self.truth = Known::of(&instances);
        self.believed = Some(position);
        self.origin = Origin::Disk;
        self.shown = Some(instances);
        self.standby = None;
        self.start.counters.disk_loads.one();
        tracing::warn!(
            service = &*self.shared.name,
            registry = &*self.shared.source,
            ?age,
            "the registry can't be read yet; a saved list is used until it can"
        );
        let error = self.failed.clone();
        self.show(error);
    }

    fn lacks_standby(&self) -> bool {
        self.standby.is_none() && !self.start.fallbacks.is_empty()
    }

    fn stand_by(&mut self) {
        let Start { fallbacks, timeout, .. } = &self.start;
        self.standby = Some(Standby::new(fallbacks.clone(), self.shared.name.clone(), *timeout));
    }

    /// Takes what the fallbacks say.
    fn take(&mut self, word: Word) {
        match word {
            Word::Asking => {}
            Word::Nothing => {
                self.in_vain = true;
                self.tell_why();
            }
            Word::List(Given { source, instances }) => {
                self.in_vain = false;
                self.confirmed = Instant::now();
                if !matches!(&self.origin, Origin::Fallback(before) if *before == source) {
                    tracing::warn!(
                        service = &*self.shared.name,
                        registry = &*self.shared.source,
                        fallback = &*source,
                        "the registry can't be read yet; a fallback is used until it can"
                    );
                }
                self.origin = Origin::Fallback(source);
                self.shown = Some(instances);
                self.start.counters.fallback_loads.one();
                let error = self.failed.clone();
                self.show(error);
            }
        }
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
        let breaker = self.start.breaker.clone();
        let mut follow = match breaker.call(&mut self.tries, MAX_RETRY, open).await {
            Ok(follow) => follow,
            Err(error) => return End::Broken(error),
        };
        loop {
            let (held_until, due) = (self.held_until, self.due);
            let update = tokio::select! {
                update = follow.next() => update,
                _ = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.believe();
                    continue;
                }
                _ = sleep_until(held_until.unwrap_or_else(Instant::now)), if held_until.is_some() => {
                    self.believe();
                    continue;
                }
            };
            if self.due.is_some() && !matches!(update, Ok(Update::Changes { .. })) {
                self.believe();
            }
            match update {
                Ok(Update::Changes { changes, position }) => {
                    changes.into_iter().for_each(|change| self.truth.apply(change));
                    if let Err(error) = self.bounded(self.truth.len()) {
                        return End::Broken(error);
                    }
                    // A delete was seen, so an empty list here is proven, unless it only follows an unproven one.
                    if self.held_until.is_none() || !self.truth.is_empty() {
                        self.believed = Some(position);
                        self.believe_in_time();
                    }
                }
                Ok(Update::List(listing)) => match self.bounded(listing.records.len()) {
                    Ok(()) => self.accept(listing),
                    Err(error) => return End::Broken(error),
                },
                Ok(Update::Alive) => {
                    // A list that is kept against an empty answer is not what the registry vouches for.
                    if self.held_until.is_none() {
                        self.confirmed = Instant::now();
                    }
                    let due = |saver: &Arc<Saver>| self.saved.elapsed() >= saver.again();
                    if self.live && self.start.saver.as_ref().is_some_and(due) {
                        self.save();
                    }
                }
                Ok(Update::Reload) => return End::Reload,
                Err(error) => return End::Broken(error),
            }
        }
    }

    fn bounded(&self, count: usize) -> Result<()> {
        bounded(&self.shared.name, &self.shared.source, count)
    }

    /// Takes a whole list as the truth, and shows it unless it is an empty one that nothing proves.
    fn accept(&mut self, listing: Listing) {
        self.truth.replace(listing.records);
        // What a fallback says proves nothing of the registry.
        let fallback = matches!(self.origin, Origin::Fallback(_));
        let emptied =
            !fallback && self.truth.is_empty() && self.shown.as_ref().is_some_and(|shown| !shown.is_empty());
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

    /// Shows the truth: at once after some quiet, and where many instances change, only so often.
    fn believe_in_time(&mut self) {
        let due = self.told + PACE * self.truth.len() as u32;
        if due.saturating_duration_since(Instant::now()) < MOMENT {
            self.believe();
        } else {
            self.due = Some(due);
        }
    }

    /// Shows the truth, live.
    fn believe(&mut self) {
        (self.held_until, self.due, self.told) = (None, None, Instant::now());
        self.confirmed = Instant::now();
        if !self.live {
            tracing::debug!(service = &*self.shared.name, registry = &*self.shared.source, "live");
        }
        self.live = true;
        self.origin = Origin::Registry;
        (self.standby, self.failed) = (None, None);
        self.shown = Some(self.truth.list());
        self.show(None);
        self.save();
    }

    /// Has what is shown saved, as it is of now.
    fn save(&mut self) {
        let (Some(saver), Some(instances), Some(position)) = (&self.start.saver, &self.shown, self.believed)
        else {
            return;
        };
        self.saved = Instant::now();
        let saved = Saved { instances: instances.clone(), position, at: SystemTime::now() };
        saver.save(&self.shared.name, saved);
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
        self.show(Some(error.clone()));
    }

    fn show(&self, error: Option<Error>) {
        let Some(shown) = self.shown.clone() else { return };
        let Shared { name, source, .. } = &*self.shared;
        let (freshness, source) = match &self.origin {
            Origin::Registry if self.live => (Freshness::Live, source),
            Origin::Registry => (Freshness::Stale, source),
            Origin::Disk => (Freshness::Disk, source),
            Origin::Fallback(source) => (Freshness::Fallback, source),
        };
        self.shared.publish(|revision| {
            Snapshot::new(name.clone(), revision, shown, freshness, source.clone(), self.confirmed, error)
        });
    }
}
