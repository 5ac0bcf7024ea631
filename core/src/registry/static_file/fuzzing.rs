//! What holds for whatever a person writes into a file of services. The input is the file, read as TOML and as JSON.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::list::{List, parse};
use crate::instance::Instance;

pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for name in ["a.toml", "a.json"] {
        match parse(Path::new(name), text) {
            Ok(list) => check(&list),
            Err(why) => points_at_a_line(&why, text),
        }
    }
}

fn check(list: &List) {
    for (service, instances) in list {
        let ids: BTreeSet<_> = instances.iter().map(|instance| &instance.id).collect();
        assert_eq!(ids.len(), instances.len(), "an id is there once");
        for instance in instances {
            assert_eq!(instance.service, *service);
            instance.validate().unwrap();
        }
    }
    let again = json!({ "services": list.iter().map(|(name, all)| (name.clone(), written(all))).collect::<serde_json::Map<_, _>>() });
    assert_eq!(parse(Path::new("a.json"), &again.to_string()).as_ref(), Ok(list));
}

fn written(instances: &[Instance]) -> Value {
    let one = |instance: &Instance| {
        json!({
            "address": instance.address, "port": instance.port, "id": instance.id, "scheme": instance.scheme,
            "tags": instance.tags, "metadata": instance.metadata, "weight": instance.weight, "zone": instance.zone,
            "version": instance.version, "status": instance.status,
        })
    };
    instances.iter().map(one).collect()
}

fn points_at_a_line(why: &str, text: &str) {
    if why.starts_with("service ") {
        return;
    }
    let line = why.strip_prefix("line ").and_then(|rest| rest.split_once(':')).map(|(line, _)| line);
    let line: usize = line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no line: {why}"));
    assert!((1..=text.split('\n').count()).contains(&line), "{why}");
}
