//! What DNS answered, as instances.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::instance::Instance;

/// Instances, and for how long they are good.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) instances: Vec<Instance>,
    pub(super) ttl: Duration,
}

/// Addresses of a name, and for how long they are good.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    pub(super) found: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

impl Addresses {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// An SRV record.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

impl Answer {
    /// This one, or the other if this has none; what is asked first runs out first.
    pub(super) fn or(self, other: Answer) -> Answer {
        if self.instances.is_empty() { other } else { self }
    }

    pub(super) fn of_addresses(service: &str, addresses: Addresses, port: u16) -> Self {
        let at = |address: IpAddr| Instance::new(service, address.to_string(), port);
        Self::of(addresses.found.into_iter().map(at), addresses.ttl)
    }

    /// Of SRV records and the addresses of their targets. Only those of the lowest priority number, as RFC 2782 has clients
    /// go to others when none of these can be reached, which is for the owner of the zone to see.
    pub(super) fn of_services(
        service: &str,
        records: &[Service],
        addresses: &HashMap<String, Vec<IpAddr>>,
        ttl: Duration,
    ) -> Self {
        let first = records.iter().map(|record| record.priority).min();
        let instances = records.iter().filter(|record| Some(record.priority) == first && record.port > 0);
        let instances = instances.flat_map(|record| {
            addresses.get(&record.target).into_iter().flatten().map(move |address| {
                let mut instance = Instance::new(service, address.to_string(), record.port);
                // 0 is for a record among others that is hardly to be used, or where there is nothing to choose.
                instance.weight = u32::from(record.weight.max(1));
                instance
            })
        });
        Self::of(instances, ttl)
    }

    fn of(instances: impl Iterator<Item = Instance>, ttl: Duration) -> Self {
        let by_id: BTreeMap<_, _> = instances.map(|instance| (instance.id.clone(), instance)).collect();
        Answer { instances: by_id.into_values().collect(), ttl }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> Service {
        Service { priority, weight, port, target: target.into() }
    }

    #[test]
    fn records_of_the_first_priority_become_instances_at_each_address() {
        let addresses = HashMap::from([
            ("a.".to_owned(), vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]),
            ("b.".to_owned(), vec!["10.0.0.2".parse().unwrap()]),
        ]);
        let records = [
            record(1, 0, 80, "a."),
            record(1, 5, 81, "b."),
            record(1, 5, 81, "b."),
            record(2, 1, 82, "b."),
            record(1, 1, 0, "b."),
            record(1, 1, 83, "unknown."),
        ];
        let answer = Answer::of_services("billing", &records, &addresses, Duration::from_secs(3));
        let seen: Vec<_> = answer.instances.iter().map(|one| (&*one.id, one.weight)).collect();
        assert_eq!(seen, [("10.0.0.1:80", 1), ("10.0.0.2:81", 5), ("[::1]:80", 1)]);
        assert!(answer.instances.iter().all(|one| one.validate().is_ok()));
    }
}
