//! What can be asked of the thread that has the database open. Reads are answered in order; writes are grouped into
//! transactions. Names no statement: how each is done stands in the actor.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::follow::Slot;
use super::publication::Claimed;
use super::reaper::Verdict;
use super::rows::Head;
use crate::error::Result;
use crate::registry::{Claim, Owner, Position};

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// Names one instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) service: String,
    pub(super) id: String,
}

/// The names of all services, or why they can't be followed any further.
pub(super) type Names = Result<Arc<Vec<String>>>;

pub(super) enum Request {
    Read(Read),
    Write(Write),
}

pub(super) enum Read {
    Ping {
        reply: Reply<()>,
    },
    Load {
        service: String,
        reply: Reply<Loaded>,
    },
    Follow {
        service: String,
        from: Position,
        reply: Reply<Arc<Slot>>,
    },
    Names {
        reply: Reply<watch::Receiver<Names>>,
    },
    /// A look for `doctor`: reads all of it, and takes the write lock for a moment.
    Examine {
        reply: Reply<Examined>,
    },
}

/// What stands in a database.
pub(super) struct Examined {
    /// `ok`, or the first thing that SQLite found wrong.
    pub(super) integrity: String,
    pub(super) rows: u64,
    /// Rows that a process renews, and how many processes these are.
    pub(super) owned: u64,
    pub(super) owners: u64,
}

/// A service as it is stored.
pub(super) struct Loaded {
    pub(super) rows: Vec<(String, Option<Vec<u8>>)>,
    pub(super) head: Head,
}

pub(super) enum Write {
    Publish(Publish),
    /// Writes the body of a publication anew.
    Update {
        key: Key,
        serial: u64,
        body: Vec<u8>,
        reply: Reply<()>,
    },
    Withdraw {
        key: Key,
        serial: u64,
        reply: Reply<()>,
    },
    /// Leaves a publication to its time to live.
    Abandon {
        key: Key,
        serial: u64,
    },
    /// Removes what the reaper found dead.
    Reap(Verdict),
}

pub(super) struct Publish {
    pub(super) key: Key,
    pub(super) body: Vec<u8>,
    /// The client that publishes.
    pub(super) owner: Option<Owner>,
    pub(super) ttl: u64,
    pub(super) claim: Claim,
    pub(super) reply: Reply<Answer>,
}

pub(super) enum Answer {
    Ours(Claimed),
    Held(Rival),
}

/// Somebody else's live instance, and a signal for when that ends.
pub(super) struct Rival {
    pub(super) owner: Option<Owner>,
    pub(super) version: u64,
    pub(super) released: oneshot::Receiver<()>,
}

impl Read {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_unwanted(&self) -> bool {
        match self {
            Read::Ping { reply } => reply.is_closed(),
            Read::Load { reply, .. } => reply.is_closed(),
            Read::Follow { reply, .. } => reply.is_closed(),
            Read::Names { reply } => reply.is_closed(),
            Read::Examine { reply } => reply.is_closed(),
        }
    }

    pub(super) fn fail(self, error: &crate::error::Error) {
        let error = error.clone();
        // Whoever asked may have stopped waiting.
        match self {
            Read::Ping { reply } => drop(reply.send(Err(error))),
            Read::Load { reply, .. } => drop(reply.send(Err(error))),
            Read::Follow { reply, .. } => drop(reply.send(Err(error))),
            Read::Names { reply } => drop(reply.send(Err(error))),
            Read::Examine { reply } => drop(reply.send(Err(error))),
        }
    }
}

impl Write {
    /// Whether it must not happen any more, because nobody would know that it did. A withdrawal is wanted anyway.
    pub(super) fn is_unwanted(&self) -> bool {
        match self {
            Write::Publish(publish) => publish.reply.is_closed(),
            Write::Update { reply, .. } => reply.is_closed(),
            Write::Withdraw { .. } | Write::Abandon { .. } | Write::Reap(_) => false,
        }
    }

    pub(super) fn fail(self, error: &crate::error::Error) {
        let error = error.clone();
        match self {
            Write::Publish(publish) => drop(publish.reply.send(Err(error))),
            Write::Update { reply, .. } | Write::Withdraw { reply, .. } => drop(reply.send(Err(error))),
            Write::Abandon { .. } | Write::Reap(_) => {}
        }
    }
}
