//! Runs the scenarios of `tests/conformance/scenarios` against the Rust API. It only translates: what each verb means is
//! written in `tests/conformance/README.md`, and the same files are run by every other language.

mod args;
mod callback;
mod compare;
mod health;
mod listener;
mod peer;
mod registry;
mod scenario;
mod verbs;
mod world;

pub use registry::{Registries, Registry};
pub use scenario::{Scenario, Skips, names, scenarios};
pub use world::World;
