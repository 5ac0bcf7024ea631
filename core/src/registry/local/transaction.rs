//! The writes: which claim succeeds against whom, done in one transaction per batch, and what the outcome means to those who
//! asked. Part of the actor; tries once and leaves waiting to it.

use super::actor::Actor;
use super::database::Database;
use super::fault::{self, Fault, lost_track};
use super::owner_file::{self, OwnerFile, Probe};
use super::publication::{gone, owner_of};
use super::reaper::Verdict;
use super::request::{Answer, Key, Publish, Write};
use super::rows::{self, Stored};
use crate::error::{Code, Error};
use crate::registry::Claim;

/// What a write came to, true once the transaction is committed.
pub(super) enum Outcome {
    Written {
        revision: u64,
    },
    /// Somebody else has it.
    Held(Stored),
    /// It was not ours any more.
    NotOurs(Option<Stored>),
    Done,
}

impl Actor {
    pub(super) fn transact(&mut self, database: &Database, writes: &[&Write]) -> Result<Vec<Outcome>, Fault> {
        if writes.iter().any(|write| matches!(write, Write::Publish(_))) {
            self.show_ourselves()?;
        }
        let failed = |error| fault::sqlite(&self.place, error);
        database.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let done = writes
            .iter()
            .map(|write| self.apply(database, write))
            .collect::<rusqlite::Result<Vec<_>>>()
            .and_then(|outcomes| database.execute_batch("COMMIT").map(|()| outcomes));
        done.map_err(|error| {
            // It may have rolled back by itself, and then there is nothing to undo.
            let _ = database.execute_batch("ROLLBACK");
            failed(error)
        })
    }

    /// Has an owner file at its place before any row names it.
    fn show_ourselves(&mut self) -> Result<(), Fault> {
        let folder = self.place.owners();
        let shown = match &mut self.owner {
            Some(owner) => owner.stay(),
            None => OwnerFile::create(&folder).map(|owner| self.owner = Some(owner)),
        };
        shown.map_err(|error| {
            let error = fault::io("make a file in", &folder, &error);
            match error.code() {
                // What is stored can still be read.
                Code::Unavailable => Fault::Full(error),
                _ => Fault::Broken(error),
            }
        })
    }

    fn apply(&self, database: &Database, write: &Write) -> rusqlite::Result<Outcome> {
        let now = self.settings.clock.now();
        match write {
            Write::Publish(publish) => self.publish(database, publish, now),
            Write::Update { key, serial, body, .. } => {
                let stored = rows::get(database, &key.service, &key.id)?;
                match (self.holdings.get(key, *serial), stored) {
                    (Some(ours), Some(stored)) if stored.revision == ours.revision => {
                        let revision = self.put(database, key, body, ours.ttl, now)?;
                        Ok(Outcome::Written { revision })
                    }
                    (_, stored) => Ok(Outcome::NotOurs(stored)),
                }
            }
            Write::Withdraw { key, serial, .. } => {
                if let Some(ours) = self.holdings.get(key, *serial) {
                    rows::delete(database, &key.service, &key.id, ours.revision)?;
                }
                Ok(Outcome::Done)
            }
            Write::Abandon { key, serial } => {
                if let Some(ours) = self.holdings.get(key, *serial) {
                    rows::abandon(database, &key.service, &key.id, ours.revision, now + ours.ttl)?;
                }
                Ok(Outcome::Done)
            }
            Write::Reap(Verdict { dead, expired, now }) => {
                for dead in dead {
                    rows::delete_owner(database, &dead.owner)?;
                }
                for expired in expired {
                    rows::delete_expired(database, &expired.owner, expired.beat, *now)?;
                }
                Ok(Outcome::Done)
            }
        }
    }

    fn publish(&self, database: &Database, publish: &Publish, now: u64) -> rusqlite::Result<Outcome> {
        let Publish { key, body, ttl, claim, .. } = publish;
        match rows::get(database, &key.service, &key.id)? {
            Some(stored)
                if *claim != Claim::Replace(stored.revision) && !self.is_free(publish, &stored, now) =>
            {
                Ok(Outcome::Held(stored))
            }
            _ => Ok(Outcome::Written { revision: self.put(database, key, body, *ttl, now)? }),
        }
    }

    fn put(&self, database: &Database, key: &Key, body: &[u8], ttl: u64, now: u64) -> rusqlite::Result<u64> {
        let owner = self.owner.as_ref().map_or("", OwnerFile::name);
        rows::put(database, (&key.service, &key.id), body, owner, ttl, now + ttl)
    }

    /// Whether nobody else alive keeps what is stored.
    fn is_free(&self, publish: &Publish, stored: &Stored, now: u64) -> bool {
        let ours = publish.owner.is_some() && owner_of(&publish.key, stored.body.as_deref()) == publish.owner;
        let ended = stored.expires_at.is_some_and(|end| end < now);
        ours || match owner_file::probe(&self.place.owners(), &stored.owner) {
            Probe::Dead(_) => true,
            // Nobody renews what was left to its time to live.
            Probe::Ours => stored.ttl == 0,
            Probe::Alive { beat } => stored.ttl == 0 || (ended && beat + stored.ttl < now),
            // A living owner may have lost its file for a moment; the reaper keeps count of such.
            Probe::Unknown | Probe::Failed => stored.ttl == 0 && ended,
        }
    }

    /// Tells those who asked what became of it.
    pub(super) fn settle(&mut self, write: Write, outcome: Outcome) {
        match (write, outcome) {
            (Write::Publish(publish), Outcome::Written { revision }) => {
                let Publish { key, owner, ttl, .. } = publish;
                let file = self.owner.as_ref().map_or("", OwnerFile::name);
                let claimed = self.holdings.add(&self.mailbox, file, key, owner, (revision, ttl));
                // An answer that nobody takes drops the publication, which leaves it to its time to live.
                let _ = publish.reply.send(Ok(Answer::Ours(claimed)));
            }
            (Write::Publish(publish), Outcome::Held(stored)) => {
                let owner = owner_of(&publish.key, stored.body.as_deref());
                let rival = self.holdings.wait(&publish.key, &stored.owner, owner, stored.revision);
                let _ = publish.reply.send(Ok(Answer::Held(rival)));
            }
            (Write::Update { key, serial, reply, .. }, Outcome::Written { revision }) => {
                self.holdings.updated(&key, serial, revision);
                let _ = reply.send(Ok(()));
            }
            (Write::Update { key, serial, reply, .. }, Outcome::NotOurs(stored)) => {
                if self.holdings.get(&key, serial).is_some() {
                    self.holdings.compare(&key, stored.as_ref());
                }
                let _ = reply.send(Err(not_ours(&key, stored.is_some())));
            }
            (Write::Withdraw { key, serial, reply }, _) => {
                self.holdings.remove(&key, serial);
                let _ = reply.send(Ok(()));
            }
            (Write::Abandon { key, serial }, _) => self.holdings.remove(&key, serial),
            (Write::Reap(verdict), _) => {
                self.reaped();
                verdict.dead.into_iter().for_each(|dead| dead.corpse.bury());
            }
            // The other pairs do not come about.
            (write, _) => write.fail(&lost_track()),
        }
    }
}

fn not_ours(key: &Key, taken: bool) -> Error {
    if !taken {
        return gone(key);
    }
    Error::new(
        Code::Conflict,
        format!("{}/{} belongs to another process by now; nothing was written", key.service, key.id),
    )
}
