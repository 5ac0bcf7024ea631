//! What others did to the file, told to everybody here: changes in one go, another file, or more than is remembered. Part of
//! the actor; knows who is concerned, not when to look.

use super::actor::Actor;
use super::fault::{self, Fault};
use super::rows;
use crate::registry::random_u64;

impl Actor {
    /// Tells everybody here what happened since the last look, and whether that concerned anybody.
    pub(super) fn catch_up(&mut self) -> Result<bool, Fault> {
        let Some(database) = &self.database else { return Ok(false) };
        let failed = |error| fault::sqlite(&self.place, error);
        // One transaction, so that the changes are exactly those up to the head.
        let view = database.unchecked_transaction().map_err(failed)?;
        let head = rows::head(&view).map_err(failed)?;
        let Some(seen) = self.seen.replace(head) else { return self.refresh_names(true) };
        if seen == head {
            return Ok(false);
        }
        if seen.birth != head.birth {
            drop(view);
            self.begin_history();
            return self.refresh_names(true);
        }
        if seen.revision > head.revision {
            // Part of the history was lost with a file beside the database. Who counts on would miss what comes now.
            drop(view);
            self.seen = Some(seen);
            rows::rebirth(database, random_u64()).map_err(failed)?;
            self.commits += 1;
            return self.catch_up();
        }
        if seen.revision + (rows::MEMORY as u64) < head.revision {
            drop(view);
            return self.compare_all();
        }
        let (audience, holdings) = (&self.audience, &self.holdings);
        let changes = rows::changes(&view, seen.revision, |service, id| {
            audience.follows(service) || holdings.concerns(service, id)
        });
        let changes = changes.map_err(|error| {
            self.seen = Some(seen);
            fault::sqlite(&self.place, error)
        })?;
        drop(view);
        let concerned = self.holdings.tell(&changes) | self.audience.tell(&changes, head);
        let touched = self.audience.names_touched(&changes);
        Ok(self.refresh_names(touched)? | concerned)
    }

    /// Another file is at the path: nothing that was registered in the last one is there.
    fn begin_history(&mut self) {
        self.audience.reload();
        self.holdings.lose_all();
        self.holdings.free_all();
    }

    /// More happened than is remembered: everybody reads again.
    fn compare_all(&mut self) -> Result<bool, Fault> {
        self.audience.reload();
        self.holdings.free_all();
        let Some(database) = &self.database else { return Ok(false) };
        for key in self.holdings.keys() {
            let stored = rows::get(database, &key.service, &key.id);
            self.holdings.compare(&key, stored.map_err(|error| fault::sqlite(&self.place, error))?.as_ref());
        }
        self.refresh_names(true)
    }

    fn refresh_names(&self, touched: bool) -> Result<bool, Fault> {
        let Some(database) = &self.database else { return Ok(false) };
        if !touched || !self.audience.follows_names() {
            return Ok(false);
        }
        let names = rows::names(database).map_err(|error| fault::sqlite(&self.place, error))?;
        Ok(self.audience.set_names(names))
    }
}
