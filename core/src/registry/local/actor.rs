//! The thread that has the database open: it serves requests, tells followers what changed, beats and reaps. It waits in one
//! place only, for its bell, for file events and for its own next duty; a lock that another process holds is tried again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::OwnedSemaphorePermit;

use super::database::Database;
use super::events::Events;
use super::fault::{self, Fault};
use super::follow::Audience;
use super::gate;
use super::mailbox::{Letter, Mailbox, Settings};
use super::owner_file::OwnerFile;
use super::pace::{Found, Pace};
use super::place::Place;
use super::publication::Holdings;
use super::reaper::Reaper;
use super::request::{Read, Request, Write};
use super::rows::{self, Head};
use crate::error::Error;
use crate::registry::random_u64;

/// How long a request waits for a lock that another process holds: less than callers wait by default, so that they hear why.
const PATIENCE: Duration = Duration::from_secs(4);
/// The look that file events make superfluous, and the silence after which a broken file is tried again.
const ROUND: Duration = Duration::from_secs(1);
/// Polling instead of file events: between this and twice this.
const POLL: u64 = 50;
/// The files beside the database were replaced: time for everybody to let go of the old ones before new ones are used.
const LET_GO: Duration = Duration::from_millis(200);

/// A request, when it came, and its place in the queue.
pub(super) struct Pending<T> {
    pub(super) what: T,
    came: Instant,
    _room: Option<OwnedSemaphorePermit>,
}

pub(super) struct Actor {
    pub(super) place: Place,
    pub(super) settings: Settings,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) database: Option<Database>,
    /// No opening before this, and not before the second unless somebody asks for something.
    open_at: Instant,
    reopen_at: Instant,
    /// Whether the present trouble with the file is in the log.
    complained: bool,
    /// How far the present history was told.
    pub(super) seen: Option<Head>,
    version: Option<i64>,
    /// Our own commits, which are no news to `version`.
    pub(super) commits: u64,
    pub(super) reads: VecDeque<Pending<Read>>,
    writes: VecDeque<Pending<Write>>,
    /// No try before this, as another process holds the lock.
    try_at: Instant,
    pub(super) tries: u32,
    pub(super) owner: Option<OwnerFile>,
    beat_at: Option<Instant>,
    pub(super) holdings: Holdings,
    pub(super) audience: Audience,
    reaper: Reaper,
    reaping: bool,
    tick_at: Instant,
    events: Events,
    pace: Pace,
    /// Whether file events came since the last look.
    stirred: bool,
    random: fastrand::Rng,
}

impl Actor {
    pub(super) fn new(place: Place, settings: Settings, mailbox: Arc<Mailbox>) -> Self {
        let now = Instant::now();
        Actor {
            database: None,
            open_at: now,
            reopen_at: now,
            complained: false,
            seen: None,
            version: None,
            commits: 0,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            try_at: now,
            tries: 0,
            owner: None,
            beat_at: None,
            holdings: Holdings::default(),
            audience: Audience::new(),
            reaper: Reaper::new(&place),
            reaping: false,
            tick_at: now,
            events: Events::new(settings.events),
            pace: Pace::new(now),
            stirred: false,
            random: fastrand::Rng::with_seed(random_u64()),
            place,
            settings,
            mailbox,
        }
    }

    pub(super) fn run(mut self) {
        // Also when a panic ends the thread: callers then get an error instead of silence.
        let _closing = Closing(self.mailbox.clone());
        loop {
            if gate::is_forking() {
                self.step_aside();
                continue;
            }
            let (letters, closed) = self.mailbox.take();
            let now = Instant::now();
            letters.into_iter().for_each(|letter| self.receive(letter, now));
            self.step(now);
            if closed && (self.writes.is_empty() || self.database.is_none()) {
                break;
            }
            self.wait();
        }
    }

