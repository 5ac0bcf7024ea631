//! Runs the scenarios of `tests/conformance/scenarios` against the Rust API. It only translates: what each verb means is
//! written in `tests/conformance/README.md`, and the same files are run by every other language.

mod args;
mod callback;
mod compare;
mod listener;
mod peer;
mod scenario;
mod verbs;
mod world;

pub use scenario::{Scenario, Skips, scenarios, templates};
pub use world::World;
