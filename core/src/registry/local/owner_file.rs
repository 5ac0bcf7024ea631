//! The file by which a process proves that it lives: it holds a record lock on it, which the kernel drops at death however
//! that comes, and writes a heartbeat into it, which also ends when the process is stopped. Used by the actor and the reaper.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::fork::PerProcess;
use crate::registry::random_u64;

/// The owner files of this very process. None of them may be opened again: closing any descriptor of a file drops the
/// process's record locks on it (fcntl(2)). A pid would not tell them apart, as every container has its own process 1.
static OURS: PerProcess<Mutex<HashSet<String>>> = PerProcess::new(Mutex::default);

/// Where a name stands until its lock is held, so that nobody ever finds the file of a living owner unlocked.
const UNBORN: &str = ".new";

pub(super) struct OwnerFile {
    name: String,
    path: PathBuf,
    file: File,
}

impl OwnerFile {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let name = format!("{}-{:016x}", std::process::id(), random_u64());
        let path = folder.join(&name);
        ours(|names| names.insert(name.clone()));
        match claimed(folder, &path) {
            Ok(file) => Ok(OwnerFile { name, path, file }),
            Err(error) => {
                ours(|names| names.remove(&name));
                Err(error)
            }
        }
    }

    /// What rows name as their owner.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says that this process runs, and has been until `now`.
    pub(super) fn beat(&mut self, now: u64) -> io::Result<()> {
        self.stay()?;
        write_stamp(&self.file, now)
    }

    /// Puts it back if a temp cleaner took it or its folder was moved away. The name stays ours, so that nothing has to be
    /// registered again.
    pub(super) fn stay(&mut self) -> io::Result<()> {
        if !is_at(&self.file, &self.path) {
            self.file = claimed(self.path.parent().unwrap_or(Path::new("/")), &self.path)?;
        }
        Ok(())
    }
}

impl Drop for OwnerFile {
    fn drop(&mut self) {
        // Best effort: what stays behind is unlocked, and a reaper's to remove.
        let _ = fs::remove_file(&self.path);
        ours(|names| names.remove(&self.name));
    }
}

/// Whether an open file is still the one at its path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |open: fs::Metadata, there: fs::Metadata| (open.dev(), open.ino()) == (there.dev(), there.ino());
    file.metadata().and_then(|open| Ok(same(open, fs::symlink_metadata(path)?))).unwrap_or(false)
}

fn ours<T>(look: impl FnOnce(&mut HashSet<String>) -> T) -> T {
    look(&mut OURS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A new locked file at `path`. Until it is locked it looks like a dead owner's, so a reaper that sweeps just then may
/// remove it or hold its lock for a moment; then it is made again.
fn claimed(folder: &Path, path: &Path) -> io::Result<File> {
    const TRIES: usize = 20;
    for _ in 1..TRIES {
        match claim(folder, path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock) => {}
            claimed => return claimed,
        }
    }
    claim(folder, path)
}

fn claim(folder: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut unborn = path.to_owned().into_os_string();
    unborn.push(UNBORN);
    let unborn = PathBuf::from(unborn);
    let made = open(&unborn, true).and_then(|file| {
        // The room for the heartbeat is taken now, so that a disk which fills up later ends no lease.
        write_stamp(&file, 0)?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&unborn, path)?;
        Ok(file)
    });
    if made.is_err() {
        let _ = fs::remove_file(&unborn);
    }
    made
}

/// A file of this registry's own, made if need be; private, and never through a symbolic link.
pub(super) fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Takes the whole file's lock if nobody else has it. Taking a lock that is ours already succeeds.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    taken(file, FlockOperation::NonBlockingLockExclusive)
}

