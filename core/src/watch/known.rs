//! The instances of a service as a registry has them, by id. One that did not change is the same object in the next list.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::instance::Instance;
use crate::registry::{Change, Record};

#[derive(Default)]
pub(super) struct Known(BTreeMap<String, Arc<Instance>>);

impl Known {
    /// These, which are as another process saw them.
    pub(super) fn of(instances: &[Arc<Instance>]) -> Self {
        Known(instances.iter().map(|instance| (instance.id.clone(), instance.clone())).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order of their ids.
    pub(super) fn list(&self) -> Arc<[Arc<Instance>]> {
        self.0.values().cloned().collect()
    }

    /// Takes a whole list.
    pub(super) fn replace(&mut self, records: Vec<Record>) {
        let mut previous = std::mem::take(&mut self.0);
        for Record { instance, .. } in records {
            let kept = previous.remove(&instance.id).filter(|kept| **kept == instance);
            self.0.insert(instance.id.clone(), kept.unwrap_or_else(|| Arc::new(instance)));
        }
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(Record { instance, .. }) => match self.0.get(&instance.id) {
                Some(known) if **known == instance => {}
                _ => {
                    self.0.insert(instance.id.clone(), Arc::new(instance));
                }
            },
            Change::Delete { id } => {
                self.0.remove(&id);
            }
        }
    }
}
