//! What a forked child may do with a client of its parent: nothing, but also no harm. One test, because a process that
//! forks should run nothing else meanwhile.
#![cfg(unix)]

mod common;

use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use callsheet::{Client, Code, Instance, Policy, Registration, State, block_on};
use common::registry;

#[test]
fn a_child_refuses_its_parents_handles_and_makes_its_own() {
    let (url, memory) = registry();
    let client = Client::connect(&url).unwrap();
    let registration = block_on(client.register(Registration::new("billing").port(1))).unwrap();
    let watch = client.watch("billing").unwrap();
    let picker = block_on(client.picker("billing", Policy::P2c)).unwrap();
    let subscription = client.on_change("billing", |_| {}).unwrap();
    memory.put(Instance::new("billing", "10.0.0.1", 2)).unwrap();
    block_on(client.wait_for("billing", 2, Duration::from_secs(5))).unwrap();

    // Calls that wait, as a coroutine of an event loop does that forks.
    memory.slow(Duration::from_millis(200));
    let waiting = client.clone();
    let (mut asked, mut left) = (Box::pin(waiting.ping()), Box::pin(waiting.lookup("other")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(asked.as_mut().poll(&mut context).is_pending() && left.as_mut().poll(&mut context).is_pending());

    // SAFETY: the child runs only what is under test and ends with `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let forked = |result: callsheet::Result<()>| assert_eq!(result.unwrap_err().code(), Code::Forked);
            forked(block_on(client.lookup("billing")).map(drop));
            forked(client.watch("billing").map(drop));
            forked(block_on(client.register(Registration::new("x").port(1))).map(drop));
            forked(block_on(client.ping()));
            forked(block_on(asked));
            drop(left);
            forked(client.stats().map(drop));
            forked(block_on(client.close()));
            forked(block_on(registration.close()));
            forked(registration.beat());
            forked(block_on(subscription.close()));
            forked(picker.pick().map(drop));
            assert_eq!(registration.state(), State::Closed);
            assert_eq!(registration.instance().port, 1);
            assert!(block_on(watch.next()).is_none());
            assert!(client.is_closed());
            drop((client, registration, watch, picker, subscription, memory));
            // The names of memory registries are per process, so this one is another and empty.
            let own = Client::connect(&url).unwrap();
            assert!(block_on(own.lookup("billing")).unwrap().is_empty());
            let registered = block_on(own.register(Registration::new("billing").port(3))).unwrap();
            assert_eq!(registered.state(), State::Registered);
            block_on(own.close()).unwrap();
        }));
        // SAFETY: ends the child without running what the parent registered for its own exit.
        unsafe { libc::_exit(i32::from(passed.is_err())) };
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child failed; its panic is above");
    drop(left);
    block_on(asked).unwrap();
    memory.slow(Duration::ZERO);
    assert_eq!(block_on(client.lookup("billing")).unwrap().len(), 2, "nothing of the parent's was withdrawn");
    assert_eq!(registration.state(), State::Registered);
    block_on(client.close()).unwrap();
}
