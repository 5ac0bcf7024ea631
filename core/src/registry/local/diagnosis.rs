//! What `local:` can tell of its file, its folder and its machine beyond whether it answers. Looks at paths only, since
//! opening and closing a file of the registry would drop SQLite's record locks; the inside is asked of the actor.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::request::{Examined, Read, Request};
use super::{Local, events, rows};
use crate::diagnosis::{Finding, bytes};
use crate::registry::Registry;
use crate::registry::local::place::Place;

/// Room below which the next burst of registrations may not fit.
const TOO_LITTLE: u64 = 1 << 20;
/// Room that somebody should hear of.
const LITTLE: u64 = 64 << 20;

pub(super) async fn of(local: &Local) -> Vec<Finding> {
    let place = local.place.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let mut findings = files(&place);
        findings.extend(machine(&place, events::available(&place)));
        findings
    });
    let mut findings = looked.await.unwrap_or_default();
    // What keeps the file from being opened at all, a ping says.
    if local.ping().await.is_ok() {
        let examined = match local.lease() {
            Ok(lease) => lease.ask(|reply| Request::Read(Read::Examine { reply })).await,
            Err(error) => Err(error),
        };
        match examined {
            Ok(examined) => findings.extend(inside(&local.place, &examined)),
            Err(error) => {
                let finding = Finding::ok("database", "writing", error.to_string());
                findings.push(finding.wrong("until that is mended, nothing can register"));
            }
        }
    }
    findings.push(boot(local.settings.clock.boot()));
    findings
}

fn files(place: &Place) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("file", "path", place.database().display().to_string())];
    for (name, path) in [("folder", place.folder()), ("owner files", &place.owners())] {
        findings.push(rights(name, path, "run this as the user who owns it, or name another path"));
    }
    let size = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.len()).ok();
    if let Some(database) = size(place.database()) {
        let found =
            rights("registry", place.database(), "make it writable for this user, or name another path");
        let wal = bytes(size(&place.wal()).unwrap_or(0));
        findings.push(Finding {
            value: format!("{}, {} and {wal} of WAL", found.value, bytes(database)),
            ..found
        });
    }
    findings.extend(room(place.folder()));
    findings
}

/// Whose something is, and whether this user may write there.
fn rights(name: &'static str, path: &Path, remedy: &str) -> Finding {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Finding::ok("file", name, format!("{} is not there", path.display()))
            .note("it is made by the first program that registers");
    };
    let found = Finding::ok("file", name, format!("mode {:04o}, user {}", meta.mode() & 0o7777, meta.uid()));
    match access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => found,
        Err(errno) => {
            let value = format!("{}, and can't be written by user {}: {errno}", found.value, uid());
            Finding { value, ..found }.wrong(remedy)
        }
    }
}

fn room(folder: &Path) -> Option<Finding> {
    let stat = statvfs(folder).ok()?;
    // Some file systems have no fixed number of files.
    let files = (stat.f_files > 0).then_some(stat.f_favail);
    let size = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(judged_room(size(stat.f_bavail), size(stat.f_blocks), files))
}

fn judged_room(free: u64, total: u64, files: Option<u64>) -> Finding {
    let found = Finding::ok("file", "room", format!("{} free of {}", bytes(free), bytes(total)));
    match (free, files) {
        (_, Some(0)) => Finding::ok("file", "room", "no free inodes")
            .wrong("delete some files there: nothing more can register"),
        (..TOO_LITTLE, _) => found.wrong("free space there: nothing more can register"),
        (..LITTLE, _) => found.note("free space there before it is used up"),
        _ => found,
    }
}

/// Whether changes are heard of by file events.
fn machine(place: &Place, available: bool) -> Option<Finding> {
    let limit = |name| fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    let (instances, watches) = (limit("max_user_instances"), limit("max_user_watches"));
    let limits = format!("{} instances and {} watches per user", instances.trim(), watches.trim());
    if available {
        return Some(Finding::ok("machine", "file events", format!("available; {limits}")));
    }
    // Without the file there is nothing to watch yet.
    fs::symlink_metadata(place.wal()).ok()?;
    let found =
        Finding::ok("machine", "file events", format!("none left, so changes are polled for; {limits}"));
    Some(found.note("raise fs.inotify.max_user_instances (`sysctl`), or end programs that use many"))
}

fn boot(id: &str) -> Finding {
    if id.is_empty() {
        return Finding::ok("machine", "boot", "the system names no boot")
            .note("after a restart of the machine, rows are removed because their owners are dead");
    }
    Finding::ok("machine", "boot", id)
}

fn inside(place: &Place, examined: &Examined) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(
        "database",
        "version",
        format!("SQLite {}, schema {}", rusqlite::version(), rows::SCHEMA),
    )];
    let check = Finding::ok("database", "integrity", examined.integrity.clone());
    findings.push(if examined.integrity == "ok" {
        check
    } else {
        let path = place.database().display();
        check.wrong(format!("move it away with its -wal and -shm files (`mv {path} {path}.corrupt`)"))
    });
    findings.push(Finding::ok("database", "writing", "the write lock was had"));
    let (owners, owned, others) = (examined.owners, examined.owned, examined.rows - examined.owned);
    let mut value = format!("{owned} instances of {owners} processes");
    if others > 0 {
        value += &format!(", {others} of other tools");
    }
    findings.push(Finding::ok("database", "owners", value));
    findings
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Level;

    #[test]
    fn room_that_runs_out_is_told_before_it_has() {
        let level = |free, files| judged_room(free, 1 << 40, files).level;
        assert_eq!(level(1 << 30, None), Level::Ok);
        assert_eq!(level(1 << 30, Some(1)), Level::Ok);
        assert_eq!(level(LITTLE - 1, None), Level::Note);
        assert_eq!(level(TOO_LITTLE - 1, None), Level::Wrong);
        assert_eq!(level(1 << 30, Some(0)), Level::Wrong);
    }

    #[test]
    fn polling_is_a_note_once_there_is_something_to_watch() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(Some(&folder.path().join("registry.db")));
        assert_eq!(machine(&place, false), None);
        fs::write(place.wal(), "").unwrap();
        assert_eq!(machine(&place, false).unwrap().level, Level::Note);
        assert_eq!(machine(&place, true).unwrap().level, Level::Ok);
    }

    #[test]
    fn what_is_not_there_yet_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rights("folder", &folder.path().join("none"), "").level, Level::Note);
        assert_eq!(rights("folder", folder.path(), "").level, Level::Ok);
    }
}
