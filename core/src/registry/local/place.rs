//! Where a local registry lives: its paths, and whether files there may be trusted. Asked by the actor before each
//! opening. Never opens the database itself: closing such a descriptor would drop SQLite's own record locks.

use std::fs::{self, DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fault;
use crate::error::{Code, Error, Result};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    database: PathBuf,
    /// Nobody chose the path, so that everything about its folder is ours to insist on.
    default: bool,
}

/// Which files stand at the paths of a database. Changes when one is deleted or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity([Option<(u64, u64)>; 3]);

impl Identity {
    /// Whether all of them exist.
    pub(super) fn is_whole(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}

impl Place {
    /// The path of a URL, or the default: not from the environment, so that a login shell and cron meet.
    pub(super) fn new(path: Option<&Path>) -> Self {
        match path {
            Some(path) => Place { database: path.to_owned(), default: false },
            None => {
                let uid = rustix::process::geteuid().as_raw();
                Place { database: format!("/tmp/callsheet-{uid}/registry.db").into(), default: true }
            }
        }
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    pub(super) fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("/"))
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.beside("-wal")
    }

    pub(super) fn shm(&self) -> PathBuf {
        self.beside("-shm")
    }

    /// The folder of owner files, apart from the database so that heartbeats wake nobody who watches that.
    pub(super) fn owners(&self) -> PathBuf {
        self.beside("-owners")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.database.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    pub(super) fn identity(&self) -> Identity {
        let of = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        Identity([of(&self.database), of(&self.wal()), of(&self.shm())])
    }

    /// Makes the folder and refuses what others could forge or share over a network. Changes nothing that is there: it may be
    /// another program's.
    pub(super) fn examine(&self) -> Result<()> {
        let folder = self.folder();
        make_folder(folder)?;
        let meta = look(folder)?.ok_or_else(|| fault::vanished(folder))?;
        if self.default {
            private_folder(folder, &meta)?;
        } else {
            shared_folder(folder, &meta)?;
        }
        self.refuse_network()?;
        for path in self.files() {
            if let Some(meta) = look(&path)? {
                own_file(&path, &meta)?;
            }
        }
        Ok(())
    }

    /// Makes the folder of owner files, and everything private: for a database that is ours or about to be made.
    pub(super) fn claim(&self) -> Result<()> {
        let owners = self.owners();
        make_folder(&owners)?;
        private_folder(&owners, &look(&owners)?.ok_or_else(|| fault::vanished(&owners))?)?;
        for path in self.files() {
            if let Some(meta) = look(&path)? {
                make_private(&path, &meta)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> [PathBuf; 3] {
        [self.database.clone(), self.wal(), self.shm()]
    }

    #[cfg(target_os = "linux")]
    fn refuse_network(&self) -> Result<()> {
        let folder = self.folder();
        let stat = rustix::fs::statfs(folder).map_err(|errno| fault::io("examine", folder, &errno.into()))?;
        let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        match network_name(stat.f_type as u32).or_else(|| {
            let fuse = stat.f_type as u32 == FUSE;
            fuse.then(|| network_fuse(&mounts(), look(folder).ok().flatten()?.dev())).flatten()
        }) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                Code::PermissionDenied,
                format!(
                    "{} is on a network file system ({name}), where locks and shared memory do not hold; name a path on \
                     a local disk or tmpfs, such as local:///run/user/{}/registry.db, or use etcd or Consul between \
                     machines",
                    self.database.display(),
                    rustix::process::geteuid().as_raw(),
                ),
            )),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn refuse_network(&self) -> Result<()> {
        Ok(())
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(fault::io("make the folder", folder, &error)),
    }
}

/// What stands at a path, without following a symbolic link.
fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault::io("examine", path, &error)),
    }
}

fn refused(path: &Path, what: &str, remedy: &str) -> Error {
    Error::new(Code::PermissionDenied, format!("{} {what}; {remedy}", path.display()))
}

fn folder_itself(folder: &Path, meta: &Metadata) -> Result<()> {
    if meta.is_symlink() {
        return Err(refused(
            folder,
            "is a symbolic link, which somebody else may have planted",
            "remove it, or name the real path with local:///absolute/path/registry.db",
        ));
    }
    if !meta.is_dir() {
        return Err(refused(folder, "is not a folder", "move it away, or name another path"));
    }
    Ok(())
}

/// A folder that only this user may enter.
fn private_folder(folder: &Path, meta: &Metadata) -> Result<()> {
    folder_itself(folder, meta)?;
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid {
        return Err(foreign(folder, meta, uid));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(refused(
            folder,
            &format!("can be entered by other users (mode {:04o})", meta.mode() & 0o7777),
            &format!("run `chmod 700 {}`", folder.display()),
        ));
    }
    Ok(())
}

