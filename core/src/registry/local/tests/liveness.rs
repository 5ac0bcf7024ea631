//! Death, standstill and time: who disappears when, and who must not.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use super::super::clock::Clock;
use super::child::{Child, How};
use super::*;

#[test]
fn a_killed_process_is_gone_within_a_second_also_when_it_was_the_reaper() {
    let scene = Scene::new();
    // The first one here is elected.
    let mut first = Child::start(&scene.path());
    assert_eq!(first.ask("publish a 1 10000"), "registered");
    let mut second = Child::start(&scene.path());
    assert_eq!(second.ask("publish a 2 10000"), "registered");
    for polling in [false, true] {
        let mut watcher = Child::start_as(&scene.path(), How { polling, ..How::default() });
        watcher.say("watch a");
        watcher.until("ids 1 2");
    }
    let mut watcher = Child::start(&scene.path());
    assert_eq!(watcher.ask("watch a"), "ids 1 2");
    for (victim, left) in [(second, "ids 1"), (first, "ids ")] {
        let killed = Instant::now();
        victim.kill();
        let (at, said) = watcher.hear_at();
        let took = at - killed;
        assert_eq!(said, left);
        assert!(took < DEADLINE, "{took:?}");
        println!("SIGKILL to {left:?}: {took:?}");
    }
}

#[test]
fn who_comes_when_all_are_dead_reads_of_none_of_them() {
    let scene = Scene::new();
    let mut owner = Child::start(&scene.path());
    assert_eq!(owner.ask("publish a 1 600000"), "registered");
    owner.kill();
    eventually("it is dead", || owner.is_over());
    let mut reader = Child::start(&scene.path());
    assert_eq!(reader.ask("load a"), "ids ", "the very first read");
}

#[test]
fn a_stopped_process_is_gone_after_its_time_and_comes_back() {
    let scene = Scene::new();
    // The first to be here is elected, and must be stopped too without anybody missing its work.
    let mut reaper = Child::start(&scene.path());
    assert_eq!(reaper.ask("publish a reaper 3000"), "registered");
    let mut other = Child::start(&scene.path());
    assert_eq!(other.ask("publish a other 3000"), "registered");
    let mut watcher = Child::start(&scene.path());
    assert_eq!(watcher.ask("watch a"), "ids other reaper");
    for (victim, left) in [(&reaper, "ids other"), (&other, "ids reaper")] {
        let stopped = Instant::now();
        victim.signal(Signal::STOP);
        let gone = watcher.until(left) - stopped;
        // It beat a second ago at the most.
        assert!(gone > Duration::from_millis(1500), "{gone:?} is before its time");
        println!("SIGSTOP to {left:?}: {gone:?}");
        assert!(gone < 2 * DEADLINE, "{gone:?}");
        victim.signal(Signal::CONT);
        victim.until("gone");
        watcher.until("ids other reaper");
    }
}

#[test]
fn a_living_process_keeps_its_lease_over_many_of_them() {
    let scene = Scene::new();
    let mut owner = Child::start(&scene.path());
    assert_eq!(owner.ask("publish a 1 1000"), "registered");
    let mut watcher = Child::start(&scene.path());
    assert_eq!(watcher.ask("watch a"), "ids 1");
    // Another process's transaction that stands still must not end a lease either.
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    connection.execute_batch("ROLLBACK").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    watcher.say("ping");
    assert_eq!(watcher.hear(), "ok", "nothing was said of a change before");
    owner.say("ping");
    assert_eq!(owner.hear(), "ok", "nothing was lost before");
}

#[tokio::test]
async fn a_lock_that_is_not_let_go_is_an_error_with_a_remedy_and_readers_go_on() {
    let scene = Scene::new();
    let client = scene.client();
    let _one = client.publish("a", "1", TTL).await;
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let publish = client.registry.publish(client.publish_of("a", "2", TTL, Claim::IfFree));
    let read = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        assert_eq!(client.ids("a").await, ["1"]);
        assert!(begun.elapsed() < Duration::from_secs(1));
    };
    let (published, ()) = tokio::join!(publish, read);
    let Err(error) = published else { panic!("published") };
    assert_eq!(error.code(), crate::Code::Unavailable);
    assert!(
        error.to_string().contains(scene.path().to_str().unwrap()) && error.to_string().contains("fuser")
    );
    connection.execute_batch("ROLLBACK").unwrap();
    let _two = client.publish("a", "2", TTL).await;
}

#[tokio::test]
async fn the_owner_file_that_a_cleaner_takes_comes_back_before_anybody_is_missed() {
    let scene = Scene::new();
    let client = scene.client();
    let ttl = Duration::from_secs(1);
    let mut publication = client.publish("a", "1", ttl).await;
    let owner_file = || {
        let names = std::fs::read_dir(scene.owners()).unwrap().map(|entry| entry.unwrap().path());
        names
            .into_iter()
            .find(|path| super::super::owner_file::is_name(path.file_name().unwrap().to_str().unwrap()))
    };
    std::fs::remove_file(owner_file().unwrap()).unwrap();
    let mut reaper = Child::start(&scene.path());
    reaper.ask("ping");
    eventually("it is made anew", || owner_file().is_some());
    assert!(tokio::time::timeout(2 * ttl, publication.lost()).await.is_err());
}

#[tokio::test]
async fn rows_of_another_boot_are_dead_and_the_history_goes_on() {
    let scene = Scene::new();
    let now = Arc::new(AtomicU64::new(1_000_000_000));
    let booted = |boot: &str| Settings { clock: Clock::by_hand(boot, now.clone()), events: true };
    let before = Client::new(&scene.path(), booted("first"));
    let _publication = before.publish("a", "1", TTL).await;
    let last = before.registry.load("a", None).await.unwrap();
    assert_eq!(last.records.len(), 1);
    // The clock begins anew with the machine, far before what the rows say.
    now.store(1_000, Ordering::SeqCst);
    let mut child = Child::start(&scene.path());
    assert_eq!(child.ask("load a"), "ids ");
    let after = before.registry.load("a", Some(last.position)).await.unwrap();
    assert!(after.records.is_empty() && after.proven && after.position.index > last.position.index);
}

#[tokio::test]
async fn time_is_the_monotonic_clock_that_is_passed_in() {
    let scene = Scene::new();
    let now = Arc::new(AtomicU64::new(5_000));
    // The child's is the machine's; so is the boot, lest it take ours for another.
    let clock = Clock::by_hand(Clock::system().boot(), now.clone());
    let client = Client::new(&scene.path(), Settings { clock, events: true });
    drop(client.publish("a", "1", TTL).await);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(client.ids("a").await, ["1"], "no time has passed");
    now.fetch_add(10_500, Ordering::SeqCst);
    client.wait_for("a", &[]).await;
}
