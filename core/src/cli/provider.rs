//! The registration that `run` and `register` keep up for something else. What goes wrong with it is told and retried,
//! and never ends the command.

use std::cell::{OnceCell, RefCell};
use std::future::pending;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::output::{Output, printable};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::registration::{Registration, RegistrationHandle, State};

/// How long a signal to end is held back for a registry that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a program that has ended is withdrawn at most; the registration itself gives up a little earlier.
const WITHDRAWAL: Duration = Duration::from_secs(6);
/// Between two tries of what the core does not retry by itself, and between two looks at a registration that is
/// pending.
const RETRY: Duration = Duration::from_secs(5);
/// The same trouble is told again after this.
const REMINDER: Duration = Duration::from_secs(60);

/// What is told of a registration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Only trouble and its end, on stderr: stdout belongs to a program.
    Trouble,
    /// A line on stdout for every state that is entered, and on stderr what keeps it from being registered at first.
    States,
}

pub(super) struct Provider<'a> {
    pub(super) client: Client,
    output: &'a Output,
    voice: Voice,
    handle: OnceCell<RegistrationHandle>,
    /// Rung when it is registered.
    pub(super) registered: Notify,
    /// The trouble that was told last and when; `None` while all is well.
    told: RefCell<Option<(String, Instant)>>,
}

impl<'a> Provider<'a> {
    pub(super) fn new(client: Client, output: &'a Output, voice: Voice) -> Self {
        Provider {
            client,
            output,
            voice,
            handle: OnceCell::new(),
            registered: Notify::new(),
            told: RefCell::default(),
        }
    }

    /// The registration, once there is one.
    pub(super) fn handle(&self) -> Option<&RegistrationHandle> {
        self.handle.get()
    }

    /// Registers what is held, and tells how it goes. Never ends by itself.
    pub(super) async fn keep_registered(&self, registration: Registration) {
        let handle = loop {
            match self.client.register(registration.clone()).await {
                Ok(handle) => break self.handle.get_or_init(|| handle),
                Err(error) => self.trouble(&error),
            }
            sleep(RETRY).await;
        };
        let Ok(states) = handle.states() else { return pending().await };
        // Only lifts the hold; how it goes is told by the states.
        let _ = handle.ready(Duration::ZERO).await;
        // A registry that is down is told of at once, not only when the port listens.
        if let Err(error) = self.client.ping().await {
            self.trouble(&error);
        }
        let mut state = State::Pending;
        loop {
            let change = match state {
                // Tries that fail are no change of state.
                State::Pending => timeout(RETRY, states.next()).await,
                _ => Ok(states.next().await),
            };
            match change {
                Ok(Some(change)) => {
                    state = change.state;
                    self.entered(handle, state, change.error.as_ref());
                }
                Ok(None) => pending().await,
                Err(_) => handle.last_error().iter().for_each(|error| self.trouble(error)),
            }
        }
    }

    fn entered(&self, handle: &RegistrationHandle, state: State, error: Option<&Error>) {
        match (self.voice, state, error) {
            (_, State::Pending, error) => error.into_iter().for_each(|error| self.trouble(error)),
            (Voice::States, State::Registered, _) => {
                self.told.take();
                self.line(handle, state.as_str(), &format!(" in {}", self.client.source()));
                self.registered.notify_one();
            }
            (Voice::States, _, None) => self.line(handle, state.as_str(), ""),
            (Voice::States, _, Some(error)) => self.line(handle, state.as_str(), &format!(": {error}")),
            (Voice::Trouble, State::Registered, _) => self.well(handle),
            (Voice::Trouble, _, Some(error)) => self.trouble(error),
            (Voice::Trouble, _, None) => {}
        }
    }

    /// A line of news on stdout. Nobody reading any more is no reason to leave the registry.
    pub(super) fn line(&self, handle: &RegistrationHandle, word: &str, rest: &str) {
        let line = format!("{word} {}/{}{rest}", handle.instance().service, handle.id());
        let _ = self.output.line(&printable(&line)).and_then(|()| self.output.flush());
    }

    fn trouble(&self, error: &Error) {
        let message = error.to_string();
        let mut told = self.told.borrow_mut();
        if told.as_ref().is_some_and(|(last, at)| *last == message && at.elapsed() < REMINDER) {
            return;
        }
        self.output.warn(&format!("not registered: {message}"));
        *told = Some((message, Instant::now()));
    }

    fn well(&self, handle: &RegistrationHandle) {
        if self.told.take().is_some() {
            let (service, id) = (handle.instance().service, handle.id());
            self.output.warn(&format!("{service}/{} is registered now", printable(&id)));
        }
    }

    /// Withdraws and drains what lives on after this command.
    ///
    /// # Errors
    /// `timeout` when the registry could not be told.
    pub(super) async fn close(&self) -> Result<()> {
        if let Some(handle) = self.handle.get() {
            handle.close().await?;
        }
        self.client.close().await
    }

    /// Until no new calls should come: withdrawn and drained, or told to a registry that does not answer.
    pub(super) async fn withdrawn(&self) {
        let silence = async {
            match self.handle.get() {
                // Only the drain is left.
                Some(handle) if handle.wait(State::Closed, PATIENCE).await.is_ok() => pending().await,
                Some(_) => {}
                None => sleep(PATIENCE).await,
            }
        };
        tokio::select! {
            _ = self.client.close() => {}
            () = silence => {}
        }
    }

    /// Withdraws a program that has ended, which has no calls under way to wait for.
    pub(super) async fn withdraw(&self) {
        let undrained = async {
            match self.handle.get() {
                Some(handle) if handle.wait(State::Closed, WITHDRAWAL).await.is_ok() => {}
                _ => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.client.close() => {}
            () = undrained => {}
            () = sleep(WITHDRAWAL) => {}
        }
        if let Some(error) = self.handle.get().and_then(RegistrationHandle::last_error) {
            self.output.warn(&error.to_string());
        }
    }
}
