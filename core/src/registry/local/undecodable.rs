//! Reads bodies for one client: counts what is no instance and logs each such value once, within bounds. Called by loads
//! and follows, on their own threads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec;
use crate::registry::{Record, fnv1a};
use crate::stats::Counters;

/// Values remembered as logged; beyond that the log stays silent.
const LOGGED: usize = 256;

#[derive(Clone)]
pub(super) struct Decoder {
    counters: Arc<Counters>,
    logged: Arc<Mutex<HashSet<u64>>>,
}

impl Decoder {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Decoder { counters, logged: Arc::default() }
    }

    pub(super) fn decode(&self, service: &str, id: &str, body: &[u8]) -> Option<Record> {
        match codec::decode(service, id, body) {
            Ok(record) => Some(record),
            Err(error) => {
                self.counters.undecodable.one();
                let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
                if logged.len() < LOGGED && logged.insert(fnv1a(format!("{service}/{id}").as_bytes())) {
                    tracing::warn!(%error, "skipped a value in the local registry");
                }
                None
            }
        }
    }
}
