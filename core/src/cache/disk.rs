//! Lists saved on disk, for a start while the registry is down: one file per service, which several processes share. A file
//! is written by rename, so that it is whole or not there, and has a checksum, as power may fail before the disk has it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::instance::Instance;
use crate::registry::{Position, Record, fnv1a, random_u64};

/// The shape of the files; others are not read.
const FORMAT: u32 = 1;
/// Longer ones are neither written nor read.
const MOST: u64 = 64 << 20;
/// How long to wait for another process that looks at the folder.
const BUSY: Duration = Duration::from_secs(1);
/// A list may be of so much later than now, where clocks are set back.
const SKEW: Duration = Duration::from_secs(60);

/// The lists of one registry.
pub(crate) struct Disk {
    folder: PathBuf,
    /// Stands for the registry, its datacenter and prefix in file names.
    key: String,
    source: String,
    max_age: Duration,
    /// Files that are kept.
    bound: usize,
    told: Told,
}

/// What was wrong before and is not told again.
#[derive(Default)]
struct Told {
    unwritable: AtomicBool,
    unreadable: AtomicBool,
}

/// A list as the registry vouched for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Saved {
    pub(crate) instances: Arc<[Arc<Instance>]>,
    pub(crate) position: Position,
    /// When that was.
    pub(crate) at: SystemTime,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Seal {
    callsheet: u32,
    /// FNV-1a of all other lines.
    sum: u64,
}

/// The second line. The rest is the list.
#[derive(Serialize, Deserialize)]
struct Head {
    registry: String,
    service: String,
    /// When the registry vouched for it, in milliseconds since 1970.
    at: u64,
    epoch: u64,
    index: u64,
}

impl Disk {
    /// `identity`: registry, datacenter and prefix, all in which lists of one name may differ.
    pub(crate) fn new(folder: &Path, identity: &str, source: &str, max_age: Duration, bound: usize) -> Self {
        Disk {
            folder: folder.to_owned(),
            key: format!("{:016x}", fnv1a(identity.as_bytes())),
            source: source.to_owned(),
            max_age,
            bound,
            told: Told::default(),
        }
    }

    pub(super) fn max_age(&self) -> Duration {
        self.max_age
    }

