//! The format of `pick`: text with fields of an instance in braces, checked before anything is asked of a registry.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::instance::{Instance, quoted};

#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

type Field = fn(&Instance) -> String;

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Field(Field),
    Metadata(String),
}

/// Every field but `metadata.KEY`.
const FIELDS: [(&str, Field); 12] = [
    ("id", |instance| instance.id.clone()),
    ("service", |instance| instance.service.clone()),
    ("address", |instance| instance.address.clone()),
    ("port", |instance| instance.port.to_string()),
    ("authority", Instance::authority),
    ("url", Instance::url),
    ("scheme", |instance| instance.scheme.clone()),
    ("zone", |instance| instance.zone.clone()),
    ("version", |instance| instance.version.clone()),
    ("weight", |instance| instance.weight.to_string()),
    ("status", |instance| instance.status.to_string()),
    ("tags", |instance| instance.tags.join(",")),
];

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push(c);
                rest = &rest[2..];
            } else if c == '{' {
                let Some(end) = rest.find('}') else {
                    return Err(Error::invalid(format!(
                        "{} is never closed; for a brace itself write {{{{",
                        quoted(rest)
                    )));
                };
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(Part::field(&rest[1..end])?);
                rest = &rest[end + 1..];
            } else if c == '}' {
                return Err(Error::invalid("a } closes nothing; for a brace itself write }}"));
            } else {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        parts.push(Part::Text(literal));
        Ok(Template(parts))
    }
}

impl Part {
    fn field(name: &str) -> Result<Self> {
        if let Some(key) = name.strip_prefix("metadata.").filter(|key| !key.is_empty()) {
            return Ok(Part::Metadata(key.to_owned()));
        }
        match FIELDS.iter().find(|(known, _)| *known == name) {
            Some((_, field)) => Ok(Part::Field(*field)),
            None => {
                let known: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
                Err(Error::invalid(format!(
                    "there is no field {}; known are {}, metadata.KEY",
                    quoted(name),
                    known.join(", ")
                )))
            }
        }
    }
}

impl Template {
    /// The text for one instance. Metadata that it does not have is empty.
    pub(super) fn fill(&self, instance: &Instance) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field(instance),
            Part::Metadata(key) => instance.metadata.get(key).cloned().unwrap_or_default(),
        };
        self.0.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> String {
        let mut instance = Instance::new("billing", "::1", 80);
        instance.metadata.insert("team".into(), "pay".into());
        instance.tags = vec!["a".into(), "b".into()];
        template.parse::<Template>().unwrap().fill(&instance)
    }

    #[test]
    fn every_field_is_filled_in() {
        assert_eq!(
            filled("{id} {service} {address} {port} {authority} {url} {scheme} {weight} {status} {tags}"),
            "[::1]:80 billing ::1 80 [::1]:80 http://[::1]:80 http 1 passing a,b"
        );
        assert_eq!(filled("<{zone}{version}{metadata.none}> {metadata.team}ü"), "<> payü");
        assert_eq!(filled("{{{port}}}"), "{80}");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn mistakes_name_what_is_known() {
        for bad in ["{", "}", "{port", "{}", "{prot}", "{metadata.}", "{ port }"] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
        let error = "{prot}".parse::<Template>().unwrap_err().to_string();
        assert!(
            error.contains("\"prot\"") && error.contains("port") && error.contains("metadata.KEY"),
            "{error}"
        );
    }
}