    /// A fork copies SQLite's idea of which locks are held; so there is none while one happens.
    fn step_aside(&mut self) {
        if let Some(database) = self.database.take() {
            database.close_at_once();
            self.version = None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }

    fn receive(&mut self, letter: Letter, came: Instant) {
        let _room = letter.room;
        match letter.request {
            Request::Read(what) => self.reads.push_back(Pending { what, came, _room }),
            Request::Write(what) => self.writes.push_back(Pending { what, came, _room }),
        }
    }

    /// Whatever is due.
    fn step(&mut self, now: Instant) {
        self.give_up(now);
        self.beat(now);
        if let Err(fault) = self.work(now) {
            self.endure(fault, now);
        }
    }

    fn work(&mut self, now: Instant) -> Result<(), Fault> {
        if !self.is_needed() {
            return Ok(());
        }
        if !self.ensure_open(now)? {
            return Ok(());
        }
        if now >= self.tick_at {
            self.tick(now)?;
        }
        if now >= self.pace.look_at() {
            self.look(now)?;
        }
        if now >= self.try_at {
            // Nobody is to read of those who are known to be dead; but a lock that holds this up holds up no reader.
            let reaped = if self.reaping { self.write(now) } else { Ok(()) };
            self.serve()?;
            reaped?;
            self.write(now)?;
            self.listen(now);
        }
        Ok(())
    }

    /// Whether there is a reason to open the file again once it was lost.
    fn is_needed(&self) -> bool {
        self.database.is_some() || self.is_asked() || self.is_interested()
    }

    fn is_asked(&self) -> bool {
        !self.reads.is_empty() || !self.writes.is_empty()
    }

    fn may_open_at(&self) -> Instant {
        if self.is_asked() { self.open_at } else { self.open_at.max(self.reopen_at) }
    }

    /// Whether anybody here has to hear of changes.
    fn is_interested(&self) -> bool {
        !self.holdings.has_none() || !self.audience.is_empty() || self.holdings.anybody_waits()
    }

    fn ensure_open(&mut self, now: Instant) -> Result<bool, Fault> {
        let due = now >= self.pace.look_at() || self.is_asked();
        if due && self.database.as_ref().is_some_and(|database| !database.is_in_place()) {
            return Err(Fault::Moved);
        }
        if self.database.is_some() {
            return Ok(true);
        }
        if now < self.may_open_at() {
            return Ok(false);
        }
        self.database = Some(Database::open(&self.place, &self.settings.clock)?);
        self.version = None;
        self.reaper.forget();
        (self.tries, self.complained) = (0, false);
        // The dead are gone before anything is read.
        self.tick_at = now;
        self.pace.hurry(now);
        self.events.reopened(&self.place);
        Ok(true)
    }

    /// Takes a failure to whom it concerns.
    fn endure(&mut self, fault: Fault, now: Instant) {
        match fault {
            Fault::Busy => {
                let bound = 1u64 << self.tries.min(6);
                let pause = Duration::from_micros(self.random.u64(200..=700 * bound));
                (self.try_at, self.tries) = (now + pause, self.tries + 1);
                self.open_at = self.open_at.max(now + pause);
                self.pace.delay(now + pause);
                self.tick_at = self.tick_at.max(now + pause);
            }
            Fault::Moved => {
                if let Some(database) = self.database.take() {
                    database.close_at_once();
                    let replaced = std::fs::symlink_metadata(self.place.database()).is_ok();
                    self.open_at = if replaced { now + LET_GO } else { now };
                    tracing::info!(path = %self.place.database().display(), "the registry file was removed or replaced");
                }
            }
            // Nothing was written, and reading goes on.
            Fault::Full(error) if self.database.is_some() => {
                self.fail_writes(&error);
                self.tick_at = self.tick_at.max(now + ROUND);
            }
            Fault::Full(error) | Fault::Broken(error) => self.give_out(&error, now),
        }
    }

    /// The file can't be used: everybody hears why, and a later request tries again.
    fn give_out(&mut self, error: &Error, now: Instant) {
        if let Some(database) = self.database.take() {
            if !database.is_in_place() {
                // It was taken away under us, which is no fault of the file.
                database.close_at_once();
                return;
            }
            database.close_at_once();
        }
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(%error, "the local registry can't be used");
        }
        for read in std::mem::take(&mut self.reads) {
            read.what.fail(error);
        }
        self.fail_writes(error);
        self.audience.fail(error);
        self.holdings.free_all();
        (self.open_at, self.reopen_at) = (now + ROUND / 20, now + ROUND);
        self.pace.delay(now + ROUND);
        (self.try_at, self.tries) = (now, 0);
    }

    fn fail_writes(&mut self, error: &Error) {
        self.reaping = false;
        for write in std::mem::take(&mut self.writes) {
            write.what.fail(error);
        }
    }

    /// Answers those who waited too long for another process.
    fn give_up(&mut self, now: Instant) {
        let late = |came: Instant| now.saturating_duration_since(came) > PATIENCE;
        while self.reads.front().is_some_and(|read| late(read.came)) {
            if let Some(read) = self.reads.pop_front() {
                read.what.fail(&fault::busy(&self.place));
            }
        }
        while self.writes.front().is_some_and(|write| late(write.came)) {
            if let Some(write) = self.writes.pop_front() {
                self.reaping &= !matches!(write.what, Write::Reap(_));
                write.what.fail(&fault::busy(&self.place));
            }
        }
    }

