//! The tables of a local registry and every statement on them. Triggers number each change and remember each deletion, so
//! that a row deleted by hand is seen like any other. Called by the actor inside its transactions; decides nothing.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::request::Examined;

/// `PRAGMA application_id`: "call". Tells our files from other programs'.
pub(super) const APPLICATION: i64 = 0x6361_6c6c;
/// `PRAGMA user_version`.
pub(super) const SCHEMA: i64 = 1;
/// How many revisions back deletions are remembered. Whoever is further behind reads whole services again.
pub(super) const MEMORY: i64 = 8192;

const CREATE: &str = "
CREATE TABLE meta (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    birth    INTEGER NOT NULL,  -- random: tells this file from one that was here before
    boot     TEXT NOT NULL,     -- whose clock expires_at is in
    revision INTEGER NOT NULL
);
CREATE TABLE instances (
    service    TEXT NOT NULL,
    id         TEXT NOT NULL,
    body       BLOB,
    owner      TEXT NOT NULL DEFAULT '',   -- the owner file; its heartbeat + ttl renews all rows of one process
    ttl        INTEGER NOT NULL DEFAULT 0, -- ms; 0: nobody renews it
    expires_at INTEGER,                    -- ms of the monotonic clock, as of the last write
    revision   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (service, id)
);
CREATE INDEX instances_revision ON instances (revision);
CREATE INDEX instances_owner ON instances (owner, ttl, expires_at);
CREATE TABLE gone (
    service  TEXT NOT NULL,
    id       TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (service, id)
) WITHOUT ROWID;
CREATE INDEX gone_revision ON gone (revision);

CREATE TRIGGER instance_new AFTER INSERT ON instances BEGIN
    UPDATE meta SET revision = revision + 1;
    UPDATE instances SET revision = (SELECT revision FROM meta) WHERE service = new.service AND id = new.id;
    DELETE FROM gone WHERE service = new.service AND id = new.id;
END;
CREATE TRIGGER instance_changed AFTER UPDATE OF body, owner ON instances BEGIN
    UPDATE meta SET revision = revision + 1;
    UPDATE instances SET revision = (SELECT revision FROM meta) WHERE service = new.service AND id = new.id;
END;
CREATE TRIGGER instance_gone AFTER DELETE ON instances BEGIN
    UPDATE meta SET revision = revision + 1;
    INSERT OR REPLACE INTO gone SELECT old.service, old.id, revision FROM meta;
    DELETE FROM gone WHERE revision <= (SELECT revision FROM meta) - 8192;
END;
";

pub(super) fn create(connection: &Connection, birth: u64, boot: &str) -> Result<()> {
    connection.execute_batch(CREATE)?;
    connection.execute("INSERT INTO meta VALUES (1, ?, ?, 0)", params![birth as i64, boot])?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", SCHEMA)
}

/// What is written of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// `None` where somebody wrote what is neither text nor bytes.
    pub(super) body: Option<Vec<u8>>,
    pub(super) owner: String,
    pub(super) ttl: u64,
    /// `None`: never by itself.
    pub(super) expires_at: Option<u64>,
    pub(super) revision: u64,
}

/// Where the history stands: which file, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) birth: u64,
    pub(super) revision: u64,
}

pub(super) fn head(connection: &Connection) -> Result<Head> {
    connection
        .prepare_cached("SELECT birth, revision FROM meta")?
        .query_row((), |row| Ok(Head { birth: row.get::<_, i64>(0)? as u64, revision: unsigned(row, 1)? }))
}

/// A summary of everything, and whether SQLite finds the file sound.
pub(super) fn examine(connection: &Connection) -> Result<Examined> {
    let integrity = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    let count = "SELECT count(*), count(nullif(owner, '')), count(DISTINCT nullif(owner, '')) FROM instances";
    connection.query_row(count, (), |row| {
        Ok(Examined {
            integrity,
            rows: unsigned(row, 0)?,
            owned: unsigned(row, 1)?,
            owners: unsigned(row, 2)?,
        })
    })
}

/// Moves when another connection commits; cheaper than a look at the tables.
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))
}

pub(super) fn boot(connection: &Connection) -> Result<String> {
    connection.query_row("SELECT boot FROM meta", (), |row| row.get(0))
}

/// Forgets what was registered before the machine started: its clock means nothing any more.
pub(super) fn begin_boot(connection: &Connection, boot: &str) -> Result<()> {
    connection.execute("DELETE FROM instances", ())?;
    connection.execute("UPDATE meta SET boot = ?", [boot])?;
    Ok(())
}

/// Starts another history in the same file, for when part of this one was lost.
pub(super) fn rebirth(connection: &Connection, birth: u64) -> Result<()> {
    connection.execute("UPDATE meta SET birth = ?", [birth as i64])?;
    Ok(())
}

