//! Links the module as Node loads it: Node's own symbols are found when it is loaded.

fn main() {
    napi_build::setup();
}
