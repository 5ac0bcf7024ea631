//! Writes `bindings-c/include/callsheet.h`, made of the exports of callsheet-c: `cargo run -p callsheet-header`. Its test
//! fails when the file that is committed is another one.

use std::error::Error;
use std::path::{Path, PathBuf};

fn crate_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn header() -> Result<String, Box<dyn Error>> {
    let folder = crate_folder();
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))?;
    let bindings = cbindgen::Builder::new().with_config(config).with_crate(folder).generate()?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    Ok(String::from_utf8(text)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(crate_folder().join("include/callsheet.h"), header()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_that_of_the_exports() {
        let committed = std::fs::read_to_string(crate_folder().join("include/callsheet.h")).unwrap();
        assert!(header().unwrap() == committed, "the header is stale: run `cargo run -p callsheet-header`");
    }
}
