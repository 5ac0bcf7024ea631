//! What holds for whatever a resolver answers. The input is a message of DNS.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::Name;

use super::answer::{Addresses, Answer};
use super::ask::{addresses, services};

pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(message) = Message::from_vec(bytes) else { return };
    let (records, found) = (services(&message.answers), addresses(&message.additionals));
    for record in &records {
        Name::from_ascii(&record.target).expect("a target is a name to ask for");
    }
    check(&Answer::of_services("web", &records, &found, Duration::ZERO));
    let all: Vec<IpAddr> = found.into_values().flatten().collect();
    check(&Answer::of_addresses("web", Addresses { found: all, ttl: Duration::ZERO }, 80));
}

fn check(answer: &Answer) {
    assert!(answer.instances.is_sorted_by(|a, b| a.id < b.id));
    for instance in &answer.instances {
        instance.validate().unwrap();
    }
}
