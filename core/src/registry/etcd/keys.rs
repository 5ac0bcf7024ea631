//! Where things are: `{prefix}{service}/{id}`. A service is read with its trailing slash, so that `a` never sees `ab`.

use crate::instance::{check_id, check_service};

#[derive(Debug)]
pub(super) struct Keys {
    /// Ends in `/`.
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Keys { prefix: prefix.to_owned() }
    }

    /// What all keys begin with.
    pub(super) fn all(&self) -> &str {
        &self.prefix
    }

    /// What the keys of one service begin with.
    pub(super) fn service(&self, service: &str) -> String {
        format!("{}{service}/", self.prefix)
    }

    pub(super) fn instance(&self, service: &str, id: &str) -> String {
        format!("{}{service}/{id}", self.prefix)
    }

    /// Which service and id a key is of, if it can be one of callsheet's.
    pub(super) fn split<'a>(&self, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let (service, id) = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?.split_once('/')?;
        (check_service(service).is_ok() && check_id(id).is_ok()).then_some((service, id))
    }
}

/// The end of the range of all keys that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // Everything from there on.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_apart_as_they_were_made() {
        let keys = Keys::new("/services/");
        let key = keys.instance("a.b", "10.0.0.1:80~ab");
        assert_eq!(keys.split(key.as_bytes()), Some(("a.b", "10.0.0.1:80~ab")));
        assert!(key.starts_with(&keys.service("a.b")) && !key.starts_with(&keys.service("a")));
        for foreign in
            ["/services/a", "/services/a/", "/services//x", "/services/a/b/c", "/other/a/b", "/services/-/x"]
        {
            assert_eq!(keys.split(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(keys.split(b"/services/a/\xff"), None);
    }

    #[test]
    fn ranges_end_right_after_their_prefix() {
        assert_eq!(end_of(b"a/"), b"a0");
        assert_eq!(end_of(b"a\xff"), b"b");
        assert_eq!(end_of(b"\xff"), b"\0");
    }
}
