//! Finds the dead: one process, elected by record locks, asks every owner's file four times a second; if it is killed or
//! stopped, another takes over at its next tick. Runs on the actor's thread; what it finds is deleted by the actor.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::clock::Clock;
use super::owner_file::{self, Corpse, Probe};
use super::place::Place;
use super::rows;

/// Between two looks at the owners.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// The same with very many owners. Still within the promised second.
const TICK_OF_MANY: Duration = Duration::from_millis(500);
const MANY: usize = 64;
/// Seats, each with a stand-in for the one before it should that be stopped with its lock held.
const SEATS: usize = 4;
/// Silence of a seat's holder, in ms, after which the next seat counts. With a tick still within the promised second; a
/// holder that was only late reaps together with the next one for a moment, which does no harm.
const STALE: u64 = 700;
/// How long one that can't look at the owners leaves the seats to others, in ms.
const BLIND: u64 = 5_000;
/// A pause of our own, in ms, after which others may have been paused too.
const PAUSED: u64 = 1000;
/// Between two looks at what no row names, in ms.
const SWEEP: u64 = 3_000;
/// Between two touches of all files, in ms, so that no temp cleaner takes them for forgotten.
const TOUCH: u64 = 3_600_000;

/// What has to go.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) dead: Vec<Dead>,
    pub(super) expired: Vec<Expired>,
    pub(super) now: u64,
}

pub(super) struct Dead {
    pub(super) owner: String,
    pub(super) corpse: Corpse,
}

/// An owner that has not renewed some of its rows, and its last heartbeat.
pub(super) struct Expired {
    pub(super) owner: String,
    pub(super) beat: u64,
}

pub(super) struct Reaper {
    folder: PathBuf,
    seats: [Option<Seat>; SEATS],
    /// Who holds rows, as of `version`.
    owners: Vec<rows::Held>,
    version: Option<(i64, u64)>,
    /// The last heartbeat seen of each owner, for when its file is taken away.
    beats: HashMap<String, u64>,
    ticked: u64,
    /// When a pause of our own last ended.
    resumed: Option<u64>,
    swept: Option<u64>,
    touched: Option<u64>,
    /// No candidate before this.
    blind_until: u64,
}

impl Reaper {
    pub(super) fn new(place: &Place) -> Self {
        Reaper {
            folder: place.owners(),
            seats: Default::default(),
            owners: Vec::new(),
            version: None,
            beats: HashMap::new(),
            ticked: 0,
            resumed: None,
            swept: None,
            touched: None,
            blind_until: 0,
        }
    }

    /// Another file is open: nothing known of the last one holds.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }

    pub(super) fn interval(&self) -> Duration {
        if self.owners.len() > MANY { TICK_OF_MANY } else { TICK }
    }

    /// Takes part in the election and, if elected, looks at the owners. `commits` counts our own writes, which SQLite's
    /// version of the data leaves out.
    pub(super) fn tick(
        &mut self,
        place: &Place,
        connection: &Connection,
        clock: &Clock,
        commits: u64,
    ) -> rusqlite::Result<Option<Verdict>> {
        let now = clock.now();
        if self.ticked > 0 && now > self.ticked + PAUSED {
            self.resumed = Some(now);
        }
        self.ticked = now;
        if now < self.blind_until || !self.elect(now) {
            self.version = None;
            self.beats.clear();
            return Ok(None);
        }
        let version = Some((rows::data_version(connection)?, commits));
        if version != self.version {
            self.owners = rows::owners(connection)?;
            self.version = version;
            let owners = &self.owners;
            self.beats.retain(|name, _| owners.iter().any(|held| held.owner == *name));
        }
        let verdict = self.judge(now);
        if self.swept.is_none_or(|at| now >= at + SWEEP) {
            self.swept = Some(now);
            self.sweep();
        }
        if self.touched.is_none_or(|at| now >= at + TOUCH) {
            self.touched = Some(now);
            touch(place);
        }
        Ok((!verdict.dead.is_empty() || !verdict.expired.is_empty()).then_some(verdict))
    }

    /// Whether we are to reap: the first seat is ours, or those before ours are held by somebody who is stopped.
    fn elect(&mut self, now: u64) -> bool {
        for at in 0..SEATS {
            let Some(seat) = self.seat(at) else { return false };
            match seat.take(now) {
                Ok(true) => {
                    self.rise_from(at + 1);
                    return true;
                }
                Ok(false) if seat.beat().is_ok_and(|beat| beat + STALE >= now) => {
                    self.rise_from(at + 1);
                    return false;
                }
                // Stopped, or unreadable: the next one counts.
                _ => {}
            }
        }
        // All of them are silent. Several may think so at once, and reap the same.
        true
    }

