//! Files that are deleted, replaced, broken or another's: clear errors, nothing lost, and back by itself.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::child::{Child, How, NOBODY, is_root};
use super::*;
use crate::error::Code;

#[tokio::test]
async fn a_corrupt_file_stays_as_it_is_and_moving_it_away_is_enough() {
    let scene = Scene::new();
    fs::create_dir(scene.path().parent().unwrap()).unwrap();
    let garbage = vec![b'x'; 100_000];
    fs::write(scene.path(), &garbage).unwrap();
    let client = scene.client();
    for _ in 0..2 {
        let error = client.registry.load("a", None).await.unwrap_err();
        assert_eq!(error.code(), Code::Protocol);
        let text = error.to_string();
        assert!(text.contains(scene.path().to_str().unwrap()) && text.contains("mv "), "{text}");
    }
    assert_eq!(fs::read(scene.path()).unwrap(), garbage);
    fs::rename(scene.path(), scene.path().with_extension("corrupt")).unwrap();
    eventually("it recovers", || crate::runtime::block_on(client.registry.ping()).is_ok());
}

#[tokio::test]
async fn another_schema_and_another_program_are_left_alone() {
    for (pragmas, words) in [
        ("PRAGMA application_id = 1667329132; PRAGMA user_version = 7", "schema version 7"),
        ("PRAGMA user_version = 1", "another program"),
    ] {
        let scene = Scene::new();
        fs::create_dir(scene.path().parent().unwrap()).unwrap();
        claims::sql(&scene, &format!("{pragmas}; CREATE TABLE precious (x)"));
        let before = fs::read(scene.path()).unwrap();
        let error = scene.client().registry.ping().await.unwrap_err();
        assert_eq!(error.code(), Code::Protocol);
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(scene.path().to_str().unwrap()), "{text}");
        assert_eq!(fs::read(scene.path()).unwrap(), before);
    }
}

#[test]
fn a_file_that_breaks_under_running_processes_is_named_and_replaced_by_hand() {
    let scene = Scene::new();
    let mut owner = Child::start(&scene.path());
    assert_eq!(owner.ask("publish a 1 10000"), "registered");
    let mut watcher = Child::start(&scene.path());
    assert_eq!(watcher.ask("watch a"), "ids 1");
    // All of it, so that no page is good any more.
    for suffix in ["", "-wal"] {
        let path = format!("{}{suffix}", scene.path().display());
        let size = fs::metadata(&path).unwrap().len() as usize;
        fs::write(path, vec![0xa5; size]).unwrap();
    }
    let mut newcomer = Child::start(&scene.path());
    let said = newcomer.ask("ping");
    assert!(said.starts_with("error protocol") && said.contains("mv "), "{said}");
    fs::rename(scene.path(), scene.path().with_extension("corrupt")).unwrap();
    owner.until("registered");
    watcher.until("ids 1");
    eventually("the newcomer recovers", || newcomer.ask("ping") == "ok");
    assert_eq!(newcomer.ask("load a"), "ids 1");
}

#[test]
fn deleted_files_are_made_anew_and_everybody_registers_again() {
    let scene = Scene::new();
    let mut owners: Vec<_> = (0..3).map(|_| Child::start(&scene.path())).collect();
    for (at, owner) in owners.iter_mut().enumerate() {
        assert_eq!(owner.ask(&format!("publish a {at} 10000")), "registered");
    }
    let mut watchers: Vec<_> =
        [false, true].map(|polling| Child::start_as(&scene.path(), How { polling, ..How::default() })).into();
    for watcher in &mut watchers {
        assert_eq!(watcher.ask("watch a"), "ids 0 1 2");
    }
    let folder = scene.path().parent().unwrap().to_owned();
    let remove = |suffixes: &[&str]| {
        for suffix in suffixes {
            // Somebody may have been faster with what is left of a deleted database.
            let _ = fs::remove_file(format!("{}{suffix}", scene.path().display()));
        }
    };
    let aside = scene.folder.path().join("aside");
    let deletions: [(&str, &dyn Fn()); 5] = [
        ("the folder, by moving it away,", &|| fs::rename(&folder, &aside).unwrap()),
        ("the database", &|| remove(&[""])),
        ("database, WAL and index", &|| remove(&["", "-wal", "-shm"])),
        ("the folder", &|| drop(fs::remove_dir_all(&folder))),
        ("the WAL", &|| remove(&["-wal"])),
    ];
    for (what, delete) in deletions {
        delete();
        for owner in &owners {
            owner.until("gone");
            owner.until("registered");
        }
        let mut newcomer = Child::start(&scene.path());
        assert_eq!(newcomer.ask("load a"), "ids 0 1 2", "after {what} was deleted");
        // A watcher may have been slow enough to find everybody back; so this shows that it follows the new file.
        assert_eq!(newcomer.ask("publish a 3 10000"), "registered");
        for watcher in &watchers {
            watcher.until("ids 0 1 2 3");
        }
        assert!(all_are_seen_to_live(&scene), "after {what} was deleted");
        newcomer.kill();
        for watcher in &watchers {
            watcher.until("ids 0 1 2");
        }
    }
}

