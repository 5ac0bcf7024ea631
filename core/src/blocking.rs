//! The API for programs without an executor: the same nouns and verbs, blocking the calling thread.
//!
//! ```
//! use std::time::Duration;
//! use callsheet::{Policy, Registration, blocking};
//!
//! let client = blocking::Client::connect("memory:doc-blocking")?;
//! let registration = client.register(Registration::new("billing").port(8080))?;
//! for instance in client.lookup("billing")?.iter() {
//!     println!("{}", instance.id);
//! }
//! let picker = client.picker("billing", Policy::RoundRobin)?;
//! picker.pick()?.done(true);
//! client.close()?;
//! # Ok::<(), callsheet::Error>(())
//! ```
//!
//! Not for use inside a task of an executor: a blocked task holds up its thread.

use std::sync::Arc;
use std::time::Duration;

use crate::balance::{Picker, PickerOptions, Policy};
use crate::error::Result;
use crate::filter::Filter;
use crate::instance::Status;
use crate::registration::{self, Changeset, State};
use crate::runtime::block_on;
use crate::snapshot::Snapshot;
use crate::{stats::Stats, watch};

/// [`crate::Client`], blocking. [`Client::inner`] is the same client for everything that does not wait.
#[derive(Clone, Debug)]
pub struct Client(crate::Client);

impl From<crate::Client> for Client {
    fn from(client: crate::Client) -> Self {
        Client(client)
    }
}

impl Client {
    /// See [`crate::Client::connect`].
    ///
    /// # Errors
    /// `config`.
    pub fn connect(url: &str) -> Result<Self> {
        crate::Client::connect(url).map(Client)
    }

    /// The client itself.
    pub fn inner(&self) -> &crate::Client {
        &self.0
    }

    /// See [`crate::Client::register`].
    ///
    /// # Errors
    /// As there.
    pub fn register(&self, registration: registration::Registration) -> Result<Registration> {
        block_on(self.0.register(registration)).map(Registration)
    }

    /// See [`crate::Client::deregister`].
    ///
    /// # Errors
    /// As there.
    pub fn deregister(&self, id: &str) -> Result<()> {
        block_on(self.0.deregister(id))
    }

    /// See [`crate::Client::lookup`].
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, service: &str) -> Result<Snapshot> {
        block_on(self.0.lookup(service))
    }

    /// See [`crate::Client::lookup_with`].
    ///
    /// # Errors
    /// As there.
    pub fn lookup_with(&self, service: &str, filter: &Filter) -> Result<Snapshot> {
        block_on(self.0.lookup_with(service, filter))
    }

    /// See [`crate::Client::watch`]; an iterator that blocks until the next snapshot.
    ///
    /// # Errors
    /// As there.
    pub fn watch(&self, service: &str) -> Result<Watch> {
        self.0.watch(service).map(Watch)
    }

    /// See [`crate::Client::wait_for`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for(&self, service: &str, count: usize, timeout: Duration) -> Result<Snapshot> {
        block_on(self.0.wait_for(service, count, timeout))
    }

    /// See [`crate::Client::services`].
    ///
    /// # Errors
    /// As there.
    pub fn services(&self) -> Result<Arc<[String]>> {
        block_on(self.0.services())
    }

    /// See [`crate::Client::picker`].
    ///
    /// # Errors
    /// As there.
    pub fn picker(&self, service: &str, policy: Policy) -> Result<Picker> {
        block_on(self.0.picker(service, policy))
    }

    /// See [`crate::Client::open_picker`].
    ///
    /// # Errors
    /// As there.
    pub fn open_picker(&self, service: &str, options: PickerOptions) -> Result<Picker> {
        block_on(self.0.open_picker(service, options))
    }

    /// See [`crate::Client::ping`].
    ///
    /// # Errors
    /// As there.
    pub fn ping(&self) -> Result<()> {
        block_on(self.0.ping())
    }

    /// See [`crate::Client::stats`].
    ///
    /// # Errors
    /// As there.
    pub fn stats(&self) -> Result<Stats> {
        self.0.stats()
    }

    /// See [`crate::Client::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close())
    }
}

/// [`crate::RegistrationHandle`], blocking.
#[derive(Clone, Debug)]
pub struct Registration(registration::RegistrationHandle);

impl Registration {
    /// The handle itself, for everything that does not wait.
    pub fn inner(&self) -> &registration::RegistrationHandle {
        &self.0
    }

    /// See [`crate::RegistrationHandle::ready`].
    ///
    /// # Errors
    /// As there.
    pub fn ready(&self, timeout: Duration) -> Result<()> {
        block_on(self.0.ready(timeout))
    }

    /// See [`crate::RegistrationHandle::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self, state: State, timeout: Duration) -> Result<()> {
        block_on(self.0.wait(state, timeout))
    }

    /// See [`crate::RegistrationHandle::update`].
    ///
    /// # Errors
    /// As there.
    pub fn update(&self, changes: Changeset) -> Result<()> {
        block_on(self.0.update(changes))
    }

    /// See [`crate::RegistrationHandle::set_status`].
    ///
    /// # Errors
    /// As there.
    pub fn set_status(&self, status: Status, note: &str) -> Result<()> {
        block_on(self.0.set_status(status, note))
    }

    /// See [`crate::RegistrationHandle::drain`].
    ///
    /// # Errors
    /// As there.
    pub fn drain(&self) -> Result<()> {
        block_on(self.0.drain())
    }

    /// See [`crate::RegistrationHandle::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close())
    }
}

/// [`crate::Watch`], blocking: an iterator that ends when the watch or its client is closed.
#[derive(Debug)]
pub struct Watch(watch::Watch);

impl Watch {
    /// The watch itself, to close it from another thread.
    pub fn inner(&self) -> &watch::Watch {
        &self.0
    }
}

impl Iterator for Watch {
    type Item = Snapshot;

    fn next(&mut self) -> Option<Snapshot> {
        block_on(self.0.next())
    }
}
