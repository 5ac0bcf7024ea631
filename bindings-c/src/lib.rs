//! libcallsheet: the core's nouns for C, one file each. It turns pointers into references, calls the core, and turns the
//! answer into a code and an out pointer; what is decided is decided in the core.
//!
//! The header is made of this crate by `cargo run -p callsheet-header`, its conventions by `cbindgen.toml`.

// The names are the header's.
#![allow(non_camel_case_types)]

pub mod balance;
mod boundary;
pub mod call;
pub mod callbacks;
pub mod changes;
pub mod client;
pub mod connect;
pub mod error;
pub mod events;
mod feed;
pub mod filter;
pub mod instance;
pub mod log;
pub mod mark;
pub mod memory;
pub mod names;
pub mod options;
pub mod pick;
pub mod picker;
pub mod registration;
pub mod snapshot;
pub mod specification;
pub mod states;
pub mod stats;
pub mod version;
pub mod watch;