    fn seat(&mut self, at: usize) -> Option<&mut Seat> {
        let seat = &mut self.seats[at];
        if seat.as_ref().is_some_and(|seat| !owner_file::is_at(&seat.file, &seat.path)) {
            *seat = None;
        }
        if seat.is_none() {
            *seat = Seat::open(self.folder.join(format!("reaper-{at}")));
        }
        seat.as_mut()
    }

    /// Gives up the seats from `at` on, which were taken while somebody before us was stopped.
    fn rise_from(&mut self, at: usize) {
        for seat in self.seats[at..].iter_mut().flatten() {
            seat.rise();
        }
    }

    fn judge(&mut self, now: u64) -> Verdict {
        let mut verdict = Verdict { now, ..Verdict::default() };
        let mut blind = false;
        for held in &self.owners {
            let beat = match owner_file::probe(&self.folder, &held.owner) {
                Probe::Dead(corpse) => {
                    verdict.dead.push(Dead { owner: held.owner.clone(), corpse });
                    continue;
                }
                Probe::Ours => now,
                Probe::Alive { beat } => beat,
                Probe::Failed => {
                    blind = true;
                    continue;
                }
                // Its process may live and put the file back; until then it counts as silent since we last heard of it.
                Probe::Unknown => self.beats.get(&held.owner).copied().unwrap_or(now),
            };
            self.beats.insert(held.owner.clone(), beat);
            if is_over(held, beat, now, self.resumed) {
                verdict.expired.push(Expired { owner: held.owner.clone(), beat });
            }
        }
        if blind {
            // Somebody else may see better.
            self.blind_until = now + BLIND;
            self.rise_from(0);
        }
        verdict
    }

    /// Removes the files of the dead that no row names.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.owners.iter().any(|held| held.owner == name) {
                continue;
            }
            if let Probe::Dead(corpse) = owner_file::probe(&self.folder, &name) {
                corpse.bury();
            }
        }
    }
}

/// Whether some of an owner's rows have outlived its heartbeat, or their own end where nothing renews them.
fn is_over(held: &rows::Held, beat: u64, now: u64, resumed: Option<u64>) -> bool {
    let unrenewed = held.ttl.is_some_and(|ttl| {
        // After a pause of the whole machine the living need a moment to beat again.
        let awake = resumed.is_none_or(|resumed| now > resumed + ttl / 2);
        awake && beat + ttl < now
    });
    unrenewed || held.end.is_some_and(|end| end < now)
}

/// A place in the line of reapers: a file whose lock says who, and whose stamp says that it runs.
struct Seat {
    path: PathBuf,
    file: File,
    held: bool,
}

impl Seat {
    fn open(path: PathBuf) -> Option<Self> {
        let file = owner_file::open(&path, true).ok()?;
        Some(Seat { path, file, held: false })
    }

    /// Takes it or keeps it. A lock that we believe in is asked for anyway: it may have been dropped under us.
    fn take(&mut self, now: u64) -> std::io::Result<bool> {
        self.held = owner_file::try_lock(&self.file)?;
        if self.held {
            owner_file::write_stamp(&self.file, now)?;
        }
        Ok(self.held)
    }

    fn beat(&self) -> std::io::Result<u64> {
        owner_file::read_stamp(&self.file)
    }

