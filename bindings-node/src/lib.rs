//! The native module under the npm package: the core's types as its JavaScript sees them, one file per noun. It
//! converts, it begins what takes time, it wakes the event loop; what needs a promise or an iterator is in `lib/*.js`.

// What `#[napi]` generates is public inside of private modules.
#![allow(unreachable_pub, missing_docs)]

mod answer;
mod balance;
mod check;
mod cli;
mod client;
mod error;
mod feed;
mod filter;
mod host;
mod instance;
mod log;
mod memory;
mod picker;
mod registration;
mod snapshot;
