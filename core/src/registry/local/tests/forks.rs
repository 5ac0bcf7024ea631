//! Forks: a child opens anew and works, and nothing that it does or leaves undone touches its parent.

use super::child::Child;
use super::*;
use crate::error::Code;

/// In a process of its own: forks, and lets the child register under a name that says how the parent's handles behaved.
pub(super) fn fork(client: &Client, path: &Path) {
    // SAFETY: the child uses only what is made for forked children, and std, whose locks the forking thread holds none of.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        return;
    }
    let runtime = crate::runtime::handle().unwrap();
    runtime.block_on(async {
        let refused = client.registry.ping().await.is_err_and(|error| error.code() == Code::Forked);
        let fresh = Client::new(path, Settings::default());
        let before = fresh.ids("a").await;
        let id = format!("child-{}-{refused}-{}", std::process::id(), before.contains(&"parent".to_owned()));
        let publication = fresh.publish("a", &id, Duration::from_secs(1)).await;
        // Several leases long, and through every kind of write.
        for round in 0..10 {
            let mut short = fresh.publish("b", &format!("{id}-{round}"), TTL).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
            short.withdraw().await.unwrap();
        }
        std::mem::forget(publication);
        // SAFETY: ends the child without the exit handlers of the test harness.
        unsafe { libc::_exit(0) }
    });
}

#[tokio::test]
async fn a_forked_child_opens_anew_and_its_parent_stays_registered() {
    let scene = Scene::new();
    let client = scene.client();
    let mut parent = Child::start(&scene.path());
    assert_eq!(parent.ask("publish a parent 1000"), "registered");
    parent.say("watch a");
    parent.until("ids parent");
    const CHILDREN: usize = 5;
    for _ in 0..CHILDREN {
        parent.say("fork");
    }
    let begun = Instant::now();
    let children = loop {
        let mut ids = client.ids("a").await;
        if ids.len() == CHILDREN + 1 {
            assert_eq!(ids.pop().as_deref(), Some("parent"));
            break ids;
        }
        assert!(begun.elapsed() < DEADLINE, "{ids:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for id in &children {
        assert!(id.ends_with("-true-true"), "{id}: old handles are refused, and the parent was seen");
    }
    // They live for 2.5 s; then their locks go, and the parent's does not.
    client.wait_for("a", &["parent"]).await;
    assert_eq!(integrity(&scene), "ok");
    // The parent's watch went on, and hears of it a moment after others do. It says a list once until that changes.
    loop {
        match parent.hear().as_str() {
            "ids parent" => break,
            "gone" | "taken" => panic!("the parent lost its registration"),
            _ => {}
        }
    }
    assert_eq!(parent.ask("ping"), "ok", "nor did the parent lose its registration since");
    parent.kill();
    client.wait_for("a", &[]).await;
}

#[tokio::test]
async fn forks_in_the_middle_of_writing_leave_a_sound_file() {
    let scene = Scene::new();
    let client = scene.client();
    let mut parent = Child::start(&scene.path());
    parent.say("publish a many 1000 200");
    for _ in 0..10 {
        parent.say("fork");
    }
    let begun = Instant::now();
    while client.ids("a").await.iter().filter(|id| id.starts_with("child-")).count() < 10 {
        assert!(begun.elapsed() < DEADLINE, "{:?}", client.ids("a").await.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    parent.until("registered");
    assert_eq!(integrity(&scene), "ok");
    // They would make the folder anew if it went before they do.
    let begun = Instant::now();
    while client.ids("a").await.iter().any(|id| id.starts_with("child-")) {
        assert!(begun.elapsed() < 2 * DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn integrity(scene: &Scene) -> String {
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap()
}