fn taken(file: &File, lock: FlockOperation) -> io::Result<bool> {
    match fcntl_lock(file, lock) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn write_stamp(file: &File, now: u64) -> io::Result<()> {
    file.write_all_at(&now.to_le_bytes(), 0)
}

/// The last heartbeat; 0 if there was none yet.
pub(super) fn read_stamp(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_le_bytes(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

/// What an owner file says of its process.
pub(super) enum Probe {
    Ours,
    Alive {
        beat: u64,
    },
    Dead(Corpse),
    /// No such file, or no such name: nothing can be said.
    Unknown,
    /// This process can't look, which says nothing of the other: it may have no descriptors left.
    Failed,
}

/// A dead owner's file. The lock is a shared one: two processes that ask at the same moment must not take each other for
/// its owner, which would hold an exclusive one.
pub(super) struct Corpse {
    path: PathBuf,
    _locked: File,
}

impl Corpse {
    /// Removes the file; only once no row names it.
    pub(super) fn bury(self) {
        let _ = fs::remove_file(&self.path);
    }
}

pub(super) fn probe(folder: &Path, name: &str) -> Probe {
    // Names come out of the database, where anybody may write anything.
    if !is_name(name) {
        return Probe::Unknown;
    }
    if ours(|names| names.contains(name.trim_end_matches(UNBORN))) {
        return Probe::Ours;
    }
    let path = folder.join(name);
    let file = match open(&path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Probe::Unknown,
        Err(_) => return Probe::Failed,
    };
    match taken(&file, FlockOperation::NonBlockingLockShared) {
        Ok(true) => Probe::Dead(Corpse { path, _locked: file }),
        Ok(false) => read_stamp(&file).map_or(Probe::Failed, |beat| Probe::Alive { beat }),
        Err(_) => Probe::Failed,
    }
}

/// `{pid}-{16 hex digits}`, as [`OwnerFile::create`] makes them, with or without the suffix of the unborn.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix(UNBORN).unwrap_or(name);
    name.split_once('-').is_some_and(|(pid, random)| {
        !pid.is_empty()
            && pid.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == 16
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn one_never_opens_ones_own_file_and_a_foreign_name_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = OwnerFile::create(folder.path()).unwrap();
        owner.beat(7).unwrap();
        assert!(matches!(probe(folder.path(), owner.name()), Probe::Ours));
        for name in ["", "../../etc/passwd", "1-xyz", "1-0123456789abcdef", "x-0123456789abcdef"] {
            assert!(matches!(probe(folder.path(), name), Probe::Unknown), "{name}");
        }
    }

    #[test]
    fn an_unlocked_file_is_a_dead_owner() {
        let folder = tempfile::tempdir().unwrap();
        let name = "1-0123456789abcdef";
        fs::write(folder.path().join(name), [0; 8]).unwrap();
        match probe(folder.path(), name) {
            Probe::Dead(corpse) => corpse.bury(),
            _ => panic!("it is dead"),
        }
        assert!(matches!(probe(folder.path(), name), Probe::Unknown));
    }

    /// Another process's lock, as this one's own never stand in its way.
    pub(in super::super) fn elsewhere(path: &Path, lock: &str) -> std::process::Child {
        let code = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\n\
                    fcntl.lockf(f, getattr(fcntl, sys.argv[2]))\nprint('held', flush=True)\nsys.stdin.read()";
        let mut child = std::process::Command::new("python3")
            .args(["-c", code])
            .arg(path)
            .arg(lock)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).unwrap();
        assert_eq!(line, "held\n");
        child
    }

    #[test]
    fn a_sweep_does_not_keep_an_owner_from_being_born() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    for entry in fs::read_dir(&path).unwrap().flatten() {
                        if entry.file_name().to_string_lossy().ends_with(UNBORN) {
                            let _ = fs::remove_file(entry.path());
                        }
                    }
                    // Thirty thousand times as often as a reaper sweeps is often enough.
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
            let born = (0..2000).map(|_| OwnerFile::create(&path).map(drop)).collect::<io::Result<Vec<_>>>();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            born.unwrap();
        });
    }

    #[test]
    fn another_prober_is_not_taken_for_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let name = "1-0123456789abcdef";
        let path = folder.path().join(name);
        fs::write(&path, [0; 8]).unwrap();
        for (lock, dead) in [("LOCK_SH", true), ("LOCK_EX", false)] {
            let mut other = elsewhere(&path, lock);
            assert_eq!(matches!(probe(folder.path(), name), Probe::Dead(_)), dead, "{lock}");
            drop(other.stdin.take());
            other.wait().unwrap();
        }
    }

    #[test]
    fn a_file_that_a_cleaner_took_is_made_anew_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = OwnerFile::create(&folder.path().join("owners")).unwrap();
        let path = folder.path().join("owners").join(owner.name());
        fs::remove_dir_all(folder.path().join("owners")).unwrap();
        owner.beat(9).unwrap();
        assert!(path.exists());
        fs::rename(folder.path().join("owners"), folder.path().join("aside")).unwrap();
        owner.stay().unwrap();
        assert!(path.exists(), "moving its folder away is no different");
        drop(owner);
        assert!(!path.exists());
    }
}