pub(super) fn get(connection: &Connection, service: &str, id: &str) -> Result<Option<Stored>> {
    connection
        .prepare_cached(
            "SELECT body, owner, ttl, expires_at, revision FROM instances WHERE service = ? AND id = ?",
        )?
        .query_row([service, id], |row| {
            Ok(Stored {
                body: bytes(row, 0),
                owner: row.get(1)?,
                ttl: unsigned(row, 2)?,
                expires_at: row.get::<_, Option<i64>>(3)?.map(|at| at.max(0) as u64),
                revision: unsigned(row, 4)?,
            })
        })
        .optional()
}

/// Writes an instance and returns its new revision.
pub(super) fn put(
    connection: &Connection,
    (service, id): (&str, &str),
    body: &[u8],
    owner: &str,
    ttl: u64,
    expires_at: u64,
) -> Result<u64> {
    connection
        .prepare_cached(
            "INSERT INTO instances (service, id, body, owner, ttl, expires_at) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (service, id) DO UPDATE SET
                 body = excluded.body, owner = excluded.owner, ttl = excluded.ttl, expires_at = excluded.expires_at",
        )?
        .execute(params![service, id, body, owner, ttl as i64, expires_at as i64])?;
    // The trigger has numbered it by now; RETURNING would show the row from before.
    connection
        .prepare_cached("SELECT revision FROM instances WHERE service = ? AND id = ?")?
        .query_row([service, id], |row| unsigned(row, 0))
}

/// Removes an instance if `revision` is still its state.
pub(super) fn delete(connection: &Connection, service: &str, id: &str, revision: u64) -> Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM instances WHERE service = ? AND id = ? AND revision = ?")?
        .execute(params![service, id, revision as i64])?;
    Ok(deleted > 0)
}

/// Leaves an instance to its time to live. Not a change that anybody needs to hear of.
pub(super) fn abandon(
    connection: &Connection,
    service: &str,
    id: &str,
    revision: u64,
    expires_at: u64,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE instances SET ttl = 0, expires_at = ? WHERE service = ? AND id = ? AND revision = ?",
        )?
        .execute(params![expires_at as i64, service, id, revision as i64])?;
    Ok(())
}

/// Every instance of a service: id and body.
pub(super) fn list(connection: &Connection, service: &str) -> Result<Vec<(String, Option<Vec<u8>>)>> {
    connection
        .prepare_cached("SELECT id, body FROM instances WHERE service = ?")?
        .query_map([service], |row| Ok((row.get(0)?, bytes(row, 1))))?
        .collect()
}

pub(super) fn names(connection: &Connection) -> Result<Vec<String>> {
    connection
        .prepare_cached("SELECT DISTINCT service FROM instances ORDER BY service")?
        .query_map((), |row| row.get(0))?
        .collect()
}

/// A row as a change: what became of one id.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) service: String,
    pub(super) id: String,
    pub(super) revision: u64,
    /// `None`: deleted.
    pub(super) now: Option<Present>,
}

#[derive(Debug)]
pub(super) struct Present {
    pub(super) owner: String,
    /// Read only for services that `wanted` says yes to.
    pub(super) body: Option<Vec<u8>>,
}

/// Everything that changed after a revision, in order. `wanted` tells whose bodies are of interest.
pub(super) fn changes(
    connection: &Connection,
    after: u64,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Vec<Changed>> {
    let mut put = connection
        .prepare_cached("SELECT service, id, revision, owner, body FROM instances WHERE revision > ?")?;
    let present = put.query_map([after as i64], |row| {
        let (service, id): (String, String) = (row.get(0)?, row.get(1)?);
        let body = if wanted(&service, &id) { bytes(row, 4) } else { None };
        Ok(Changed {
            service,
            id,
            revision: unsigned(row, 2)?,
            now: Some(Present { owner: row.get(3)?, body }),
        })
    })?;
    let mut all = present.collect::<Result<Vec<_>>>()?;
    let mut gone = connection.prepare_cached("SELECT service, id, revision FROM gone WHERE revision > ?")?;
    for row in gone.query_map([after as i64], |row| {
        Ok(Changed { service: row.get(0)?, id: row.get(1)?, revision: unsigned(row, 2)?, now: None })
    })? {
        all.push(row?);
    }
    all.sort_unstable_by_key(|change| change.revision);
    Ok(all)
}

/// The rows of one owner, as far as the reaper needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) owner: String,
    /// Shortest time to live of those that its heartbeat renews.
    pub(super) ttl: Option<u64>,
    /// The first end of those that nobody renews.
    pub(super) end: Option<u64>,
}

