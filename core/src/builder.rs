//! What a client is made from: a URL, options, and for tests a runtime.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::client::Client;
use crate::config::{Config, OptionValue, Options};
use crate::error::Result;
use crate::runtime;

/// What a client is made from.
#[derive(Debug, Default)]
pub struct Builder {
    url: Option<String>,
    options: Options,
    runtime: Option<Handle>,
}

impl Builder {
    /// The registry's URL. Default: `$CALLSHEET_URL`, else `local:`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Options by name; they win over the URL's query and the environment.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Time that one request may take. Default: 5 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set("timeout", timeout)
    }

    /// How long the registry keeps registrations of this client without hearing of them. Default: 10 s.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.set("ttl", ttl)
    }

    /// How long closing a registration waits for calls under way. Default: 0.
    #[must_use]
    pub fn drain(self, drain: Duration) -> Self {
        self.set("drain", drain)
    }

    /// How long an empty list that nothing proves is held back. Default: 10 minutes.
    #[must_use]
    pub fn empty_hold(self, hold: Duration) -> Self {
        self.set("empty_hold", hold)
    }

    /// How many services are followed at most while unused ones can give way. Default: 1,000.
    #[must_use]
    pub fn cache_size(self, services: usize) -> Self {
        self.set("cache_size", services as f64)
    }

    /// Where lists are saved for a start while the registry is down: an absolute path of a folder, made if it is not there.
    /// Default: nowhere.
    #[must_use]
    pub fn cache_dir(self, folder: impl Into<String>) -> Self {
        self.set("cache_dir", folder.into())
    }

    /// How old a saved list may be to be used. Default: 24 hours.
    #[must_use]
    pub fn cache_max_age(self, age: Duration) -> Self {
        self.set("cache_max_age", age)
    }

    /// URLs of registries that are read while this one can't be and nothing was read of it before, in this order.
    #[must_use]
    pub fn fallback<U: Into<String>>(self, urls: impl IntoIterator<Item = U>) -> Self {
        self.set("fallback", urls.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// Takes anybody for the registry: its certificate is not verified, so that whoever is on the network may pass for it. For
    /// trials only; a warning says so. Default: false.
    #[must_use]
    pub fn insecure(self, insecure: bool) -> Self {
        self.set("insecure", insecure)
    }

    fn set(mut self, name: &str, value: impl Into<OptionValue>) -> Self {
        // The names above exist and their types fit, so this can't fail.
        let _ = self.options.set(name, value.into());
        self
    }

    /// Runs on this runtime instead of callsheet's own: for tests on tokio's paused clock.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The client. Does no I/O towards the registry, so it also works while that is down.
    ///
    /// # Errors
    /// `config`.
    pub fn connect(self) -> Result<Client> {
        let environment = |name: &str| std::env::var(name).ok();
        let config = Config::new(self.url.as_deref(), self.options, environment)?;
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => runtime::handle()?,
        };
        Client::start(config, runtime)
    }
}
