//! The reads: each from one consistent view, and a follower's slot filled up to the very moment from which it is told of
//! changes. Part of the actor; tries once and leaves waiting to it.

use std::sync::Arc;

use super::actor::Actor;
use super::fault::{self, Fault, lost_track};
use super::follow::Slot;
use super::request::{Examined, Loaded, Read};
use super::rows::{self, Head};
use crate::registry::Position;

/// What a read came to.
enum Done {
    Ping,
    Load(Loaded),
    Follow(Arc<Slot>),
    Names(Vec<String>),
    Examine(Examined),
}

impl Actor {
    /// Answers the reads, in order.
    pub(super) fn serve(&mut self) -> Result<(), Fault> {
        while let Some(read) = self.reads.pop_front() {
            if read.what.is_unwanted() {
                continue;
            }
            match self.read(&read.what) {
                Ok(result) => self.deliver(read.what, result),
                // One that meets a lock is tried again; one that meets a broken file is told with all others.
                Err(fault) => {
                    self.reads.push_front(read);
                    return Err(fault);
                }
            }
            self.tries = 0;
        }
        Ok(())
    }

    fn read(&mut self, read: &Read) -> Result<Done, Fault> {
        Ok(match read {
            Read::Ping { .. } => {
                self.view(rows::head)?;
                Done::Ping
            }
            Read::Load { service, .. } => Done::Load(
                self.view(|view| Ok(Loaded { head: rows::head(view)?, rows: rows::list(view, service)? }))?,
            ),
            Read::Follow { service, from, .. } => Done::Follow(self.slot(service, *from)?),
            Read::Names { .. } => Done::Names(self.view(rows::names)?),
            Read::Examine { .. } => Done::Examine(self.examine()?),
        })
    }

    /// An answer that nobody takes any more is dropped.
    fn deliver(&mut self, read: Read, done: Done) {
        match (read, done) {
            (Read::Ping { reply }, Done::Ping) => drop(reply.send(Ok(()))),
            (Read::Load { reply, .. }, Done::Load(loaded)) => drop(reply.send(Ok(loaded))),
            (Read::Follow { service, reply, .. }, Done::Follow(slot)) => {
                self.audience.add(service, &slot);
                drop(reply.send(Ok(slot)));
            }
            (Read::Names { reply }, Done::Names(names)) => {
                self.audience.set_names(names);
                drop(reply.send(Ok(self.audience.add_names())));
            }
            (Read::Examine { reply }, Done::Examine(examined)) => drop(reply.send(Ok(examined))),
            // The other pairs do not come about.
            (read, _) => read.fail(&lost_track()),
        }
    }

    /// A consistent read.
    fn view<T>(&self, read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let Some(database) = &self.database else { return Err(Fault::Busy) };
        let view = database.unchecked_transaction();
        view.and_then(|view| read(&view)).map_err(|error| fault::sqlite(&self.place, error))
    }

    /// Reads all of it, after taking the write lock once: who can't have that can register nothing.
    fn examine(&self) -> Result<Examined, Fault> {
        let Some(database) = &self.database else { return Err(Fault::Busy) };
        let locked = database.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        locked.map_err(|error| fault::sqlite(&self.place, error))?;
        self.view(rows::examine)
    }

    /// A follower's slot, filled with what happened since its position.
    fn slot(&mut self, service: &str, from: Position) -> Result<Arc<Slot>, Fault> {
        self.catch_up()?;
        let (head, changes) = self.view(|view| {
            let head = rows::head(view)?;
            let known = head.birth == from.epoch && from.index + rows::MEMORY as u64 >= head.revision;
            let after = if known { from.index } else { head.revision };
            Ok((head, known.then_some(rows::changes(view, after, |of, _| of == service)?)))
        })?;
        let Some(changes) = changes else { return Ok(Arc::new(Slot::reload())) };
        let ours: Vec<_> = changes.iter().filter(|change| change.service == service).collect();
        let slot = Slot::new(Head { birth: head.birth, revision: from.index });
        slot.fill(&ours, head);
        Ok(Arc::new(slot))
    }
}
