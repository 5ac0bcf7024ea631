//! The binary `callsheet`: what it prints, how it ends, and what it does to programs, signals and terminals. Every
//! test has a registry of its own, a `local:` file in a temporary folder.

mod list;
mod pick;
mod program;
mod register;
mod run;
#[cfg(target_os = "linux")]
mod terminal;
mod usage;
mod watch;