/// Whether every owner that a row names has its file at its place, without which its death is not seen at once.
fn all_are_seen_to_live(scene: &Scene) -> bool {
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    let mut owners = connection.prepare("SELECT DISTINCT owner FROM instances").unwrap();
    let mut names = owners.query_map((), |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
    names.all(|name| scene.owners().join(name).exists())
}

#[tokio::test]
async fn another_programs_database_keeps_its_mode_and_its_wal() {
    let scene = Scene::new();
    fs::create_dir(scene.path().parent().unwrap()).unwrap();
    let wal = format!("{}-wal", scene.path().display());
    {
        let connection = rusqlite::Connection::open(scene.path()).unwrap();
        let sql = "PRAGMA journal_mode = WAL; CREATE TABLE precious (x); INSERT INTO precious VALUES (1)";
        connection.execute_batch(sql).unwrap();
        // Left behind as by a program that was killed.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    }
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let read = || (fs::read(scene.path()).unwrap(), fs::read(&wal).unwrap());
    let before = read();
    let error = scene.client().registry.ping().await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(before.1.len() > 1000 && read() == before);
    assert_eq!(fs::metadata(scene.path()).unwrap().mode() & 0o777, 0o644);
    assert!(!scene.owners().exists());
}

#[tokio::test]
async fn an_empty_list_of_a_new_file_proves_nothing() {
    let scene = Scene::new();
    let client = scene.client();
    let _publication = client.publish("a", "1", TTL).await;
    let mut follow = client.follow("a").await;
    let before = client.registry.load("a", None).await.unwrap();
    fs::remove_file(scene.path()).unwrap();
    assert!(matches!(tokio::time::timeout(DEADLINE, follow.next()).await.unwrap().unwrap(), Update::Reload));
    let after = client.registry.load("a", Some(before.position)).await.unwrap();
    assert!(after.records.is_empty() && !after.proven && after.position.epoch != before.position.epoch);
    assert!(client.registry.load("a", Some(after.position)).await.unwrap().proven);
}

#[test]
fn the_source_names_the_file_whether_or_not_the_url_does() {
    let source = |url: &str| {
        let config = Config::new(Some(url), Options::new(), |_| None).unwrap();
        Local::new(&config, Arc::default(), Settings::default()).source().to_owned()
    };
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(source("local:"), format!("local:///tmp/callsheet-{uid}/registry.db"));
    assert_eq!(source("local:///run/a.db?ttl=5s"), "local:///run/a.db");
}

#[tokio::test]
async fn files_are_private_and_stay_so() {
    let scene = Scene::new();
    let client = scene.client();
    let _publication = client.publish("a", "1", TTL).await;
    let folder = scene.path().parent().unwrap().to_owned();
    let mut files = vec![];
    for folder in [&folder, &scene.owners()] {
        assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert!(files.len() > 4);
    for file in files.into_iter().filter(|path| path.is_file()) {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !is_root() {
        // Only root can make something another user's.
        return;
    }
    let scene = Scene::new();
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = scene.path().parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(1), Some(1)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    for uid in [None, Some(NOBODY)] {
        let mut child = Child::start_as(&scene.path(), How { uid, ..How::default() });
        let said = child.ask("ping");
        assert!(said.starts_with("error permission_denied") && said.contains("belongs to user 1"), "{said}");
        assert!(said.contains(folder.to_str().unwrap()), "{said}");
    }
    // The folder is ours, the file is not.
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(scene.path(), "").unwrap();
    let mut child = Child::start_as(&scene.path(), How { uid: Some(NOBODY), ..How::default() });
    let said = child.ask("ping");
    assert!(said.starts_with("error permission_denied") && said.contains("belongs to user 0"), "{said}");
}

#[tokio::test]
async fn closing_waits_for_those_who_follow_to_let_go() {
    let scene = Scene::new();
    let (client, other) = (scene.client(), scene.client());
    let follow = client.follow("billing").await;
    other.registry.ping().await.unwrap();
    other.registry.close().await;
    let mut closing = client.registry.close();
    assert!(tokio::time::timeout(Duration::ZERO, &mut closing).await.is_err(), "the files are in use");
    drop(follow);
    closing.await;
    // Whoever removes the folder now meets nobody who makes it anew.
    fs::remove_dir_all(scene.path().parent().unwrap()).unwrap();
}
