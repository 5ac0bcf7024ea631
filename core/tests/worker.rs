//! The threads of the runtime are for everyone: a client that goes never keeps one.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use callsheet::{Client, block_on};
use common::registry;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn clients_dropped_by_a_task_while_their_callbacks_run_block_no_thread() {
    let mut callbacks = Vec::new();
    for _ in 0..8 {
        let (url, memory) = registry();
        let client = Client::connect(&url).unwrap();
        let (entered, ready) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        client
            .on_change("billing", move |_| {
                entered.send(()).unwrap();
                let _ = released.recv();
            })
            .unwrap();
        ready.recv_timeout(SOON).unwrap();
        // The task of this ping is the last to hold the client, and drops it on a thread of the runtime.
        memory.slow(Duration::from_millis(50));
        let ping = client.clone();
        block_on(async {
            let mut ping = pin!(ping.ping());
            poll_fn(|context| {
                let _ = ping.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
        });
        drop((ping, client));
        callbacks.push(release);
    }
    let (sender, answered) = mpsc::channel();
    std::thread::spawn(move || {
        let client = Client::connect("memory:").unwrap();
        sender.send(block_on(client.lookup("billing")).map(|found| found.len())).unwrap();
    });
    assert_eq!(answered.recv_timeout(SOON).expect("the runtime still works").unwrap(), 0);
}
