//! Picks that a host knows by a number, because a handle of its own for each would be too dear. One that is not
//! reported stops counting after a while, so that a caller who forgets does not wear an instance out for ever.

use std::time::Duration;

use super::Picker;
use super::pick::{Outcome, Pick, clock};
use crate::error::Result;

/// Time after which a pick that nobody reported stops counting.
pub const PICK_EXPIRY: Duration = Duration::from_secs(60);

/// Most picks kept at once; the oldest gives way.
const MOST: usize = 1 << 16;

/// No slot.
const NONE: u32 = u32::MAX;

/// Names one pick; of no use once that was reported or stopped counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Which slot.
    pub index: u32,
    /// Which of the picks that the slot has held.
    pub generation: u32,
}

/// Picks under way, oldest first. Not shared: a host guards it as its threads need.
#[derive(Debug)]
pub struct Outstanding {
    slots: Vec<Slot>,
    free: u32,
    oldest: u32,
    newest: u32,
    expiry: u64,
    most: usize,
}

#[derive(Debug)]
struct Slot {
    pick: Option<Pick>,
    generation: u32,
    /// Nanoseconds of [`clock`].
    since: u64,
    older: u32,
    /// The next newer one; of a free slot the next free one.
    newer: u32,
}

impl Default for Outstanding {
    fn default() -> Self {
        Self::new(PICK_EXPIRY)
    }
}

impl Outstanding {
    /// None yet. Each stops counting after `expiry`.
    pub fn new(expiry: Duration) -> Self {
        Self::with_most(expiry, MOST)
    }

    fn with_most(expiry: Duration, most: usize) -> Self {
        let expiry = u64::try_from(expiry.as_nanos()).unwrap_or(u64::MAX);
        Outstanding { slots: Vec::new(), free: NONE, oldest: NONE, newest: NONE, expiry, most }
    }

    /// [`Picker::pick`], kept until its report.
    ///
    /// # Errors
    /// As for [`Picker::pick`].
    #[inline]
    pub fn pick(&mut self, picker: &Picker) -> Result<(Ticket, &Pick)> {
        // Before the choice, which an expired one must not weigh on.
        if self.oldest != NONE {
            self.expire(clock());
        }
        let pick = picker.pick()?;
        Ok(self.add(pick))
    }

    /// Keeps a pick that was made elsewhere.
    #[inline]
    pub fn add(&mut self, pick: Pick) -> (Ticket, &Pick) {
        let now = pick.started().unwrap_or_else(clock);
        self.add_at(pick, now)
    }

    /// Reports how the call went. False when that was done before, or the pick has expired.
    #[inline]
    pub fn done(&mut self, ticket: Ticket, outcome: Outcome) -> bool {
        match self.slots.get(ticket.index as usize) {
            Some(slot) if slot.generation == ticket.generation && slot.pick.is_some() => {
                self.take(ticket.index, outcome);
                true
            }
            _ => false,
        }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.pick.is_some()).count()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.oldest == NONE
    }

    #[inline]
    fn add_at(&mut self, pick: Pick, now: u64) -> (Ticket, &Pick) {
        let index = self.slot();
        let newest = self.newest;
        match self.slots.get_mut(newest as usize) {
            Some(before) => before.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
        let slot = &mut self.slots[index as usize];
        (slot.since, slot.older, slot.newer) = (now, newest, NONE);
        let ticket = Ticket { index, generation: slot.generation };
        (ticket, slot.pick.insert(pick))
    }

    /// A free slot, off the list of such.
    #[inline]
    fn slot(&mut self) -> u32 {
        if self.free == NONE {
            if self.slots.len() < self.most {
                self.slots.push(Slot { pick: None, generation: 0, since: 0, older: NONE, newer: NONE });
                return (self.slots.len() - 1) as u32;
            }
            self.take(self.oldest, Outcome::Cancelled);
        }
        let index = self.free;
        self.free = self.slots[index as usize].newer;
        index
    }

    /// Whoever was not heard of for so long says nothing about the instance.
    fn expire(&mut self, now: u64) {
        while let Some(oldest) = self.slots.get(self.oldest as usize) {
            if now.saturating_sub(oldest.since) < self.expiry {
                return;
            }
            self.take(self.oldest, Outcome::Cancelled);
        }
    }

    /// Ends the pick in a slot that has one.
    #[inline]
    fn take(&mut self, index: u32, outcome: Outcome) {
        let free = self.free;
        let slot = &mut self.slots[index as usize];
        if let Some(pick) = slot.pick.take() {
            pick.done(outcome);
        }
        slot.generation = slot.generation.wrapping_add(1);
        let (older, newer) = (slot.older, slot.newer);
        slot.newer = free;
        self.free = index;
        match self.slots.get_mut(older as usize) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::{Endpoint, endpoints};
    use super::super::pick::Choice;
    use super::*;
    use crate::sync::Arc;

    const SECOND: u64 = 1_000_000_000;

    fn endpoint() -> Arc<Endpoint> {
        endpoints(1).remove(0)
    }

    fn add(picks: &mut Outstanding, endpoint: &Arc<Endpoint>, second: u64) -> Ticket {
        picks.add_at(Choice { endpoint: endpoint.clone(), start: 0 }.into(), second * SECOND).0
    }

    #[test]
    fn a_report_counts_once_and_frees_the_slot_for_another() {
        let (mut picks, endpoint) = (Outstanding::default(), endpoint());
        let first = add(&mut picks, &endpoint, 0);
        assert_eq!((picks.len(), Endpoint::pending(&endpoint)), (1, 1));
        assert!(picks.done(first, Outcome::Ok) && !picks.done(first, Outcome::Ok));
        assert!(picks.is_empty() && Endpoint::pending(&endpoint) == 0);
        let second = add(&mut picks, &endpoint, 1);
        assert_eq!(second.index, first.index);
        assert!(!picks.done(first, Outcome::Failed), "a late report is not taken for the next one's");
        assert!(picks.done(second, Outcome::Ok));
    }

    #[test]
    fn what_nobody_reports_stops_counting() {
        let (mut picks, endpoint) = (Outstanding::new(Duration::from_secs(60)), endpoint());
        let tickets: Vec<_> = (0..3).map(|second| add(&mut picks, &endpoint, second)).collect();
        assert!(picks.done(tickets[1], Outcome::Ok));
        picks.expire(60 * SECOND);
        assert_eq!((picks.len(), Endpoint::pending(&endpoint)), (1, 1));
        picks.expire(62 * SECOND);
        assert!(picks.is_empty() && Endpoint::pending(&endpoint) == 0);
        assert!(!picks.done(tickets[2], Outcome::Ok));
        assert_eq!(endpoint.estimate.cost(62 * SECOND, 0), 0.0, "and says nothing about the instance");
    }

    #[test]
    fn the_oldest_gives_way() {
        let (mut picks, endpoint) = (Outstanding::with_most(Duration::from_secs(60), 2), endpoint());
        let tickets: Vec<_> = (0..3).map(|second| add(&mut picks, &endpoint, second)).collect();
        assert_eq!((picks.len(), Endpoint::pending(&endpoint)), (2, 2));
        assert!(!picks.done(tickets[0], Outcome::Ok));
        assert!(picks.done(tickets[2], Outcome::Ok) && picks.done(tickets[1], Outcome::Ok));
    }
}
