//! Closing on signals, seen from outside: in processes of their own, because a signal is for a whole process. One
//! test, because a process that forks should run nothing else meanwhile.
#![cfg(unix)]

mod common;

use std::time::{Duration, Instant};

use callsheet::{Client, Registration, block_on};
use common::registry;

/// Runs `child` in a forked process, which then sends itself SIGTERM; gives back how it ended.
fn ended(child: impl FnOnce()) -> i32 {
    // SAFETY: the child runs only what is under test and ends with `_exit` or by the signal.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_ok();
        let until = Instant::now() + Duration::from_secs(10);
        if passed {
            // SAFETY: sends a signal to this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
        }
        while passed && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        // SAFETY: ends the child without running what the parent registered for its own exit.
        unsafe { libc::_exit(if passed { 7 } else { 8 }) };
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    status
}

/// A client with a registration, closed on signals.
fn provider(url: &str) -> Client {
    let client = Client::connect(url).unwrap();
    client.close_on_signals().unwrap();
    block_on(client.register(Registration::new("billing").port(1))).unwrap();
    client
}

#[test]
fn a_signal_closes_and_then_ends_the_process_and_a_child_of_it_too() {
    let (url, _memory) = registry();
    // Kept until the process ends, as a program keeps its client.
    let fresh = ended(|| std::mem::forget(provider(&url)));
    assert_eq!(libc::WTERMSIG(fresh), libc::SIGTERM, "{fresh:#x}");

    let client = provider(&url);
    let without = ended(|| {});
    assert_eq!(libc::WTERMSIG(without), libc::SIGTERM, "a child that asked for nothing: {without:#x}");
    let own = ended(|| std::mem::forget(provider(&url)));
    assert_eq!(libc::WTERMSIG(own), libc::SIGTERM, "a child with a client of its own: {own:#x}");
    let handled = ended(|| {
        extern "C" fn handler(_: libc::c_int) {
            // SAFETY: async-signal-safe.
            unsafe { libc::_exit(5) }
        }
        // SAFETY: installs a handler that only exits.
        unsafe { libc::signal(libc::SIGTERM, handler as *const () as libc::sighandler_t) };
    });
    assert_eq!(libc::WEXITSTATUS(handled), 5, "a child with a handler of its own: {handled:#x}");
    assert!(!client.is_closed());
    assert_eq!(block_on(client.lookup("billing")).unwrap().len(), 1);
}
