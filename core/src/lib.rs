//! callsheet: service discovery with one core for every language.
//!
//! A program says who it is and where it can be reached; others find it, follow changes and pick an instance to call.
//! The registry behind it is chosen by the URL alone.
//!
//! A provider:
//!
//! ```
//! # callsheet::block_on(async {
//! use std::time::Duration;
//! use callsheet::{Client, Registration, State};
//!
//! let client = Client::connect("memory:doc-provider")?;
//! let registration = client.register(Registration::new("billing").port(8080)).await?;
//! registration.wait(State::Registered, Duration::from_secs(5)).await?;
//! client.close().await?; // withdraws what this client registered
//! # Ok::<(), callsheet::Error>(()) }).unwrap();
//! ```
//!
//! A consumer:
//!
//! ```
//! # callsheet::block_on(async {
//! # use callsheet::{Client, Policy, Registration};
//! # let client = Client::connect("memory:doc-consumer")?;
//! # client.register(Registration::new("billing").port(8080)).await?;
//! for instance in client.lookup("billing").await?.iter() {
//!     println!("{} {}", instance.id, instance.url());
//! }
//! let picker = client.picker("billing", Policy::P2c).await?;
//! let pick = picker.pick()?;
//! println!("calling {}", pick.url());
//! pick.done(true);
//! # Ok::<(), callsheet::Error>(()) }).unwrap();
//! ```
//!
//! Everything asynchronous may be awaited on any executor; [`block_on`] and [`blocking`] serve programs without one.

mod backoff;
mod balance;
pub mod blocking;
mod breaker;
mod budget;
mod builder;
mod cache;
mod callbacks;
#[cfg(any(feature = "consul", feature = "etcd"))]
mod certificate;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod codec;
mod config;
#[cfg(unix)]
mod descriptor;
mod diagnosis;
mod dispatcher;
mod error;
mod filter;
mod fork;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod instance;
mod log;
mod outbox;
mod registration;
mod registry;
mod runtime;
mod signals;
mod slot;
mod snapshot;
mod stats;
mod sync;
#[cfg(any(feature = "consul", feature = "etcd"))]
mod tls;
mod watch;

pub use balance::{CallError, Ejection, Outcome, Pick, Picker, PickerOptions, Policy, is_connect_failure};
pub use builder::Builder;
pub use callbacks::Subscription;
pub use client::Client;
pub use config::{MAX_TTL, MIN_TTL, OptionValue, Options};
pub use error::{Code, Error, Result};
pub use filter::Filter;
pub use health::Check;
pub use instance::{Instance, Status};
pub use registration::{Changeset, Registration, RegistrationHandle, State, StateChange, States};
pub use runtime::block_on;
pub use snapshot::{Changes, Freshness, Snapshot};
pub use stats::Stats;
pub use watch::{NamesWatch, Watch};

/// The registry `memory:` from outside, for tests.
pub mod memory {
    pub use crate::registry::memory::Memory;
}

/// The policies in simulated time. No part of the API.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation {
    pub use crate::balance::simulation::{SimulatedPicker, seed};
}

/// The limits of what a program may publish, the same on every registry.
pub mod limits {
    pub use crate::instance::{
        MAX_ADDRESS, MAX_ID, MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE, MAX_SERVICE, MAX_TAG,
        MAX_TAGS, MAX_WEIGHT,
    };
}

/// What a binding to another language is made of, besides the API itself. Rust programs have no use for it.
pub mod host {
    pub use crate::balance::{Outstanding, PICK_EXPIRY, Ticket, Untaken};
    pub use crate::config::{count, seconds};
    #[cfg(unix)]
    pub use crate::descriptor::Descriptor;
    pub use crate::diagnosis::{Finding, Level};
    pub use crate::dispatcher::{Dispatcher, Event, Job, Source};
    pub use crate::fork::{Owned, PerProcess};
    pub use crate::instance::{check_port, check_weight, converted};
    pub use crate::log::{LogLine, capture, dropped_lines, next_line, poll_next_line};
    pub use crate::outbox::{Call, Outbox};
    pub use crate::runtime::{block_on_interruptible, block_on_within, leave_signals_to_the_host};
}

/// Runs what a guide says in Rust.
#[cfg(doctest)]
#[doc = include_str!("../../docs/balancing.md")]
struct Guide;