pub(super) fn owners(connection: &Connection) -> Result<Vec<Held>> {
    let optional = |row: &Row<'_>, at| -> Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(at)?.map(|value| value.max(0) as u64))
    };
    connection
        .prepare_cached(
            "SELECT owner, min(CASE WHEN ttl > 0 THEN ttl END), min(CASE WHEN ttl <= 0 THEN expires_at END)
             FROM instances GROUP BY owner",
        )?
        .query_map((), |row| Ok(Held { owner: row.get(0)?, ttl: optional(row, 1)?, end: optional(row, 2)? }))?
        .collect()
}

/// Removes all rows of a dead owner.
pub(super) fn delete_owner(connection: &Connection, owner: &str) -> Result<usize> {
    connection.prepare_cached("DELETE FROM instances WHERE owner = ?")?.execute([owner])
}

/// Removes the rows of an owner whose last heartbeat was at `beat` that are over by `now`.
pub(super) fn delete_expired(connection: &Connection, owner: &str, beat: u64, now: u64) -> Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM instances WHERE owner = ?1 AND expires_at < ?3 AND (ttl <= 0 OR ?2 + ttl < ?3)",
        )?
        .execute(params![owner, beat as i64, now as i64])
}

fn unsigned(row: &Row<'_>, at: usize) -> Result<u64> {
    Ok(row.get::<_, i64>(at)?.max(0) as u64)
}

fn bytes(row: &Row<'_>, at: usize) -> Option<Vec<u8>> {
    match row.get_ref(at) {
        Ok(ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => Some(bytes.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        create(&connection, 5, "boot").unwrap();
        connection
    }

    #[test]
    fn every_change_is_numbered_whoever_makes_it() {
        let db = fresh();
        assert_eq!(put(&db, ("a", "1"), b"x", "me", 1000, 5000).unwrap(), 1);
        assert_eq!(put(&db, ("a", "1"), b"y", "me", 1000, 5000).unwrap(), 2);
        db.execute("INSERT INTO instances (service, id, body, owner, expires_at, revision) VALUES ('a', '2', 'text', 'x', 9, 99)", ()).unwrap();
        db.execute("DELETE FROM instances WHERE id = '1'", ()).unwrap();
        assert_eq!(head(&db).unwrap(), Head { birth: 5, revision: 4 });
        let seen: Vec<_> = changes(&db, 0, |_, _| true)
            .unwrap()
            .into_iter()
            .map(|change| (change.id, change.revision, change.now.map(|now| now.body.unwrap())))
            .collect();
        assert_eq!(seen, [("2".to_owned(), 3, Some(b"text".to_vec())), ("1".to_owned(), 4, None)]);
        assert!(changes(&db, 4, |_, _| true).unwrap().is_empty());
    }

    #[test]
    fn an_abandoned_row_is_no_change() {
        let db = fresh();
        let revision = put(&db, ("a", "1"), b"x", "me", 1000, 5000).unwrap();
        abandon(&db, "a", "1", revision, 7000).unwrap();
        let row = get(&db, "a", "1").unwrap().unwrap();
        assert_eq!((row.revision, row.ttl, row.expires_at), (revision, 0, Some(7000)));
    }

    #[test]
    fn deletions_are_forgotten_in_time() {
        let db = fresh();
        db.execute_batch("BEGIN").unwrap();
        for round in 0..MEMORY {
            let id = round.to_string();
            let revision = put(&db, ("a", &id), b"x", "me", 1000, 5000).unwrap();
            assert!(delete(&db, "a", &id, revision).unwrap());
        }
        db.execute_batch("COMMIT").unwrap();
        let kept: i64 = db.query_row("SELECT count(*) FROM gone", (), |row| row.get(0)).unwrap();
        assert!(kept <= MEMORY, "{kept}");
        assert_eq!(head(&db).unwrap().revision, 2 * MEMORY as u64);
    }

    #[test]
    fn the_heartbeat_renews_and_its_end_expires() {
        let db = fresh();
        put(&db, ("a", "short"), b"x", "me", 1_000, 1_000).unwrap();
        put(&db, ("a", "long"), b"x", "me", 10_000, 10_000).unwrap();
        assert_eq!(owners(&db).unwrap(), [Held { owner: "me".into(), ttl: Some(1_000), end: None }]);
        // Beating until 50,000, both live; 2 s without a beat end the short one.
        assert_eq!(delete_expired(&db, "me", 50_000, 50_500).unwrap(), 0);
        assert_eq!(delete_expired(&db, "me", 50_000, 52_000).unwrap(), 1);
        assert_eq!(delete_expired(&db, "me", 50_000, 61_000).unwrap(), 1);
    }

    #[test]
    fn another_boot_forgets_the_rows() {
        let db = fresh();
        put(&db, ("a", "1"), b"x", "me", 1_000, 1_000).unwrap();
        begin_boot(&db, "next").unwrap();
        assert!(names(&db).unwrap().is_empty() && boot(&db).unwrap() == "next");
    }
}
