//! Snapshots: what JavaScript asks of one. Its instances become objects once, and what did not change since a snapshot
//! that has its objects is only pointed at.

use std::sync::Arc;

use callsheet::Instance;
use napi::bindgen_prelude::{External, Int32Array};
use napi_derive::napi;

use crate::error::{encoded, guarded};
use crate::instance::rows;

/// A snapshot, as JavaScript holds it.
pub(crate) type Snapshot = External<callsheet::Snapshot>;

/// With its size, so that Node collects snapshots before they add up.
pub(crate) fn external(core: callsheet::Snapshot) -> Snapshot {
    let size = 256 + core.len() * size_of::<Arc<Instance>>();
    External::new_with_size_hint(core, size)
}

/// What a snapshot says besides its instances.
#[napi(object)]
pub struct Description {
    pub service: String,
    pub revision: f64,
    pub freshness: String,
    pub source: String,
    pub last_error: Option<String>,
    pub length: u32,
}

#[napi]
pub fn snapshot_describe(snapshot: &Snapshot) -> Description {
    Description {
        service: snapshot.service().to_owned(),
        revision: snapshot.revision() as f64,
        freshness: snapshot.freshness().as_str().to_owned(),
        source: snapshot.source().to_owned(),
        last_error: snapshot.last_error().map(encoded),
        length: snapshot.len() as u32,
    }
}

/// Milliseconds since the registry last vouched for it.
#[napi]
pub fn snapshot_age(snapshot: &Snapshot) -> f64 {
    snapshot.age().as_secs_f64() * 1000.0
}

#[napi]
pub fn snapshot_is_same(snapshot: &Snapshot, other: &Snapshot) -> bool {
    snapshot.is_same(other)
}

/// How to make the objects of a snapshot.
#[napi(object)]
pub struct Conversion {
    /// For each instance its position in the previous snapshot, or -1.
    pub from: Int32Array,
    /// The others, in order, as a JSON list.
    pub fresh: String,
}

/// Both lists are sorted by id, so that one pass finds what is the same.
#[napi]
pub fn snapshot_convert(snapshot: &Snapshot, previous: Option<&Snapshot>) -> napi::Result<Conversion> {
    guarded(|| {
        let old = previous.map_or(&[][..], |previous| previous.instances());
        let (mut from, mut fresh, mut at) = (Vec::with_capacity(snapshot.len()), Vec::new(), 0);
        for instance in snapshot.iter() {
            while old.get(at).is_some_and(|old| old.id < instance.id) {
                at += 1;
            }
            match old.get(at) {
                Some(old) if Arc::ptr_eq(old, instance) || old == instance => from.push(at as i32),
                _ => {
                    from.push(-1);
                    fresh.push(&**instance);
                }
            }
        }
        Ok(Conversion { from: Int32Array::new(from), fresh: rows(fresh.into_iter()) })
    })
}

/// What became of the instances of a previous snapshot, as positions: in this one, or for `removed` in that one.
#[napi(object)]
pub struct Changes {
    pub added: Vec<u32>,
    pub removed: Vec<u32>,
    pub changed: Vec<u32>,
}

#[napi]
pub fn snapshot_changes(snapshot: &Snapshot, previous: &Snapshot) -> napi::Result<Changes> {
    guarded(|| {
        let changes = snapshot.changes_since(previous);
        Ok(Changes {
            added: positions(snapshot, &changes.added),
            removed: positions(previous, &changes.removed),
            changed: positions(snapshot, &changes.changed),
        })
    })
}

fn positions(snapshot: &callsheet::Snapshot, instances: &[Arc<Instance>]) -> Vec<u32> {
    let find =
        |wanted: &Arc<Instance>| snapshot.instances().binary_search_by(|one| one.id.cmp(&wanted.id)).ok();
    instances.iter().filter_map(find).map(|at| at as u32).collect()
}
