//! What goes wrong with a file, in callsheet's words: which file, and what to do about it. Called wherever this registry
//! touches the disk; never repairs, moves or deletes anything.

use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::ffi;

use super::place::Place;
use crate::error::{Code, Error};

/// How an attempt on the database failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another process is at it: try again in a moment.
    Busy,
    /// The file at the path is no longer the one that is open.
    Moved,
    /// The disk takes no more, but what is stored can be read.
    Full(Error),
    /// Anything else. The connection is of no more use.
    Broken(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Broken(error)
    }
}

pub(super) fn sqlite(place: &Place, error: rusqlite::Error) -> Fault {
    let path = place.database().display();
    let (primary, extended) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.extended_code & 0xff, failure.extended_code),
        _ => (ffi::SQLITE_ERROR, ffi::SQLITE_ERROR),
    };
    let new = |code, message: String| Error::new(code, message).with_cause(error.to_string());
    match (primary, extended) {
        (ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL, _) => Fault::Busy,
        (_, ffi::SQLITE_READONLY_DBMOVED) => Fault::Moved,
        (ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT, _) => Fault::Broken(new(
            Code::Protocol,
            format!(
                "the registry file {path} is corrupt; nothing was changed. Move it away with the files beside it (`for f \
                 in {path} {path}-wal {path}-shm; do mv $f $f.corrupt; done`): running processes then make a new one and \
                 register again"
            ),
        )),
        (ffi::SQLITE_FULL, _) => Fault::Full(full(place, &error)),
        (
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_TRUNCATE,
        ) => Fault::Full(full(place, &error)),
        (ffi::SQLITE_READONLY, _) => Fault::Broken(read_only(place, &error)),
        (ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_AUTH, _) => {
            Fault::Broken(unopened(place, &error))
        }
        (ffi::SQLITE_ERROR, _) => Fault::Broken(new(
            Code::Protocol,
            format!(
                "the registry file {path} lacks callsheet's tables; nothing was changed. Move it away: running \
                 processes then make a new one and register again"
            ),
        )),
        _ => Fault::Broken(new(
            Code::Unavailable,
            format!("can't use the registry file {path}; check the disk under it, or name another path"),
        )),
    }
}

/// An operation on a file or folder of the registry that the system refused.
pub(super) fn io(what: &str, path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    let (code, remedy) = match error.kind() {
        ErrorKind::PermissionDenied => {
            (Code::PermissionDenied, "give this user the right, or name another path with local:///…")
        }
        ErrorKind::ReadOnlyFilesystem => {
            (Code::Unavailable, "the file system is read-only: remount it writable, or name another path")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => (
            Code::Unavailable,
            "the disk is full or a size limit is reached: free space, or name another path",
        ),
        _ => (Code::Unavailable, "check the path, or name another one with local:///…"),
    };
    // With its errno, which hosts hand on.
    let cause = match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    };
    Error::new(code, format!("can't {what} {shown}; {remedy}")).with_cause(cause)
}

pub(super) fn vanished(path: &Path) -> Error {
    Error::new(Code::Unavailable, format!("{} vanished while it was being opened; try again", path.display()))
}

pub(super) fn busy(place: &Place) -> Error {
    Error::new(
        Code::Unavailable,
        format!(
            "the registry file {} stayed locked by another process; a stopped process may hold it (see `fuser {0}`): \
             continue or end that",
            place.database().display()
        ),
    )
}

pub(super) fn read_only(place: &Place, cause: &dyn std::fmt::Display) -> Error {
    Error::new(
        Code::Unavailable,
        format!(
            "the registry file {} can't be written: it or its file system is read-only; make it writable, or name another \
             path with local:///…",
            place.database().display()
        ),
    )
    .with_cause(cause.to_string())
}

pub(super) fn another_schema(place: &Place, found: i64, known: i64) -> Error {
    let path = place.database().display();
    Error::new(
        Code::Protocol,
        format!(
            "the registry file {path} has schema version {found} and this callsheet knows {known}; nothing was changed. \
             Update callsheet in every program of this user, or name another file with local:///…"
        ),
    )
}

pub(super) fn another_program(place: &Place) -> Error {
    Error::new(
        Code::Protocol,
        format!(
            "{} is a database of another program; nothing was changed. Name another file with local:///…",
            place.database().display()
        ),
    )
}

fn full(place: &Place, cause: &dyn std::fmt::Display) -> Error {
    Error::new(
        Code::Unavailable,
        format!(
            "the registry file {} can't grow: its disk is full or a size limit is reached; free space there. What is \
             registered stays",
            place.database().display()
        ),
    )
    .with_cause(cause.to_string())
}

fn unopened(place: &Place, cause: &dyn std::fmt::Display) -> Error {
    // SQLite does not say which of the system's errors it met; the file does.
    let path = place.database();
    match rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
        Err(rustix::io::Errno::ROFS) => read_only(place, cause),
        Err(errno) if errno != rustix::io::Errno::NOENT => io("open", path, &errno.into()),
        _ => Error::new(
            Code::Unavailable,
            format!(
                "can't open the registry file {}; its folder must be writable and have room, and this process must be \
                 allowed more open files (`ulimit -n`)",
                path.display()
            ),
        )
        .with_cause(cause.to_string()),
    }
}

pub(super) fn lost_track() -> Error {
    Error::new(Code::Internal, "the local registry mixed up an answer; please report this")
}
