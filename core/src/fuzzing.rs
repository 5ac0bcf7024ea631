//! What the fuzzers in `fuzz/` call: one function for each kind of bytes that others send or write, which holds what comes
//! of them against what must be true of it. The inputs that are kept are replayed by a test.

/// A URL, options and an environment.
pub fn url(bytes: &[u8]) {
    crate::config::fuzz(bytes);
}

/// A key of etcd and its value.
#[cfg(feature = "etcd")]
pub fn etcd(bytes: &[u8]) {
    crate::registry::etcd::fuzz(bytes);
}

/// Answers of an agent of Consul.
#[cfg(feature = "consul")]
pub fn consul(bytes: &[u8]) {
    crate::registry::consul::fuzz(bytes);
}

/// A file of `static:`.
pub fn file(bytes: &[u8]) {
    crate::registry::static_file::fuzz(bytes);
}

/// A list saved on disk.
pub fn saved(bytes: &[u8]) {
    crate::cache::fuzz(bytes);
}

/// An answer of DNS, and one to a health probe.
pub fn answer(bytes: &[u8]) {
    #[cfg(feature = "dns")]
    crate::registry::dns::fuzz(bytes);
    crate::health::fuzz(bytes);
}

#[cfg(all(test, feature = "etcd", feature = "consul", feature = "dns"))]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 6] = [
        ("answer", super::answer),
        ("consul", super::consul),
        ("etcd", super::etcd),
        ("file", super::file),
        ("saved", super::saved),
        ("url", super::url),
    ];

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"))
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn names(folder: &Path) -> BTreeSet<String> {
        files(folder).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_was_fuzzed_before_still_holds() {
        let mut failed = Vec::new();
        for (name, target) in TARGETS {
            let inputs = files(&folder().join("corpus").join(name));
            assert!(inputs.len() > 5, "{name} has nothing to begin with");
            for input in inputs {
                let bytes = fs::read(&input).unwrap();
                if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                    failed.push(input);
                }
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn everything_that_is_fuzzed_is_replayed() {
        let known = TARGETS.map(|(name, _)| name.to_owned()).into();
        assert_eq!(names(&folder().join("fuzz_targets")), known);
        assert_eq!(names(&folder().join("corpus")), known);
    }
}
