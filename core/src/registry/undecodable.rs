//! Reads values for one client: counts what is no instance and logs each such value once, within bounds. Called by loads
//! and follows of every registry that stores values.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::fnv1a;
use crate::stats::Counters;

/// Values remembered as logged; beyond that the log stays silent.
const LOGGED: usize = 256;

#[derive(Clone)]
pub(crate) struct Decoder {
    counters: Arc<Counters>,
    logged: Arc<Mutex<HashSet<u64>>>,
}

impl Decoder {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Decoder { counters, logged: Arc::default() }
    }

    /// Reads a value as callsheet writes it.
    #[cfg(any(feature = "etcd", feature = "local"))]
    pub(crate) fn decode(&self, service: &str, id: &str, body: &[u8]) -> Option<super::Record> {
        match crate::codec::decode(service, id, body) {
            Ok(record) => Some(record),
            Err(error) => {
                self.skip(&format!("{service}/{id}"), &error);
                None
            }
        }
    }

    /// Counts one that is no instance, and says `why` unless it was said of `key` before.
    pub(crate) fn skip(&self, key: &str, why: &dyn std::fmt::Display) {
        self.counters.undecodable.one();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED && logged.insert(fnv1a(key.as_bytes())) {
            tracing::warn!(%why, "skipped a value in the registry");
        }
    }
}