/// A folder that the user chose: it may be the system's, but nobody else may be able to swap files in it.
fn shared_folder(folder: &Path, meta: &Metadata) -> Result<()> {
    folder_itself(folder, meta)?;
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid && meta.uid() != 0 {
        return Err(foreign(folder, meta, uid));
    }
    if meta.mode() & 0o002 != 0 && meta.mode() & 0o1000 == 0 {
        return Err(refused(
            folder,
            "can be written by every user",
            &format!("run `chmod o-w {}`, or name another path", folder.display()),
        ));
    }
    Ok(())
}

fn own_file(path: &Path, meta: &Metadata) -> Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    if meta.is_symlink() {
        return Err(refused(path, "is a symbolic link", "remove it, or name the file that it points to"));
    }
    if !meta.is_file() {
        return Err(refused(path, "is not a file", "move it away, or name another path"));
    }
    if meta.uid() != uid {
        return Err(foreign(path, meta, uid));
    }
    Ok(())
}

fn make_private(path: &Path, meta: &Metadata) -> Result<()> {
    if meta.mode() & 0o077 != 0 {
        let ours = fs::Permissions::from_mode(meta.mode() & 0o700);
        fs::set_permissions(path, ours).map_err(|error| fault::io("make private", path, &error))?;
    }
    Ok(())
}

fn foreign(path: &Path, meta: &Metadata, uid: u32) -> Error {
    refused(
        path,
        &format!("belongs to user {}, and this process is user {uid}", meta.uid()),
        "run both as one user, or name another path with local:///absolute/path/registry.db",
    )
}

/// `statfs` types (statfs(2), linux/magic.h) of file systems that other machines mount too.
fn network_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x564c => "NCP",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0102_1997 => "9p",
        0x00c3_6400 => "Ceph",
        0x4750_4653 => "GPFS",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x1980_0202 | 0xaad7_aaea => "Panasas or another parallel file system",
        _ => return None,
    })
}

const FUSE: u32 = 0x6573_5546;

/// FUSE has one type for local and remote file systems; its mounts name the program that serves them.
fn network_fuse(mounts: &str, device: u64) -> Option<&'static str> {
    const REMOTE: [&str; 9] =
        ["sshfs", "glusterfs", "ceph", "s3fs", "rclone", "gcsfuse", "goofys", "davfs", "curlftpfs"];
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device.as_str()))?;
    let kind = mount.split_once(" - ")?.1.split(' ').next()?;
    REMOTE.into_iter().find(|name| kind.strip_prefix("fuse.").is_some_and(|kind| kind.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn denied(place: &Place) -> String {
        let error = place.examine().and_then(|()| place.claim()).unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied, "{error}");
        error.to_string()
    }

    #[test]
    fn the_default_is_not_taken_from_the_environment() {
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(Place::new(None).database(), Path::new(&format!("/tmp/callsheet-{uid}/registry.db")));
    }

    #[test]
    fn network_file_systems_are_known_by_their_type() {
        for kind in [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x5346_414f, 0x00c3_6400] {
            assert!(network_name(kind).is_some());
        }
        for (local, kind) in [("ext4", 0xef53), ("tmpfs", 0x0102_1994), ("xfs", 0x5846_5342), ("fuse", FUSE)]
        {
            assert_eq!(network_name(kind), None, "{local}");
        }
        let mounts = "36 35 0:45 / /mnt rw - fuse.sshfs me@host: rw\n37 35 0:46 / /data rw - fuse.ntfs-3g /dev/sdb1 rw\n";
        assert_eq!(network_fuse(mounts, rustix::fs::makedev(0, 45)), Some("sshfs"));
        assert_eq!(network_fuse(mounts, rustix::fs::makedev(0, 46)), None);
    }

    #[test]
    fn planted_links_and_open_folders_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let real = scratch.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = scratch.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(denied(&Place::new(Some(&link.join("registry.db")))).contains("symbolic link"));
        symlink("/etc/passwd", real.join("registry.db")).unwrap();
        assert!(denied(&Place::new(Some(&real.join("registry.db")))).contains("symbolic link"));
        fs::set_permissions(&real, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(denied(&Place::new(Some(&real.join("other.db")))).contains("chmod o-w"));
        let default = Place { database: real.join("registry.db"), default: true };
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(denied(&default).contains("chmod 700"));
    }

    #[test]
    fn folders_are_made_private() {
        let scratch = tempfile::tempdir().unwrap();
        let place = Place::new(Some(&scratch.path().join("a/b/registry.db")));
        place.examine().and_then(|()| place.claim()).unwrap();
        for folder in [place.folder(), &place.owners()] {
            assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        }
    }
}
