//! Registers in a local registry, with a client of callsheet's: whoever owns a row there is a process that lives.

use std::collections::HashMap;
use std::time::Duration;

use callsheet::{Changeset, Client, Registration, RegistrationHandle, State};

use crate::Result;
use crate::put::{Store, address};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Local {
    client: Client,
    /// Of each place, by number.
    registered: HashMap<String, Vec<RegistrationHandle>>,
}

impl Local {
    pub(crate) fn connect(path: &str) -> Result<Self> {
        let client = Client::connect(&format!("local://{path}"))?;
        Ok(Local { client, registered: HashMap::new() })
    }
}

impl Store for Local {
    type Put = (RegistrationHandle, Changeset);

    fn prepare(&self, service: &str, number: u32, n: u32) -> Result<Self::Put> {
        let registered = self.registered.get(service).and_then(|all| all.get(number as usize));
        let changes = Changeset::new().metadata([("n", n.to_string()), ("team", "pay".to_owned())]);
        Ok((registered.ok_or("nobody registered this")?.clone(), changes))
    }

    async fn put(&mut self, (registered, changes): Self::Put) -> Result<()> {
        registered.update(changes).await?;
        Ok(())
    }

    async fn seed(&mut self, service: &str, count: u32) -> Result<()> {
        let mut all = Vec::new();
        for number in 0..count {
            let registration = Registration::new(service).address(address(number)).port(8080).tag("v2");
            let registration = registration.zone("eu-1a").version("1.4.2").metadata("team", "pay");
            all.push(self.client.register(registration.metadata("n", "0")).await?);
        }
        for registered in &all {
            registered.wait(State::Registered, PATIENCE).await?;
        }
        self.registered.insert(service.to_owned(), all);
        Ok(())
    }
}
