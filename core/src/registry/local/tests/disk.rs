//! Disks that take nothing (more): what is stored stays, readers go on, and the error says what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use super::child::{Child, How, NOBODY, is_root};
use super::*;

/// A mount of one's own, which goes with the process that made it.
const OWN_MOUNTS: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];

fn can_mount() -> bool {
    let can = Command::new(OWN_MOUNTS[0])
        .args(&OWN_MOUNTS[1..])
        .args(["sh", "-c", "mount -t tmpfs none /mnt"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !can {
        println!("no mount namespaces here: the tests on real full and read-only disks can't run");
    }
    can
}

/// The user that permissions count for.
fn unprivileged(scene: &Scene) -> Option<u32> {
    if !is_root() {
        return None;
    }
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Some(NOBODY)
}

#[test]
fn a_folder_without_the_right_to_write_is_named() {
    let scene = Scene::new();
    let uid = unprivileged(&scene);
    let folder = scene.path().parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    chown(&folder, uid, uid).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let mut child = Child::start_as(&scene.path(), How { uid, ..How::default() });
    let said = child.ask("ping");
    assert!(said.starts_with("error permission_denied") && said.contains(folder.to_str().unwrap()), "{said}");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    eventually("it recovers", || child.ask("ping") == "ok");
    // The same of the file.
    child.end();
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o400)).unwrap();
    let mut child = Child::start_as(&scene.path(), How { uid, ..How::default() });
    let said = child.ask("ping");
    assert!(said.starts_with("error") && said.contains(scene.path().to_str().unwrap()), "{said}");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o600)).unwrap();
    eventually("it recovers", || child.ask("ping") == "ok");
}

#[test]
fn a_read_only_disk_is_named() {
    if !can_mount() {
        return;
    }
    let how = How {
        under: OWN_MOUNTS,
        before: "mount -t tmpfs none /mnt && mkdir -m 700 /mnt/callsheet && mount -o remount,ro /mnt",
        ..How::default()
    };
    let mut child = Child::start_as(Path::new("/mnt/callsheet/registry.db"), how);
    let said = child.ask("ping");
    assert!(said.starts_with("error unavailable") && said.contains("read-only"), "{said}");
    assert!(said.contains("/mnt/callsheet"), "{said}");
}

/// Publishes until the disk says no, and looks whether what was accepted is still there.
fn fill(mut child: Child, path: &str) {
    let mut accepted = vec![];
    let said = loop {
        let id = format!("{:04}", accepted.len());
        match child.ask(&format!("publish a {id} 1000")).as_str() {
            "registered" => accepted.push(id),
            said => break said.to_owned(),
        }
        assert!(accepted.len() < 5000, "it never got full");
    };
    assert!(said.starts_with("error unavailable") && said.contains("full") && said.contains(path), "{said}");
    assert!(!accepted.is_empty());
    // Long enough for every lease to run out, had it not been renewed on the full disk.
    std::thread::sleep(Duration::from_millis(2500));
    child.say("load a");
    let list = loop {
        let said = child.hear();
        assert_ne!(said, "gone", "a full disk lost an instance");
        if said.starts_with("ids ") {
            break said;
        }
    };
    assert_eq!(list, format!("ids {}", accepted.join(" ")));
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    if !can_mount() {
        return;
    }
    let how = How {
        under: OWN_MOUNTS,
        before: "mount -t tmpfs -o size=512k none /mnt && mkdir -m 700 /mnt/callsheet",
        ..How::default()
    };
    fill(Child::start_as(Path::new("/mnt/callsheet/registry.db"), how), "/mnt/callsheet/registry.db");
}

#[test]
fn a_size_limit_is_named_and_loses_nothing() {
    let scene = Scene::new();
    let how = How { before: "trap '' XFSZ; ulimit -f 400", ..How::default() };
    fill(Child::start_as(&scene.path(), how), scene.path().to_str().unwrap());
}

#[test]
fn a_disk_that_is_full_from_the_start_is_named() {
    let scene = Scene::new();
    let how = How { before: "trap '' XFSZ; ulimit -f 8", ..How::default() };
    let mut child = Child::start_as(&scene.path(), how);
    let said = child.ask("ping");
    assert!(said.starts_with("error unavailable") && said.contains("full"), "{said}");
    assert!(!scene.path().exists(), "no half of a file is left");
    let mut other = Child::start(&scene.path());
    assert_eq!(other.ask("ping"), "ok");
}
