//! Many processes at once, many cycles, and what idling costs. Figures are printed; only what is promised is asserted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use super::child::{Child, How, NOBODY, is_root};
use super::*;

/// A user whose file events nobody else uses up or misses.
fn apart(scene: &Scene) -> Option<u32> {
    if !is_root() {
        return None;
    }
    let folder = scene.path().parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Some(NOBODY)
}

#[test]
fn fifty_processes_start_at_once() {
    let scene = Scene::new();
    let mut all: Vec<_> = (0..50).map(|_| Child::start(&scene.path())).collect();
    for (at, child) in all.iter_mut().enumerate() {
        child.say(&format!("publish a {at} 10000"));
    }
    for child in &all {
        assert_eq!(child.hear(), "registered");
    }
    assert_eq!(all[0].ask("load a").split(' ').count(), 51);
}

#[test]
fn two_hundred_register_at_once_and_watch_with_file_events_exhausted() {
    const ALL: usize = 200;
    let scene = Scene::new();
    let uid = apart(&scene);
    let start = || Child::start_as(&scene.path(), How { uid, ..How::default() });
    let mut all: Vec<_> = (0..ALL).map(|_| start()).collect();
    // All of them have to be there before any begins.
    for (at, child) in all.iter_mut().enumerate() {
        child.say(&format!("publish a {at:03} 30000"));
    }
    for child in &all {
        assert_eq!(child.hear(), "registered", "no lock error");
    }
    for child in &mut all {
        child.say("watch b");
    }
    for child in &all {
        assert_eq!(child.hear(), "ids ");
    }
    let mut other = start();
    assert!(other.ask("exhaust").starts_with("exhausted "));
    assert_eq!(other.ask("publish b 1 30000"), "registered");
    let published = Instant::now();
    for child in &all {
        child.until("ids 1");
    }
    println!("told {ALL} watchers in {:?}", published.elapsed());
    other.kill();
    let killed = Instant::now();
    for child in &all {
        child.until("ids ");
    }
    println!("told {ALL} watchers of a death in {:?}", killed.elapsed());
    assert!(killed.elapsed() < 2 * DEADLINE);
}

#[test]
fn a_watcher_without_file_events_hears_of_everything() {
    let scene = Scene::new();
    let uid = apart(&scene);
    let start = || Child::start_as(&scene.path(), How { uid, ..How::default() });
    let mut exhausting = start();
    let said = exhausting.ask("exhaust");
    assert!(said.starts_with("exhausted "), "{said}");
    let mut watcher = start();
    assert_eq!(watcher.ask("watch a"), "ids ");
    let mut owner = start();
    for at in 0..5 {
        assert_eq!(owner.ask(&format!("publish a {at} 10000")), "registered");
        let ids: Vec<_> = (0..=at).map(|at| at.to_string()).collect();
        watcher.until(&format!("ids {}", ids.join(" ")));
    }
}

#[tokio::test]
async fn files_stay_small_over_thousands_of_cycles() {
    let scene = Scene::new();
    let client = scene.client();
    let mut follow = client.follow("a").await;
    // A reader that is always there, so that the WAL is never free of them for long.
    let mut watcher = Child::start(&scene.path());
    watcher.say("watch other");
    for round in 0..40 {
        let mut all = vec![];
        for at in 0..250 {
            all.push(client.publish("a", &format!("{round}-{at}"), TTL).await);
        }
        for mut publication in all {
            publication.withdraw().await.unwrap();
        }
    }
    let size = |suffix: &str| {
        fs::metadata(format!("{}{suffix}", scene.path().display())).map_or(0, |meta| meta.len())
    };
    println!("after 10,000 cycles: {} database, {} WAL", size(""), size("-wal"));
    assert!(size("") < 8 << 20 && size("-wal") < 8 << 20);
    drop(follow.next().await);
    for _ in 0..20 {
        let mut owner = Child::start(&scene.path());
        assert_eq!(owner.ask("publish b 1 10000"), "registered");
        owner.kill();
    }
    eventually("owner files of the dead go", || fs::read_dir(scene.owners()).unwrap().count() < 6);
}