    /// Renews every lease of this process with one write of 8 bytes, which no lock and no full disk can hold up.
    fn beat(&mut self, now: Instant) {
        let Some(ttl) = self.holdings.shortest_ttl() else {
            self.beat_at = None;
            return;
        };
        let pace = Duration::from_millis(ttl / 3);
        // The first lease begins with a beat, and a shorter one may have come since the last.
        let due = self.beat_at.get_or_insert(now);
        *due = (*due).min(now + pace);
        if now < *due {
            return;
        }
        self.beat_at = Some(now + pace);
        if let Some(owner) = &mut self.owner
            && let Err(error) = owner.beat(self.settings.clock.now())
        {
            tracing::warn!(%error, path = %self.place.owners().display(), "can't renew in the local registry; trying again");
            self.beat_at = Some(now + pace.min(ROUND));
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        self.tick_at = now + self.reaper.interval();
        let Some(database) = &self.database else { return Ok(()) };
        let verdict = self
            .reaper
            .tick(&self.place, database, &self.settings.clock, self.commits)
            .map_err(|error| fault::sqlite(&self.place, error))?;
        if let Some(verdict) = verdict
            && !self.reaping
        {
            self.reaping = true;
            self.writes.push_back(Pending { what: Write::Reap(verdict), came: now, _room: None });
        }
        Ok(())
    }

    /// Looks whether others changed something.
    fn look(&mut self, now: Instant) -> Result<(), Fault> {
        self.drain();
        let idle = self.idle();
        // Should this fail, the next look is not at once.
        self.pace.delay(now + ROUND / 10);
        self.audience.prune();
        self.holdings.prune();
        if !self.wants_events() {
            self.events.stop();
        }
        let Some(database) = &self.database else { return Ok(()) };
        let version = rows::data_version(database).map_err(|error| fault::sqlite(&self.place, error))?;
        let mut found = Found::Nothing;
        if self.version != Some(version) {
            found = if self.catch_up()? { Found::Relevant } else { Found::Elsewhere };
            self.version = Some(version);
        }
        self.pace.looked(now, found, std::mem::take(&mut self.stirred), idle);
        self.mailbox.looked();
        Ok(())
    }

    /// Whether somebody here should hear of changes at once. What is ours alone is looked after in time without: file events
    /// are few, and a thousand providers need not wake for each other.
    fn wants_events(&self) -> bool {
        !self.audience.is_empty() || self.holdings.anybody_waits()
    }

    /// Time to the next look if nothing happens.
    fn idle(&mut self) -> Duration {
        if self.wants_events() && self.events.is_polling() {
            return Duration::from_millis(self.random.u64(POLL..=2 * POLL));
        }
        self.holdings.shortest_ttl().map_or(ROUND, |ttl| Duration::from_millis(ttl / 6).min(ROUND))
    }

    /// Begins to listen once there is somebody to listen for.
    fn listen(&mut self, now: Instant) {
        if self.database.is_some() && self.wants_events() && self.events.is_polling() {
            // Whatever came before the first event would be missed, and without events the poll begins.
            self.events.watch(&self.place, now);
            let idle = self.idle();
            self.pace.hurry(if self.events.is_polling() { now + idle } else { now });
        }
    }

    fn drain(&mut self) {
        let seen = self.events.drain(&self.place);
        self.stirred |= seen.written || seen.moved;
    }

    /// Does the writes that wait, in one transaction.
    fn write(&mut self, now: Instant) -> Result<(), Fault> {
        self.writes.retain(|write| !write.what.is_unwanted());
        if self.writes.is_empty() {
            return Ok(());
        }
        let Some(database) = self.database.take() else { return Ok(()) };
        let batch: Vec<_> = self.writes.drain(..self.writes.len().min(BATCH)).collect();
        let done = self.transact(&database, &batch.iter().map(|write| &write.what).collect::<Vec<_>>());
        database.bound_wal();
        self.database = Some(database);
        match done {
            Ok(outcomes) => {
                self.commits += 1;
                self.tries = 0;
                for (write, outcome) in batch.into_iter().zip(outcomes) {
                    self.settle(write.what, outcome);
                }
                self.beat(now);
                self.catch_up().map(drop)
            }
            Err(fault) => {
                for write in batch.into_iter().rev() {
                    self.writes.push_front(write);
                }
                Err(fault)
            }
        }
    }

    /// The reaper's last verdict is carried out; the next one may come.
    pub(super) fn reaped(&mut self) {
        self.reaping = false;
    }

    /// Until the next duty, the bell, or a file event.
    fn wait(&mut self) {
        if gate::is_forking() {
            // The bell that says so may have been heard together with others before it was looked for.
            return;
        }
        let now = Instant::now();
        let mut until = now + ROUND;
        if let Some(at) = self.beat_at {
            until = until.min(at);
        }
        if self.database.is_some() {
            until = until.min(self.tick_at).min(self.pace.look_at());
        } else if self.is_needed() {
            until = until.min(self.may_open_at());
        }
        if self.is_asked() {
            until = until.min(self.try_at.max(self.open_at));
        }
        let pause = until.saturating_duration_since(now);
        let timeout = Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: i64::from(pause.subsec_nanos()) };
        let ear = self.mailbox.ear();
        let mut fds = vec![PollFd::new(&ear, PollFlags::IN)];
        let events = self.events.fd().filter(|_| self.pace.listens(now));
        fds.extend(events.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, Some(&timeout));
        let eventful = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if eventful {
            self.drain();
            if self.stirred {
                self.pace.hurry(now);
            }
        }
    }
}

/// Writes in one transaction at most, so that others get their turn.
const BATCH: usize = 256;

struct Closing(Arc<Mailbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
