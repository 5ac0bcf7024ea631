//! The hand that a test has on a `memory:name` registry: faults on and off, and what other tools would write.

use std::sync::Arc;
use std::time::Duration;

use super::store::{State, Store};
use crate::error::Result;
use crate::fork;
use crate::instance::{Instance, check_service};
use crate::registry::Record;

/// A `memory:name` registry seen from outside, for tests: inject the faults that real registries have.
///
/// ```
/// # fn main() -> callsheet::Result<()> {
/// use callsheet::memory::Memory;
/// let memory = Memory::named("doc-faults")?;
/// let client = callsheet::Client::connect("memory:doc-faults")?;
/// memory.unreachable(true);
/// // lookups, watches and registrations of `client` now meet a registry that is down
/// memory.unreachable(false);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Memory(fork::Owned<Arc<Store>>);

impl Memory {
    /// The registry that clients of `memory:name` share; made if there is none yet, kept while anyone holds it.
    ///
    /// # Errors
    /// `invalid_argument` when no URL could have this name.
    pub fn named(name: &str) -> Result<Self> {
        check_service(name)?;
        Ok(Memory(fork::Owned::new(super::named(name))))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        // In a forked child there is nobody to tell: the clients of this registry live in the parent.
        if let Ok(store) = self.0.get() {
            change(&mut store.lock());
            store.announce();
        }
    }

    /// Every request fails with `unavailable` and every watch breaks, until switched off. Leases go on running out.
    pub fn unreachable(&self, on: bool) {
        self.set(|state| state.unreachable = on);
    }

    /// Every request fails with `permission_denied`, until switched off.
    pub fn refuse(&self, on: bool) {
        self.set(|state| state.refusing = on);
    }

    /// Every request takes this long; zero switches it off.
    pub fn slow(&self, delay: Duration) {
        self.set(|state| state.slow = delay);
    }

    /// Reads succeed and are empty, as from a cluster without a leader, until switched off. Followers load again.
    pub fn answer_empty(&self, on: bool) {
        self.set(|state| {
            state.empty = on;
            state.breaks += 1;
        });
    }

    /// Followers get whole lists, as from Consul, instead of changes, as from etcd.
    pub fn answer_with_lists(&self, on: bool) {
        self.set(|state| state.lists = on);
    }

    /// Every lease runs out now.
    pub fn lose_leases(&self) {
        self.set(|state| state.delete_where(|entry| entry.expires.is_some()));
    }

    /// The history up to now is forgotten: who has not followed to its end must load again.
    pub fn compact(&self) {
        self.set(State::compact);
    }

    /// The same data under another cluster identity, with a revision that begins anew.
    pub fn change_identity(&self) {
        self.set(State::change_identity);
    }

    /// Everything is gone, and the identity is another: a cluster restarted on an empty disk.
    pub fn wipe(&self) {
        self.set(State::wipe);
    }

    /// Writes an instance as another tool would: without an owner, and without a lease.
    ///
    /// # Errors
    /// `invalid_argument` when the instance is not valid.
    pub fn put(&self, instance: Instance) -> Result<()> {
        instance.validate()?;
        self.set(|state| state.put(Record::unowned(instance), None));
        Ok(())
    }

    /// Deletes an instance behind its owner's back.
    pub fn delete(&self, service: &str, id: &str) {
        self.set(|state| _ = state.delete(service, id));
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}
