//! A thousand clients of a thousand instances, each with a part of them.

use std::sync::Arc;
use std::time::Duration;

use callsheet::simulation::{SimulatedPicker, seed};
use callsheet::{Instance, Outcome, PickerOptions, Policy};

use crate::world::{index, instance};

pub(crate) const CLIENTS: usize = 1000;
const INSTANCES: usize = 1000;
/// Calls of each client.
const CALLS: usize = 1000;

/// What it means for instances when every client has a part of so many.
pub(crate) struct Spread {
    pub(crate) size: usize,
    /// Clients that an instance is called by: the fewest, the middle, the most.
    pub(crate) connections: [usize; 3],
    /// Calls to the least and the most called instance, relative to the average.
    pub(crate) load: [f64; 2],
}

pub(crate) fn spread(size: usize) -> callsheet::Result<Spread> {
    seed(1);
    let instances: Vec<Arc<Instance>> = (0..INSTANCES).map(|index| Arc::new(instance(index))).collect();
    let (mut connections, mut calls) = (vec![0; INSTANCES], vec![0; INSTANCES]);
    for client in 0..CLIENTS {
        let options = PickerOptions::new(Policy::RoundRobin).subset(size).client_id(format!("pod-{client}"));
        let picker = SimulatedPicker::new(options)?;
        picker.offer(&instances, Duration::ZERO);
        let mut called = vec![false; INSTANCES];
        for _ in 0..CALLS {
            let Some(pick) = picker.pick(None, Duration::ZERO) else { continue };
            let to = index(pick.id());
            calls[to] += 1;
            called[to] = true;
            picker.done(pick, Outcome::Ok, Duration::ZERO);
        }
        called.iter().zip(&mut connections).for_each(|(called, count)| *count += usize::from(*called));
    }
    connections.sort_unstable();
    calls.sort_unstable();
    let average = (CLIENTS * CALLS) as f64 / INSTANCES as f64;
    Ok(Spread {
        size,
        connections: [connections[0], connections[INSTANCES / 2], connections[INSTANCES - 1]],
        load: [f64::from(calls[0]) / average, f64::from(calls[INSTANCES - 1]) / average],
    })
}
