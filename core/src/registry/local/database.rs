//! The open database: how a file is born, checked and opened, and how one notices that it is no longer the file at its
//! path. Owned by the actor's thread; never waits for another process but says busy.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, TryLockError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::clock::Clock;
use super::fault::{self, Fault};
use super::gate::{self, Pass, Shut};
use super::owner_file;
use super::place::{Identity, Place};
use super::rows;
use crate::error::{Code, Error};
use crate::fork::PerProcess;
use crate::registry::random_u64;

/// Largest WAL that is kept; a checkpoint cuts what a burst made it grow beyond.
const MAX_WAL: u64 = 4 << 20;

/// Record locks do not hold between two threads of one process, so this stands in for the birth lock among them.
static BIRTH: PerProcess<Mutex<()>> = PerProcess::new(Mutex::default);

pub(super) struct Database {
    connection: Connection,
    identity: Identity,
    place: Place,
    /// After `connection`, as fields drop in order: the gate opens once the connection is closed.
    _pass: Pass,
}

impl Database {
    pub(super) fn open(place: &Place, clock: &Clock) -> Result<Self, Fault> {
        place.examine()?;
        let pass = gate::enter().map_err(|shut| match shut {
            Shut::Forking => Fault::Busy,
            Shut::Torn => torn(),
        })?;
        ensure_born(place, clock)?;
        let before = place.identity();
        let connection = connect(place.database()).map_err(|error| gone_or(place, error))?;
        let failed = |error| fault::sqlite(place, error);
        if let Err(fault) = check_kind(place, &connection) {
            // Another program's WAL is not ours to fold in and delete.
            close_without_checkpoint(connection);
            return Err(fault);
        }
        place.claim()?;
        if connection.is_readonly("main").map_err(failed)? {
            return Err(Fault::Broken(fault::read_only(place, &"opened for reading only")));
        }
        tune(&connection).map_err(failed)?;
        if rows::boot(&connection).map_err(failed)? != clock.boot() {
            begin_boot(&connection, clock).map_err(failed)?;
        }
        let database = Database { connection, identity: before, place: place.clone(), _pass: pass };
        // By now the files beside the database are open too. If one was made or replaced meanwhile, it is not certain that
        // what stands at its path is what is open; the next try finds all of them there.
        if before.is_whole() && database.is_in_place() {
            return Ok(database);
        }
        database.close_at_once();
        Err(Fault::Busy)
    }

    /// Whether the files at the paths are still those that are open.
    pub(super) fn is_in_place(&self) -> bool {
        self.place.identity() == self.identity
    }

    /// Closes without the checkpoint that would otherwise come first: for a fork that waits, and for files that are no
    /// longer at their paths, where others' may be by now.
    pub(super) fn close_at_once(self) {
        close_without_checkpoint(self.connection);
    }

    /// Cuts the WAL if it has grown and nobody is reading from it.
    pub(super) fn bound_wal(&self) {
        if fs::metadata(self.place.wal()).is_ok_and(|meta| meta.len() > MAX_WAL) {
            let cut = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
            if let Err(error) = cut {
                tracing::debug!(%error, "the local registry's WAL could not be cut yet");
            }
        }
    }
}

impl Deref for Database {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

fn close_without_checkpoint(connection: Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

fn torn() -> Fault {
    Fault::Broken(Error::new(
        Code::Unavailable,
        "this process was forked while its parent's disk hung inside the local registry, so it can't open that safely; \
         exec the child, or fork before connecting",
    ))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // One thread uses a connection, so SQLite need not lock it; the actor waits for locks by itself.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// A file that vanished between two looks is made anew at the next.
fn gone_or(place: &Place, error: rusqlite::Error) -> Fault {
    if fs::symlink_metadata(place.database()).is_err() { Fault::Busy } else { fault::sqlite(place, error) }
}

/// Reads the header only, so that a file which is not ours stays as it is to the byte.
fn check_kind(place: &Place, connection: &Connection) -> Result<(), Fault> {
    let number = |pragma: &str| {
        connection
            .query_row(pragma, (), |row| row.get::<_, i64>(0))
            .map_err(|error| fault::sqlite(place, error))
    };
    if number("PRAGMA application_id")? != rows::APPLICATION {
        return Err(Fault::Broken(fault::another_program(place)));
    }
    match number("PRAGMA user_version")? {
        rows::SCHEMA => Ok(()),
        other => Err(Fault::Broken(fault::another_schema(place, other, rows::SCHEMA))),
    }
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    // NORMAL syncs at checkpoints only: a power cut may take the last registrations, whose processes it took too, but
    // leaves no corrupt file behind.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {MAX_WAL}"), (), |_| Ok(()))
}

fn begin_boot(connection: &Connection, clock: &Clock) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let begun = rows::boot(connection).and_then(|boot| {
        // Another process may have been first.
        if boot == clock.boot() { Ok(()) } else { rows::begin_boot(connection, clock.boot()) }
    });
    match begun {
        Ok(()) => connection.execute_batch("COMMIT"),
        Err(error) => {
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Makes the file if there is none, one process at a time, complete before it gets its name.
fn ensure_born(place: &Place, clock: &Clock) -> Result<(), Fault> {
    let missing = || fs::symlink_metadata(place.database()).map_or(true, |meta| meta.len() == 0);
    if !missing() {
        return Ok(());
    }
    let _others_here = match BIRTH.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(Fault::Busy),
    };
    place.claim()?;
    let path = place.owners().join("birth");
    let failed = |error| fault::io("lock", &path, &error);
    let lock = owner_file::open(&path, true).map_err(failed)?;
    if !owner_file::try_lock(&lock).map_err(failed)? {
        return Err(Fault::Busy);
    }
    if missing() { give_birth(place, clock) } else { Ok(()) }
}

fn give_birth(place: &Place, clock: &Clock) -> Result<(), Fault> {
    // What a deleted database left behind would be taken for the new one's. Those who still have it open keep it.
    for orphan in [place.wal(), place.shm()] {
        remove(&orphan)?;
    }
    let unborn = place.owners().join("birth.db");
    // A process may have died on the way here.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = unborn.clone().into_os_string();
        name.push(suffix);
        remove(Path::new(&name))?;
    }
    owner_file::open(&unborn, true).map_err(|error| fault::io("make", &unborn, &error))?;
    let born = connect(&unborn).and_then(|connection| {
        connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = NORMAL; BEGIN")?;
        rows::create(&connection, random_u64(), clock.boot())?;
        connection.execute_batch("COMMIT")?;
        // Kept in the header of the file.
        connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))
    });
    born.map_err(|error| fault::sqlite(place, error))?;
    fs::rename(&unborn, place.database()).map_err(|error| fault::io("make", place.database(), &error).into())
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(fault::io("remove", path, &error).into())
        }
        _ => Ok(()),
    }
}
