//! The endpoints of one snapshot. An instance that stays keeps its endpoint, and with it what was learnt of its load.

use std::sync::Arc;

use super::p2c::Estimate;
use crate::instance::Instance;
use crate::snapshot::{Snapshot, same};

/// An instance and its load. Every pick under way holds one `Arc` of it and the current table another, so the count
/// of calls under way needs no counter of its own, and all that a pick reads and writes is one cache line.
pub(super) struct Endpoint {
    pub(super) instance: Arc<Instance>,
    pub(super) estimate: Estimate,
}

impl Endpoint {
    /// Calls under way. While a table is being replaced both hold the endpoint, and for that moment every instance
    /// seems to have one call more.
    #[inline]
    pub(super) fn pending(self: &Arc<Self>) -> u32 {
        Arc::strong_count(self).saturating_sub(1) as u32
    }
}

pub(super) struct Table {
    pub(super) endpoints: Box<[Arc<Endpoint>]>,
    closed: bool,
}

impl Table {
    pub(super) fn empty() -> Self {
        Table { endpoints: Box::default(), closed: false }
    }

    /// After the client was closed.
    pub(super) fn closed() -> Self {
        Table { endpoints: Box::default(), closed: true }
    }

    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The table for `snapshot`. Both lists are sorted by id, so known endpoints are found in one pass.
    pub(super) fn next(&self, snapshot: &Snapshot) -> Self {
        let mut known = self.endpoints.iter().peekable();
        let endpoint = |instance: &Arc<Instance>| {
            while known.next_if(|endpoint| endpoint.instance.id < instance.id).is_some() {}
            match known.peek() {
                Some(known) if same(&known.instance, instance) => (*known).clone(),
                // Other metadata, same process: its load stays known. Another address is another process.
                Some(known) if at_same_place(&known.instance, instance) => {
                    Arc::new(Endpoint { instance: instance.clone(), estimate: known.estimate.clone() })
                }
                _ => Arc::new(Endpoint { instance: instance.clone(), estimate: Estimate::default() }),
            }
        };
        Table { endpoints: snapshot.iter().map(endpoint).collect(), closed: false }
    }
}

fn at_same_place(a: &Instance, b: &Instance) -> bool {
    a.id == b.id && a.address == b.address && a.port == b.port
}