    fn rise(&mut self) {
        if std::mem::take(&mut self.held) {
            // Failing would leave a lock that the next tick asks for again.
            let _ = fcntl_lock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// By path: opening the database here would drop SQLite's locks on it.
fn touch(place: &Place) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    let owners = place.owners();
    let files = fs::read_dir(&owners).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in
        [place.database().to_owned(), place.wal(), place.shm(), owners.clone()].into_iter().chain(files)
    {
        let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Scene {
        _folder: tempfile::TempDir,
        place: Place,
        db: Connection,
        now: Arc<AtomicU64>,
        clock: Clock,
        reaper: Reaper,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = Place::new(Some(&folder.path().join("registry.db")));
            place.examine().and_then(|()| place.claim()).unwrap();
            let db = Connection::open_in_memory().unwrap();
            rows::create(&db, 1, "boot").unwrap();
            let now = Arc::new(AtomicU64::new(1_000_000));
            let clock = Clock::by_hand("boot", now.clone());
            let reaper = Reaper::new(&place);
            Scene { _folder: folder, place, db, now, clock, reaper }
        }

        fn pass(&mut self, ms: u64) -> Option<Verdict> {
            self.now.fetch_add(ms, Ordering::SeqCst);
            self.reaper.tick(&self.place, &self.db, &self.clock, 0).unwrap()
        }
    }

    #[test]
    fn an_unlocked_owner_is_dead_at_the_next_tick() {
        let mut scene = Scene::new();
        let name = "1-0123456789abcdef";
        fs::write(scene.place.owners().join(name), [0; 8]).unwrap();
        rows::put(&scene.db, ("a", "1"), b"x", name, 10_000, 2_000_000).unwrap();
        let verdict = scene.pass(1).unwrap();
        assert_eq!((verdict.dead[0].owner.as_str(), verdict.expired.len()), (name, 0));
    }

    #[test]
    fn a_lease_ends_by_the_clock_that_is_passed_in_and_by_no_other() {
        let mut scene = Scene::new();
        // Its file is gone, so that nothing but time ends it.
        rows::put(&scene.db, ("a", "1"), b"x", "1-0123456789abcdef", 10_000, 1_010_000).unwrap();
        assert!(scene.pass(0).is_none());
        for _ in 0..20 {
            assert!(scene.pass(500).is_none());
        }
        assert!(scene.pass(500).is_some_and(|verdict| verdict.expired.len() == 1));
    }

    #[test]
    fn after_a_pause_of_everybody_the_living_may_beat_first() {
        let mut scene = Scene::new();
        rows::put(&scene.db, ("a", "1"), b"x", "1-0123456789abcdef", 10_000, 1_010_000).unwrap();
        assert!(scene.pass(0).is_none());
        assert!(scene.pass(60_000).is_none(), "the reaper itself was paused");
        for _ in 0..10 {
            assert!(scene.pass(500).is_none());
        }
        assert!(scene.pass(500).is_some());
    }

    #[test]
    fn one_that_cannot_look_ends_nobody_and_leaves_the_seat() {
        let mut scene = Scene::new();
        let name = "1-0123456789abcdef";
        rows::put(&scene.db, ("a", "1"), b"x", name, 10_000, 1_010_000).unwrap();
        // No file that can be opened: as if there were no descriptors left.
        fs::create_dir(scene.place.owners().join(name)).unwrap();
        for _ in 0..100 {
            assert!(scene.pass(500).is_none());
        }
        assert!(scene.reaper.seats.iter().flatten().all(|seat| !seat.held));
        fs::remove_dir(scene.place.owners().join(name)).unwrap();
        scene.pass(BLIND);
        assert!(scene.reaper.seats[0].as_ref().is_some_and(|seat| seat.held), "it sees again");
    }

    #[test]
    fn when_every_seat_is_silent_somebody_reaps_all_the_same() {
        let mut scene = Scene::new();
        let holders: Vec<_> = (0..SEATS)
            .map(|at| {
                let path = scene.place.owners().join(format!("reaper-{at}"));
                fs::write(&path, 1_u64.to_le_bytes()).unwrap();
                owner_file::tests::elsewhere(&path, "LOCK_EX")
            })
            .collect();
        fs::write(scene.place.owners().join("1-0123456789abcdef"), [0; 8]).unwrap();
        rows::put(&scene.db, ("a", "1"), b"x", "1-0123456789abcdef", 10_000, 2_000_000).unwrap();
        assert_eq!(scene.pass(1).unwrap().dead.len(), 1);
        for mut holder in holders {
            drop(holder.stdin.take());
            holder.wait().unwrap();
        }
    }

    #[test]
    fn a_row_that_nobody_renews_ends_at_its_own_time() {
        let mut scene = Scene::new();
        rows::put(&scene.db, ("a", "1"), b"x", "", 0, 1_000_400).unwrap();
        assert!(scene.pass(400).is_none());
        assert!(scene.pass(1).is_some());
    }

    #[test]
    fn what_the_dead_leave_in_the_folder_is_removed() {
        let mut scene = Scene::new();
        let owners = scene.place.owners();
        for name in ["1-0123456789abcdef", "1-0123456789abcdee.new"] {
            fs::write(owners.join(name), "").unwrap();
        }
        fs::write(owners.join("not-an-owner"), "").unwrap();
        scene.pass(1);
        let mut left: Vec<_> = fs::read_dir(&owners)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["not-an-owner", "reaper-0"]);
    }
}
