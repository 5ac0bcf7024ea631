//! Runs the steps of a scenario in a process of its own: a step per line in, `ok` or what was wrong per line out. It ends
//! with its input, and closes nothing by itself.

use std::io::BufRead;
use std::path::Path;

use callsheet_conformance::{Registry, World};

fn main() {
    let url = std::env::args().nth(1).unwrap_or_default();
    let mut world = World::new(Registry::Known(url), Path::new("a-peer-has-no-peer"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let step = serde_json::from_str(&line).map_err(|error| error.to_string());
        let done = step.and_then(|step| runtime.block_on(world.step(&step)));
        println!("{}", done.map_or_else(|why| why.replace('\n', " "), |()| "ok".into()));
    }
    std::process::exit(0);
}
