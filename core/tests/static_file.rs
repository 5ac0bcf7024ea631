//! `static:`, a list that people write.

mod common;

use std::fs;

use callsheet::{Code, Freshness, Policy, Registration};
use common::*;
use tempfile::TempDir;

const TWO: &str = r#"{"services": {
  "billing": [{"address": "10.0.0.1", "port": 1}, {"address": "10.0.0.2", "port": 2, "zone": "b"}],
  "empty": []
}}"#;

struct Scene {
    folder: TempDir,
    url: String,
}

impl Scene {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("list.json"), text).unwrap();
        let url = format!("static://{}/list.json", folder.path().display());
        Scene { folder, url }
    }

    /// As editors do: another file takes its place.
    fn edit(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.path().join("list.json")).unwrap();
    }
}

#[tokio::test]
async fn a_file_is_a_registry() {
    let scene = Scene::new(TWO);
    let client = client(&scene.url);
    client.ping().await.unwrap();
    let found = client.lookup("billing").await.unwrap();
    assert_eq!((found.freshness(), ids(&found)), (Freshness::Live, vec!["10.0.0.1:1", "10.0.0.2:2"]));
    assert_eq!(found.instances()[1].zone, "b");
    assert!(client.lookup("nobody").await.unwrap().is_empty());
    assert_eq!(*client.services().await.unwrap(), ["billing".to_owned()]);
    assert!(client.picker("billing", Policy::P2c).await.unwrap().pick().is_ok());
    let findings = client.diagnose().await.unwrap();
    let values: Vec<_> = findings.iter().map(|finding| &*finding.value).collect();
    assert_eq!(values, ["JSON", "2", "2"]);
}

#[tokio::test]
async fn an_edit_is_seen_and_one_that_is_wrong_keeps_what_was_there() {
    let scene = Scene::new(TWO);
    let client = client(&scene.url);
    let watch = client.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 2);
    scene.edit("{\"services\": {\"billing\": [\n{\"address\": \"10.0.0.3\", \"prot\": 3}]}}");
    let kept = until(&watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    assert_eq!(kept.len(), 2);
    let why = kept.last_error().unwrap();
    assert!(why.code() == Code::Protocol && why.message().contains("line 2: unknown field `prot`"), "{why}");
    scene.edit("{\"services\": {\"billing\": [{\"address\": \"10.0.0.3\", \"port\": 3}]}}");
    let right = until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    assert_eq!(ids(&right), ["10.0.0.3:3"]);
    fs::remove_file(scene.folder.path().join("list.json")).unwrap();
    let gone = until(&watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    assert_eq!(ids(&gone), ["10.0.0.3:3"]);
    assert!(gone.last_error().unwrap().message().contains("there is no such file"));
    // Written in place, and none any more: what a person writes is believed.
    fs::write(scene.folder.path().join("list.json"), "{\"services\": {}}").unwrap();
    assert!(until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await.is_empty());
}

#[tokio::test]
async fn names_are_followed_too() {
    let scene = Scene::new(TWO);
    let client = client(&scene.url);
    let names = client.watch_services().unwrap();
    assert_eq!(*names.next().await.unwrap(), ["billing".to_owned()]);
    scene.edit(&TWO.replace("\"empty\": []", "\"audit\": [{\"address\": \"h\", \"port\": 1}]"));
    assert_eq!(*names.next().await.unwrap(), ["audit".to_owned(), "billing".to_owned()]);
}

#[tokio::test]
async fn nothing_can_be_registered_there() {
    let scene = Scene::new(TWO);
    let client = client(&scene.url);
    for registration in [Registration::new("a").port(1), Registration::new("a").port(1).address("10.0.0.1")] {
        let error = client.register(registration).await.unwrap_err();
        assert!(
            error.code() == Code::InvalidArgument && error.message().contains("edit the file"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_no_list_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let long = vec![b' '; 17 << 20];
    fs::write(folder.path().join("long.json"), long).unwrap();
    fs::write(folder.path().join("bytes.json"), b"\xff").unwrap();
    fs::create_dir(folder.path().join("folder.json")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe.json"), rustix::fs::Mode::RUSR).unwrap();
    for (name, why) in [
        ("none", "write it, or mend the path"),
        ("long", "use a registry for so many"),
        ("bytes", "save it as UTF-8"),
        ("folder", "it is no file"),
        ("pipe", "it is no file"),
    ] {
        let client = client(&format!("static://{}/{name}.json", folder.path().display()));
        let error = client.lookup("billing").await.unwrap_err();
        let ping = client.ping().await.unwrap_err();
        assert!(error.code() == Code::Unavailable && ping.message().contains(why), "{ping}");
    }
    for url in ["static:", "static://a.toml", "static:///a", "static:///a.yaml", "static://h/../a.json"] {
        assert_eq!(builder(url).connect().unwrap_err().code(), Code::Config, "{url}");
    }
}
