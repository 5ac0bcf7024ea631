//! What stands in a file of services: `{"services": {"billing": [{"address": "10.0.0.1", "port": 8080}]}}` in JSON, or the same
//! in TOML. A person writes it, so everything in it is checked, and what is wrong is told with its line.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use crate::instance::{Instance, Status, check_port, check_service, check_weight, quoted};

/// The instances of each service.
pub(super) type List = BTreeMap<String, Vec<Instance>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    services: BTreeMap<Name, Vec<Entry>>,
}

/// The name of a service, checked.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        check_service(&name).map_err(|error| error.message().to_owned())?;
        Ok(Name(name))
    }
}

/// One instance, checked but for its service, which stands elsewhere.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Entry(Instance);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    address: String,
    port: i64,
    id: Option<String>,
    scheme: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    weight: Option<i64>,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    status: Status,
}

impl TryFrom<Written> for Entry {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let said = |error: crate::error::Error| error.message().to_owned();
        // Any name will do until the real one is put in.
        let mut instance = Instance::new("a", written.address, check_port(written.port).map_err(said)?);
        if let Some(id) = written.id {
            instance.id = id;
        }
        if let Some(scheme) = written.scheme {
            instance.scheme = scheme;
        }
        if let Some(weight) = written.weight {
            instance.weight = check_weight(weight).map_err(said)?;
        }
        instance.tags = written.tags;
        instance.metadata = written.metadata;
        instance.zone = written.zone;
        instance.version = written.version;
        instance.status = written.status;
        instance.validate().map_err(said)?;
        Ok(Entry(instance))
    }
}

/// Reads the text of a file whose name ends in `.toml` or `.json`; what is wrong is told with its line.
pub(super) fn parse(path: &Path, text: &str) -> Result<List, String> {
    let file: File = match is_toml(path) {
        true => toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })?,
        false => serde_json::from_str(text).map_err(|error| {
            let said = error.to_string();
            let what = said.rsplit_once(" at line ").map_or(&*said, |(what, _)| what);
            format!("line {}: {what}", error.line())
        })?,
    };
    file.services
        .into_iter()
        .map(|(Name(name), entries)| Ok((name.clone(), named(&name, entries)?)))
        .collect()
}

fn named(service: &str, entries: Vec<Entry>) -> Result<Vec<Instance>, String> {
    let mut seen = HashSet::new();
    for Entry(instance) in &entries {
        if !seen.insert(&instance.id) {
            return Err(format!(
                "service {service:?} has two instances with the id {}",
                quoted(&instance.id)
            ));
        }
    }
    let put = |Entry(mut instance)| {
        service.clone_into(&mut instance.service);
        instance
    };
    Ok(entries.into_iter().map(put).collect())
}

/// Whether a file is TOML; all else is JSON.
pub(crate) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Result<List, String> {
        parse(Path::new("a.toml"), text)
    }

    fn json(text: &str) -> Result<List, String> {
        parse(Path::new("a.json"), text)
    }

    #[test]
    fn the_same_list_in_both() {
        let table = toml(
            "[[services.billing]]\naddress = \"10.0.0.1\"\nport = 8080\nweight = 3\ntags = [\"v2\"]\n\
             metadata = { team = \"pay\" }\n[[services.billing]]\naddress = \"::1\"\nport = 81\nid = \"b\"\nscheme = \"grpc\"\n\
             zone = \"z\"\nversion = \"2\"\nstatus = \"draining\"\n",
        );
        let object = json(
            r#"{"services": {"billing": [
                {"address": "10.0.0.1", "port": 8080, "weight": 3, "tags": ["v2"], "metadata": {"team": "pay"}},
                {"address": "::1", "port": 81, "id": "b", "scheme": "grpc", "zone": "z", "version": "2",
                 "status": "draining"}]}}"#,
        );
        let list = table.unwrap();
        assert_eq!(list, object.unwrap());
        let ids: Vec<_> = list["billing"].iter().map(|one| (&*one.id, &*one.service, one.weight)).collect();
        assert_eq!(ids, [("10.0.0.1:8080", "billing", 3), ("b", "billing", 1)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (wrong, line, why) in [
            ("[[services.billing]]\naddress = \"h\"\nport = 0\n", "line 1", "port 0 is not allowed"),
            ("[[services.billing]]\naddress = \"h\"\nport = \n", "line 3", ""),
            (
                "[[services.billing]]\naddress = \"h\"\nport = 1\n\n[[services.billing]]\nport = 2\n",
                "line 5",
                "missing field",
            ),
            ("[[services.billing]]\naddress = \"h\"\nport = 1\nprot = 2\n", "line 4", "unknown field `prot`"),
            (
                "[[services.\"a/b\"]]\naddress = \"h\"\nport = 1\n",
                "line 1",
                "service name \"a/b\" is not allowed",
            ),
            ("[service]\n", "line 1", "unknown field `service`"),
        ] {
            let said = toml(wrong).unwrap_err();
            assert!(said.starts_with(line) && said.contains(why), "{wrong:?}: {said}");
        }
        for (wrong, line, why) in [
            (
                "{\"services\": {\n\"a\": [\n{\"address\": \"h\", \"port\": 70000}]}}",
                "line 3",
                "port 70000 is not allowed",
            ),
            ("{\"services\": {\n\"a\": [}]}}", "line 2", "expected value"),
            ("", "line 1", "EOF"),
            (
                "{\"services\": {\"a\": [{\"address\": \"h\", \"port\": 1, \"weight\": 0}]}}",
                "line 1",
                "weight 0",
            ),
            ("[]", "line 1", ""),
        ] {
            let said = json(wrong).unwrap_err();
            assert!(said.starts_with(line) && said.contains(why), "{wrong:?}: {said}");
        }
        let twice = r#"{"services": {"a": [{"address": "h", "port": 1}, {"address": "h", "port": 1}]}}"#;
        assert!(json(twice).unwrap_err().contains("two instances with the id \"h:1\""));
    }

    #[test]
    fn nothing_is_a_list_too() {
        assert!(json(r#"{"services": {}}"#).unwrap().is_empty());
        assert!(toml("[services]\nbilling = []\n").unwrap()["billing"].is_empty());
    }
}
