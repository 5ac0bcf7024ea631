//! The dispatcher as a binding serves it, one step at a time.

mod common;

use std::thread::ThreadId;
use std::time::Duration;

use callsheet::Client;
use callsheet::block_on;
use callsheet::host::{Dispatcher, Source};
use common::registry;

fn elsewhere() -> ThreadId {
    std::thread::spawn(|| std::thread::current().id()).join().unwrap()
}

#[test]
fn a_job_whose_subscription_ends_before_it_runs_is_not_run() {
    let (url, _memory) = registry();
    let client = Client::connect(&url).unwrap();
    let dispatcher = Dispatcher::new();
    let id = dispatcher.subscribe(Source::Watch(client.watch("billing").unwrap()), ()).unwrap();
    let job = block_on(dispatcher.next()).unwrap();
    assert!(!job.is_cancelled());
    // Told to whoever cancels elsewhere: it is about to run.
    block_on(dispatcher.cancel(id, elsewhere(), Duration::ZERO)).unwrap_err();
    assert!(job.is_cancelled());
    drop(job);
    block_on(dispatcher.cancel(id, elsewhere(), Duration::ZERO)).unwrap();
}

#[test]
fn ending_one_subscription_does_not_wait_for_the_callback_of_another() {
    let (url, _memory) = registry();
    let client = Client::connect(&url).unwrap();
    let dispatcher = Dispatcher::new();
    let running = dispatcher.subscribe(Source::Watch(client.watch("billing").unwrap()), ()).unwrap();
    let job = block_on(dispatcher.next()).unwrap();
    let other = dispatcher.subscribe(Source::Watch(client.watch("other").unwrap()), ()).unwrap();
    block_on(dispatcher.cancel(other, elsewhere(), Duration::ZERO)).unwrap();
    block_on(dispatcher.cancel(running, elsewhere(), Duration::ZERO)).unwrap_err();
    // The thread that runs it is not waited for, and closing says the same.
    block_on(dispatcher.cancel(running, std::thread::current().id(), Duration::ZERO)).unwrap();
    block_on(dispatcher.close(elsewhere(), Duration::ZERO)).unwrap_err();
    assert!(job.is_cancelled());
    drop(job);
    block_on(dispatcher.close(elsewhere(), Duration::ZERO)).unwrap();
    assert!(block_on(dispatcher.next()).is_none());
}
