//! The registry `memory:name` from outside, for tests.

use callsheet::host::{check_port, check_weight};
use callsheet::memory::Memory;
use callsheet::{Instance, Status};
use napi::bindgen_prelude::External;
use napi_derive::napi;

use crate::error::{guarded, invalid, milliseconds};
use crate::registration::Specification;

#[napi]
pub fn memory(name: String) -> napi::Result<External<Memory>> {
    guarded(|| Ok(External::new(Memory::named(&name)?)))
}

/// Switches a fault on or off, or does what happens once.
#[napi]
pub fn memory_fault(memory: &External<Memory>, fault: String, on: bool) -> napi::Result<()> {
    guarded(|| {
        match &*fault {
            "unreachable" => memory.unreachable(on),
            "refuse" => memory.refuse(on),
            "answerEmpty" => memory.answer_empty(on),
            "answerWithLists" => memory.answer_with_lists(on),
            "loseLeases" => memory.lose_leases(),
            "compact" => memory.compact(),
            "changeIdentity" => memory.change_identity(),
            "wipe" => memory.wipe(),
            other => return Err(invalid(format!("there is no fault {other}"))),
        }
        Ok(())
    })
}

/// Every request takes this many milliseconds.
#[napi]
pub fn memory_slow(memory: &External<Memory>, delay: f64) -> napi::Result<()> {
    guarded(|| {
        memory.slow(milliseconds("delay", delay)?);
        Ok(())
    })
}

/// Writes an instance as another tool would.
#[napi]
pub fn memory_put(memory: &External<Memory>, given: Specification, status: String) -> napi::Result<()> {
    guarded(|| {
        let address = given.address.unwrap_or_else(|| "127.0.0.1".to_owned());
        let mut instance = Instance::new(given.service, address, check_port(given.port)?);
        instance.id = given.id.unwrap_or(instance.id);
        instance.scheme = given.scheme.unwrap_or(instance.scheme);
        instance.tags = given.tags.unwrap_or_default();
        instance.metadata = given.metadata.unwrap_or_default().into_iter().collect();
        instance.weight = given.weight.map_or(Ok(1), check_weight)?;
        instance.zone = given.zone.unwrap_or_default();
        instance.version = given.version.unwrap_or_default();
        instance.status = status.parse::<Status>()?;
        memory.put(instance)
    })
}

/// Deletes an instance behind its owner's back.
#[napi]
pub fn memory_delete(memory: &External<Memory>, service: String, id: String) -> napi::Result<()> {
    guarded(|| {
        memory.delete(&service, &id);
        Ok(())
    })
}
