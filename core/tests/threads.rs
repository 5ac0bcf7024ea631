//! What the threads of the core are like, seen from the process that they run in.
#![cfg(all(target_os = "linux", feature = "local"))]

use std::time::{Duration, Instant};

use callsheet::{Client, Registration, block_on};

#[test]
fn no_thread_of_ours_takes_the_signals_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::connect(&format!("local://{}/registry.db", folder.path().display())).unwrap();
    block_on(client.register(Registration::new("billing").port(1))).unwrap();
    let bit = |signal: libc::c_int| 1u64 << (signal - 1);
    let (theirs, own) = (bit(libc::SIGTERM) | bit(libc::SIGINT) | bit(libc::SIGUSR1), bit(libc::SIGSEGV));
    // A thread that was just made gets its name before its mask.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let masks = masks();
        let names: Vec<_> = masks.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"callsheet") && names.contains(&"callsheet-local"), "{names:?}");
        if masks.iter().all(|(_, mask)| mask & theirs == theirs && mask & own == 0) {
            break;
        }
        assert!(Instant::now() < deadline, "{masks:x?}");
        std::thread::yield_now();
    }
    block_on(client.close()).unwrap();
}

/// The names of our threads, but for that of callbacks, which run the program's code, and the signals that each blocks.
fn masks() -> Vec<(String, u64)> {
    let mut masks = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        // A thread of the harness may end at any moment.
        let Ok(name) = std::fs::read_to_string(folder.join("comm")) else { continue };
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        if let (true, Some(blocked)) =
            (name.starts_with("callsheet") && name.trim() != "callsheet-callbacks", blocked)
        {
            masks.push((name.trim().to_owned(), u64::from_str_radix(blocked.trim(), 16).unwrap()));
        }
    }
    masks
}
