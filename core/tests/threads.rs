//! What the threads of the core are like, seen from the process that they run in.
#![cfg(target_os = "linux")]

mod common;

use callsheet::{Client, Registration, block_on};
use common::registry;

#[test]
fn no_thread_of_ours_takes_the_signals_of_the_host() {
    let (url, _memory) = registry();
    let client = Client::connect(&url).unwrap();
    block_on(client.register(Registration::new("billing").port(1))).unwrap();
    let mut masks = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        // A thread of the harness may end at any moment.
        let Ok(name) = std::fs::read_to_string(folder.join("comm")) else { continue };
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        if name.trim() == "callsheet" {
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
            masks.push(u64::from_str_radix(blocked, 16).unwrap());
        }
    }
    let bit = |signal: libc::c_int| 1u64 << (signal - 1);
    let (theirs, own) = (bit(libc::SIGTERM) | bit(libc::SIGINT) | bit(libc::SIGUSR1), bit(libc::SIGSEGV));
    assert!(
        !masks.is_empty() && masks.iter().all(|mask| mask & theirs == theirs && mask & own == 0),
        "{masks:x?}"
    );
    block_on(client.close()).unwrap();
}