    fn path(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}@{}.json", self.key))
    }

    // --- Writing ------------------------------------------------------------------------------------------------------

    /// Saves the list of a service, unless a newer one is there. What goes wrong is told once.
    pub(crate) fn save(&self, service: &str, saved: &Saved) {
        match self.try_save(service, saved) {
            Ok(()) => self.told.unwritable.store(false, Ordering::Relaxed),
            Err(error) if !self.told.unwritable.swap(true, Ordering::Relaxed) => tracing::warn!(
                folder = %self.folder.display(),
                %error,
                "lists can't be saved, so a start while the registry is down will have none; check cache_dir"
            ),
            Err(_) => {}
        }
    }

    fn try_save(&self, service: &str, saved: &Saved) -> io::Result<()> {
        let bytes = self.bytes(service, saved)?;
        if bytes.len() as u64 > MOST {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                format!("the list of {service:?} is too long"),
            ));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.path(service);
        // Held while one looks at what is there and replaces it: an older list must not come after a newer one.
        let lock = self.private(
            &self.folder.join(format!("lock@{}", self.key)),
            OpenOptions::new().write(true).create(true),
        )?;
        locked(&lock)?;
        if let Ok(there) = read(&path)
            && self.sealed(service, &there).is_some_and(|(_, at, _)| at > saved.at)
        {
            return Ok(());
        }
        let new = self.folder.join(format!("new-{:016x}@{}", random_u64(), self.key));
        let written = self
            .private(&new, OpenOptions::new().write(true).create_new(true))
            .and_then(|mut file| file.write_all(&bytes));
        let is_new = !path.exists();
        if let Err(error) = written.and_then(|()| fs::rename(&new, &path)) {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        if is_new {
            self.prune();
        }
        Ok(())
    }

    fn bytes(&self, service: &str, saved: &Saved) -> io::Result<Vec<u8>> {
        let head = Head {
            registry: self.source.clone(),
            service: service.to_owned(),
            at: saved.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            epoch: saved.position.epoch,
            index: saved.position.index,
        };
        let mut rest = serde_json::to_vec(&head)?;
        let mut before = &b"\n["[..];
        for instance in saved.instances.iter() {
            rest.extend_from_slice(before);
            rest.extend_from_slice(&codec::encode(&Record::unowned(Instance::clone(instance))));
            before = b",\n";
        }
        if saved.instances.is_empty() {
            rest.extend_from_slice(before);
        }
        rest.extend_from_slice(b"]\n");
        let mut bytes = serde_json::to_vec(&Seal { callsheet: FORMAT, sum: fnv1a(&rest) })?;
        bytes.push(b'\n');
        bytes.append(&mut rest);
        Ok(bytes)
    }

    fn private(&self, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
    }

    /// Removes the files that were written longest ago, above the bound, and what processes left that were killed.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut lists = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.contains(&*self.key)) else { continue };
            let Some(written) = entry.metadata().ok().and_then(|about| about.modified().ok()) else {
                continue;
            };
            if name.ends_with(".json") || name.ends_with(".corrupt") {
                lists.push((written, entry.path()));
            } else if name.starts_with("new-") && written.elapsed().is_ok_and(|age| age > SKEW) {
                let _ = fs::remove_file(entry.path());
            }
        }
        lists.sort_unstable();
        let surplus = lists.len().saturating_sub(self.bound);
        for (_, path) in &lists[..surplus] {
            let _ = fs::remove_file(path);
        }
    }

    // --- Reading ------------------------------------------------------------------------------------------------------

    /// The saved list of a service, if there is one that is whole and not too old.
    pub(crate) fn load(&self, service: &str) -> Option<Saved> {
        let path = self.path(service);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                self.tell(&path, &error);
                return None;
            }
        };
        let Some(saved) = self.whole(service, &bytes) else {
            // Out of the way, and there for whoever wants to know.
            let aside = path.with_extension("corrupt");
            let moved = fs::rename(&path, &aside);
            self.tell(moved.map_or(&*path, |()| &*aside), &"it is not as it was written");
            return None;
        };
        let age = SystemTime::now().duration_since(saved.at).unwrap_or_default();
        (age <= self.max_age).then_some(saved)
    }

    fn tell(&self, path: &Path, error: &dyn std::fmt::Display) {
        if !self.told.unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(file = %path.display(), %error, "a saved list can't be used");
        }
    }

    /// A file taken apart, unless anything in it is not as it was written: what it says of its list, when that was, and the
    /// list.
    fn sealed<'a>(&self, service: &str, bytes: &'a [u8]) -> Option<(Head, SystemTime, &'a [u8])> {
        let (seal, rest): (Seal, _) = line(bytes)?;
        if seal.callsheet != FORMAT || seal.sum != fnv1a(rest) {
            return None;
        }
        let (head, list): (Head, _) = line(rest)?;
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(head.at))?;
        let ours = head.service == service && head.registry == self.source && at <= SystemTime::now() + SKEW;
        ours.then_some((head, at, list))
    }

    fn whole(&self, service: &str, bytes: &[u8]) -> Option<Saved> {
        let (head, at, body) = self.sealed(service, bytes)?;
        let values: Vec<&serde_json::value::RawValue> = serde_json::from_slice(body).ok()?;
        let mut instances = Vec::with_capacity(values.len());
        for value in values {
            #[derive(Deserialize)]
            struct Id {
                id: String,
            }
            let Id { id } = serde_json::from_str(value.get()).ok()?;
            let record = codec::decode(service, &id, value.get().as_bytes()).ok()?;
            instances.push(Arc::new(record.instance));
        }
        let sorted = instances.windows(2).all(|pair| pair[0].id < pair[1].id);
        let position = Position { epoch: head.epoch, index: head.index };
        sorted.then(|| Saved { instances: instances.into(), position, at })
    }

    /// The services of which a list is saved.
    pub(crate) fn services(&self) -> Vec<String> {
        let end = format!("@{}.json", self.key);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(&end)?.to_owned());
        let some = |name: &String| self.load(name).is_some_and(|saved| !saved.instances.is_empty());
        let mut names: Vec<_> = entries.filter_map(named).filter(some).collect();
        names.sort_unstable();
        names
    }
}

/// Takes the lock, unless somebody has it for so long that they may have been stopped.
fn locked(lock: &File) -> io::Result<()> {
    let until = Instant::now() + BUSY;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(BUSY / 100),
            locked => return Ok(locked?),
        }
    }
}

/// The first line, read, and what comes after it.
fn line<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((serde_json::from_slice(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// A file of ours that only we may write.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "it is not a file that only this user may write",
        ));
    }
    if about.len() > MOST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it is too long"));
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What holds for whatever stands in a file: once as it is, and once with a seal that fits.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let source = "etcd://h:2379";
    let disk = Disk::new(Path::new("/nowhere"), source, source, Duration::MAX, 1);
    let mut sealed = serde_json::to_vec(&Seal { callsheet: FORMAT, sum: fnv1a(bytes) }).unwrap();
    sealed.push(b'\n');
    sealed.extend_from_slice(bytes);
    for file in [bytes, &sealed] {
        let Some(saved) = disk.whole("web", file) else { continue };
        assert!(saved.at <= SystemTime::now() + SKEW);
        assert!(saved.instances.is_sorted_by(|a, b| a.id < b.id));
        for instance in saved.instances.iter() {
            assert!(instance.service == "web" && !instance.address.is_empty() && instance.port > 0);
        }
        let again = disk.bytes("web", &saved).unwrap();
        assert_eq!(disk.whole("web", &again), Some(saved));
    }
}
