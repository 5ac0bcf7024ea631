//! What a client shows while its registry can't be read: the last list, a saved one, a fallback's, and live again by itself.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use callsheet::{Builder, Code, Freshness, Instance, Snapshot};
use common::*;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

fn instance(port: u16) -> Instance {
    Instance::new("billing", "10.0.0.1", port)
}

fn shown(snapshot: &Snapshot) -> (Freshness, Vec<&str>) {
    (snapshot.freshness(), ids(snapshot))
}

fn cached(url: &str, folder: &Path) -> Builder {
    builder(url).cache_dir(folder.to_str().unwrap())
}

fn list(folder: &Path, text: &str) -> String {
    let path = folder.join("services.toml");
    fs::write(&path, text).unwrap();
    format!("static://{}", path.display())
}

const ONE: &str = "[[services.billing]]\naddress = \"10.9.9.9\"\nport = 9\n";

/// What a client leaves on disk that saw one instance live.
async fn saved(url: &str, folder: &Path) {
    let client = cached(url, folder).connect().unwrap();
    assert_eq!(shown(&client.lookup("billing").await.unwrap()), (Freshness::Live, vec!["10.0.0.1:1"]));
    client.close().await.unwrap();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with("lock@"));
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_saved_list_answers_a_start_while_the_registry_is_down() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    memory.put(instance(1)).unwrap();
    saved(&url, folder.path()).await;
    memory.unreachable(true);
    sleep(secs(3600)).await;
    let client = cached(&url, folder.path()).connect().unwrap();
    let found = client.lookup("billing").await.unwrap();
    assert_eq!(shown(&found), (Freshness::Disk, vec!["10.0.0.1:1"]));
    assert_eq!(found.source(), url);
    let watch = client.watch("billing").unwrap();
    let reason = until(&watch, |snapshot| snapshot.last_error().is_some()).await;
    assert_eq!(reason.last_error().unwrap().code(), Code::Unavailable);
    let stats = client.stats().unwrap();
    assert_eq!((stats.disk_services, stats.live_services, stats.disk_loads), (1, 0, 1));
    assert_eq!(*client.services().await.unwrap(), ["billing".to_owned()]);
    assert_eq!(client.lookup("nobody").await.unwrap_err().code(), Code::Unavailable);
    memory.unreachable(false);
    memory.put(instance(2)).unwrap();
    let live = until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    assert_eq!(ids(&live), ["10.0.0.1:1", "10.0.0.1:2"]);
    assert!(live.revision() > found.revision());
    assert_eq!(client.stats().unwrap().disk_services, 0);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_swallows_everything_is_not_waited_for() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    memory.put(instance(1)).unwrap();
    saved(&url, folder.path()).await;
    memory.slow(secs(3600));
    let began = Instant::now();
    let client = cached(&url, folder.path()).connect().unwrap();
    assert_eq!(client.lookup("billing").await.unwrap().freshness(), Freshness::Disk);
    assert!(began.elapsed() < Duration::from_millis(70), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn files_are_private_and_written_soon() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("not/there/yet");
    memory.put(instance(1)).unwrap();
    let client = cached(&url, &cache).connect().unwrap();
    client.lookup("billing").await.unwrap();
    sleep(secs(1)).await;
    let names = files(&cache);
    assert!(names.len() == 1 && names[0].starts_with("billing@"), "{names:?}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join(&names[0]))), (0o700, 0o600));
    let before = fs::read(cache.join(&names[0])).unwrap();
    memory.put(instance(2)).unwrap();
    sleep(secs(1)).await;
    assert_ne!(fs::read(cache.join(&names[0])).unwrap(), before);
    // What is not live is not saved.
    let before = fs::read(cache.join(&names[0])).unwrap();
    memory.unreachable(true);
    sleep(secs(1000)).await;
    client.close().await.unwrap();
    assert_eq!(fs::read(cache.join(&names[0])).unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_whole_is_set_aside() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    memory.put(instance(1)).unwrap();
    saved(&url, folder.path()).await;
    memory.unreachable(true);
    let path = folder.path().join(&files(folder.path())[0]);
    let whole = fs::read(&path).unwrap();
    let cut = [&b""[..], b"{}\n[]\n", b"\xff\x00", &whole[..whole.len() - 3]].map(<[u8]>::to_vec);
    let flipped = (0..whole.len()).step_by(7).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        bytes
    });
    for bytes in cut.into_iter().chain(flipped) {
        fs::write(&path, &bytes).unwrap();
        let client = cached(&url, folder.path()).connect().unwrap();
        let error =
            client.lookup("billing").await.expect_err(&format!("{:?}", String::from_utf8_lossy(&bytes)));
        assert_eq!(error.code(), Code::Unavailable);
        assert!(!path.exists() && path.with_extension("corrupt").exists());
        client.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_too_old_is_not_used() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    memory.put(instance(1)).unwrap();
    saved(&url, folder.path()).await;
    memory.unreachable(true);
    std::thread::sleep(Duration::from_millis(20));
    let client = cached(&url, folder.path()).cache_max_age(Duration::from_millis(10)).connect().unwrap();
    assert_eq!(client.lookup("billing").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn files_are_bounded() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    let client = cached(&url, folder.path()).cache_size(3).connect().unwrap();
    for number in 0..10 {
        let name = format!("s{number}");
        memory.put(Instance::new(&*name, "10.0.0.1", 1)).unwrap();
        client.lookup(&name).await.unwrap();
        sleep(secs(1)).await;
    }
    assert_eq!(files(folder.path()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_lost_its_data_does_not_empty_a_saved_list() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    memory.put(instance(1)).unwrap();
    saved(&url, folder.path()).await;
    memory.wipe();
    let client = cached(&url, folder.path()).connect().unwrap();
    memory.slow(Duration::from_millis(100));
    let watch = client.watch("billing").unwrap();
    assert_eq!(shown(&next(&watch).await), (Freshness::Disk, vec!["10.0.0.1:1"]));
    sleep(secs(1)).await;
    let held = client.lookup("billing").await.unwrap();
    assert_eq!(shown(&held), (Freshness::Disk, vec!["10.0.0.1:1"]));
    assert!(held.last_error().unwrap().message().contains("nothing proves it"));
    memory.put(instance(2)).unwrap();
    let live = until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    assert_eq!(ids(&live), ["10.0.0.1:2"]);
}

#[tokio::test(start_paused = true)]
async fn fallbacks_stand_in_for_a_registry_that_was_never_read() {
    let (url, memory) = registry();
    let (other, standing) = registry();
    let folder = TempDir::new().unwrap();
    let file = list(folder.path(), ONE);
    memory.unreachable(true);
    // The first can't be read, the second knows nothing, the third does.
    let client = builder(&url).fallback(["static:///nowhere.toml", &*other, &*file]).connect().unwrap();
    let found = client.lookup("billing").await.unwrap();
    assert_eq!(shown(&found), (Freshness::Fallback, vec!["10.9.9.9:9"]));
    assert_eq!(found.source(), file);
    assert_eq!(found.last_error().unwrap().code(), Code::Unavailable);
    assert_eq!(client.stats().unwrap().fallback_services, 1);
    assert_eq!(client.lookup("nobody").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(*client.services().await.unwrap(), ["billing".to_owned()]);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    // What it stands in for is followed, and the ones before it are asked again once it breaks.
    fs::write(folder.path().join("services.toml"), ONE.replace("10.9.9.9", "10.9.9.8")).unwrap();
    until(&watch, |snapshot| ids(snapshot) == ["10.9.9.8:9"]).await;
    standing.put(instance(7)).unwrap();
    fs::remove_file(folder.path().join("services.toml")).unwrap();
    until(&watch, |snapshot| ids(snapshot) == ["10.0.0.1:7"]).await;
    memory.unreachable(false);
    let live = until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    assert!(live.is_empty(), "what a fallback says proves nothing");
    // From now on its own last list is better than what others say.
    memory.put(instance(1)).unwrap();
    until(&watch, |snapshot| ids(snapshot) == ["10.0.0.1:1"]).await;
    memory.unreachable(true);
    let stale = until(&watch, |snapshot| snapshot.freshness() != Freshness::Live).await;
    assert_eq!(shown(&stale), (Freshness::Stale, vec!["10.0.0.1:1"]));
}

#[tokio::test(start_paused = true)]
async fn a_saved_list_comes_before_fallbacks() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    let file = list(folder.path(), ONE);
    let cache = folder.path().join("cache");
    memory.put(instance(1)).unwrap();
    saved(&url, &cache).await;
    memory.unreachable(true);
    let client = cached(&url, &cache).fallback([file]).connect().unwrap();
    assert_eq!(shown(&client.lookup("billing").await.unwrap()), (Freshness::Disk, vec!["10.0.0.1:1"]));
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    sleep(secs(60)).await;
    assert_eq!(client.stats().unwrap().fallback_loads, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_registry_leaves_a_lookup_time_for_fallbacks() {
    let (url, memory) = registry();
    let folder = TempDir::new().unwrap();
    let file = list(folder.path(), ONE);
    memory.slow(secs(3600));
    let client = builder(&url).fallback([file]).connect().unwrap();
    let found = client.lookup("billing").await.unwrap();
    assert_eq!(shown(&found), (Freshness::Fallback, vec!["10.9.9.9:9"]));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_spares_a_registry_that_is_down_and_all_are_back_at_once() {
    let (url, memory) = registry();
    let client = client(&url);
    memory.put(instance(1)).unwrap();
    let mut watches = Vec::new();
    for number in 0..50 {
        let watch = client.watch(&format!("s{number}")).unwrap();
        next(&watch).await;
        watches.push(watch);
    }
    memory.unreachable(true);
    for watch in &watches {
        until(watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    }
    sleep(secs(10)).await;
    let before = client.stats().unwrap();
    assert_eq!((before.breaker_open, before.breaker_opened, before.stale_services), (1, 1, 50));
    sleep(secs(600)).await;
    let after = client.stats().unwrap();
    let asked = after.load_failures - before.load_failures - (after.held_back - before.held_back);
    assert!((100..=620).contains(&asked), "{asked} requests in 600 s");
    memory.unreachable(false);
    let began = Instant::now();
    for watch in &watches {
        until(watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    }
    assert!(began.elapsed() <= secs(6), "{:?}", began.elapsed());
    assert_eq!(client.stats().unwrap().breaker_open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_refuses_many_is_asked_again_within_the_budget() {
    let (url, memory) = registry();
    let client = client(&url);
    memory.put(instance(1)).unwrap();
    let watches: Vec<_> = (0..200).map(|number| client.watch(&format!("s{number}")).unwrap()).collect();
    for watch in &watches {
        next(watch).await;
    }
    assert_eq!(client.stats().unwrap().retry_budget, 100);
    memory.refuse(true);
    for watch in &watches {
        until(watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    }
    sleep(secs(60)).await;
    let before = client.stats().unwrap();
    assert_eq!(before.breaker_open, 0, "a registry that refuses is one that answers");
    sleep(secs(600)).await;
    let after = client.stats().unwrap();
    let asked = after.load_failures - before.load_failures - (after.held_back - before.held_back);
    assert!((5000..=6100).contains(&asked), "{asked} requests in 600 s");
    memory.refuse(false);
    for watch in &watches {
        until(watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    }
}
