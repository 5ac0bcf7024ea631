//! Callbacks: on one thread, in order, never after close. On the real clock, because threads take part.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use callsheet::{Client, Code, Instance, Registration, block_on};
use common::registry;

fn put(memory: &callsheet::memory::Memory, port: u16) {
    memory.put(Instance::new("billing", "10.0.0.1", port)).unwrap();
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn callbacks_run_in_order_on_one_thread_that_is_not_the_callers() {
    let (url, memory) = registry();
    let client = Client::connect(&url).unwrap();
    let (sender, events) = mpsc::channel();
    let other = sender.clone();
    let tell = move |sender: &mpsc::Sender<_>, n: usize| {
        sender.send((std::thread::current().id(), n)).unwrap();
    };
    client.on_change("billing", move |snapshot| tell(&sender, snapshot.len())).unwrap();
    client.on_change("other", move |_| other.send((std::thread::current().id(), 0)).unwrap()).unwrap();
    let mut threads = std::collections::HashSet::new();
    let mut sizes = vec![];
    for port in 1..=20 {
        put(&memory, port);
        while sizes.last() != Some(&usize::from(port)) {
            let (thread, size) = events.recv_timeout(SOON).unwrap();
            threads.insert(thread);
            if size > 0 {
                sizes.push(size);
            }
        }
    }
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert_eq!(threads.len(), 1);
    assert!(!threads.contains(&std::thread::current().id()));
    block_on(client.close()).unwrap();
}

#[test]
fn after_close_none_starts_and_none_runs() {
    let (url, memory) = registry();
    let client = Client::connect(&url).unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let (entered, ready) = mpsc::channel();
    let theirs = running.clone();
    let subscription = client
        .on_change("billing", move |_| {
            theirs.fetch_add(1, Ordering::SeqCst);
            let _ = entered.send(());
            // Long enough that a close which does not wait would be seen.
            std::thread::sleep(Duration::from_millis(100));
            theirs.fetch_sub(1, Ordering::SeqCst);
        })
        .unwrap();
    ready.recv_timeout(SOON).unwrap();
    block_on(subscription.close()).unwrap();
    assert_eq!(running.load(Ordering::SeqCst), 0, "it still ran when close returned");
    while ready.try_recv().is_ok() {}
    put(&memory, 1);
    let lookup = block_on(client.wait_for("billing", 1, SOON)).unwrap();
    assert_eq!(lookup.len(), 1);
    assert!(ready.recv_timeout(Duration::from_millis(200)).is_err());
    block_on(client.close()).unwrap();
}

#[test]
fn a_callback_may_close_itself_and_its_client() {
    let (url, _memory) = registry();
    let client = Client::connect(&url).unwrap();
    let own: Arc<Mutex<Option<callsheet::Subscription>>> = Arc::default();
    let (sender, done) = mpsc::channel();
    let (theirs, inner) = (own.clone(), client.clone());
    let guard = own.lock().unwrap();
    let subscription = client
        .on_change("billing", move |_| {
            let own = theirs.lock().unwrap().take().unwrap();
            let closed = block_on(own.close()).and_then(|()| block_on(inner.close()));
            sender.send(closed.map_err(|error| error.code())).unwrap();
        })
        .unwrap();
    { guard }.replace(subscription);
    assert_eq!(done.recv_timeout(SOON).unwrap(), Ok(()));
    assert!(client.is_closed());
}

#[test]
fn a_callback_that_panics_is_called_again_and_counted() {
    let (url, memory) = registry();
    let client = Client::connect(&url).unwrap();
    let (sender, events) = mpsc::channel();
    client
        .on_change("billing", move |snapshot| {
            sender.send(snapshot.len()).unwrap();
            assert!(!snapshot.is_empty(), "on purpose, for the first call");
        })
        .unwrap();
    assert_eq!(events.recv_timeout(SOON).unwrap(), 0);
    put(&memory, 1);
    assert_eq!(events.recv_timeout(SOON).unwrap(), 1);
    assert_eq!(client.stats().unwrap().callback_failures, 1);
    block_on(client.close()).unwrap();
}

#[test]
fn subscribing_and_unsubscribing_inside_a_callback_does_not_deadlock() {
    let (url, memory) = registry();
    let client = Client::connect(&url).unwrap();
    let (sender, done) = mpsc::channel();
    let inner = client.clone();
    client
        .on_change("billing", move |snapshot| {
            for n in 0..10 {
                let subscription = inner.on_change(&format!("s{n}"), |_| {}).unwrap();
                block_on(subscription.close()).unwrap();
            }
            sender.send(snapshot.len()).unwrap();
        })
        .unwrap();
    assert_eq!(done.recv_timeout(SOON).unwrap(), 0);
    put(&memory, 1);
    assert_eq!(done.recv_timeout(SOON).unwrap(), 1);
    block_on(client.close()).unwrap();
}

#[test]
fn a_callback_that_does_not_return_makes_close_late_but_not_endless() {
    let (url, _memory) = registry();
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
    block_on(client.register(Registration::new("billing").port(1))).unwrap();
    let reader = Client::connect(&url).unwrap();
    assert_eq!(block_on(reader.lookup("billing")).unwrap().len(), 1);
    let closing = std::thread::spawn(move || block_on(client.close()).unwrap_err().code());
    // What the client registered does not wait for the callback.
    let began = std::time::Instant::now();
    while !block_on(reader.lookup("billing")).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(4), "still registered");
        std::thread::yield_now();
    }
    assert!(!closing.is_finished());
    assert_eq!(closing.join().unwrap(), Code::Timeout);
    drop(release);
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_clients_leave_no_thread_behind() {
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }
    let (url, _memory) = registry();
    let cycle = || {
        let client = Client::connect(&url).unwrap();
        let (sender, called) = mpsc::channel();
        client.on_change("billing", move |_| _ = sender.send(())).unwrap();
        called.recv_timeout(SOON).unwrap();
        block_on(client.close()).unwrap();
    };
    cycle();
    let before = threads();
    (0..10_000).for_each(|_| cycle());
    // A thread that was told to end may take a moment; other tests of this process have theirs.
    let deadline = std::time::Instant::now() + SOON;
    while threads() > before + 20 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(threads() <= before + 20, "{} threads, {before} before", threads());
}
