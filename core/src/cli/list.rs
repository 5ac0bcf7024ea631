//! `callsheet list`: the services and how many instances each has, or the instances of one service.

use tokio::task::JoinSet;

use super::exit::{self, Failure};
use super::filter::Choice;
use super::output::Output;
use super::row::{self, Count, InstanceObject};
use super::table::Table;
use super::value;
use crate::client::Client;
use crate::error::{Code, Error, Result};
use crate::filter::Filter;
use crate::snapshot::{Freshness, Snapshot};

/// Services read at the same time.
const AT_ONCE: usize = 32;

const AFTER_HELP: &str = "\
In a pipe each line has tab-separated columns without a header, \"-\" where one is empty:
  list            service, healthy instances, instances
  list SERVICE    id, address:port, status, zone, version, tags (between commas)

Examples:
  callsheet list
  callsheet list billing --healthy --tag v2
  callsheet list billing | cut -f2
  callsheet list billing --json | jq -r '.[].metadata.team'";

/// List the services, or the instances of one
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct List {
    /// The service whose instances to list. Default: list the services
    service: Option<String>,
    /// Only healthy instances, not those that are warning, critical or draining
    #[arg(long, requires = "service")]
    healthy: bool,
    #[command(flatten)]
    choice: Choice,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn execute(self, client: &Client, output: &Output) -> Result<i32, Failure> {
        match &self.service {
            Some(service) => self.instances(service, client, output).await?,
            None => self.services(client, output).await?,
        }
        Ok(exit::OK)
    }

    async fn instances(&self, service: &str, client: &Client, output: &Output) -> Result<(), Failure> {
        let snapshot = client.lookup_with(service, &self.choice.filter(self.healthy)).await?;
        if snapshot.freshness() != Freshness::Live {
            output.warn(&distrust(&snapshot));
        }
        if self.json {
            let objects: Vec<_> = snapshot.iter().map(|instance| InstanceObject::from(&**instance)).collect();
            output.json(&objects)?;
        } else if output.is_terminal() {
            let mut table = Table::new(&row::INSTANCE);
            snapshot.iter().for_each(|instance| table.row(row::columns(instance)));
            print(table, snapshot.is_empty(), output)?;
        } else {
            for instance in &snapshot {
                output.line(&row::tabbed(row::columns(instance).iter().map(String::as_str)))?;
            }
        }
        if snapshot.is_empty() {
            output.warn(&nothing(&format!("no such instance of {service:?}"), service, client));
        }
        Ok(())
    }

    async fn services(&self, client: &Client, output: &Output) -> Result<(), Failure> {
        let counts = counts(client).await?;
        if self.json {
            output.json(&counts)?;
        } else if output.is_terminal() {
            let mut table = Table::new(&row::SERVICE);
            counts.iter().for_each(|count| table.row(count.columns()));
            print(table, counts.is_empty(), output)?;
        } else {
            for count in &counts {
                output.line(&row::tabbed(count.columns().iter().map(String::as_str)))?;
            }
        }
        if counts.is_empty() {
            output.warn(&nothing("no services", "billing", client));
        }
        Ok(())
    }
}

fn print(table: Table<'_>, empty: bool, output: &Output) -> Result<(), Failure> {
    if empty {
        return Ok(());
    }
    table.lines(None, output.has_colour()).iter().try_for_each(|line| output.line(line))
}

/// An empty list may only mean the wrong registry, so it is said where this one is.
fn nothing(what: &str, service: &str, client: &Client) -> String {
    format!("{what} in {}; to start one: callsheet run {service} --port PORT -- PROGRAM", client.source())
}

fn distrust(snapshot: &Snapshot) -> String {
    let why = snapshot.last_error().map(|error| format!(": {error}")).unwrap_or_default();
    let (freshness, age) = (snapshot.freshness(), value::age(snapshot.age()));
    format!("this list is {freshness}, {age} old, from {}{why}", snapshot.source())
}

/// Every service with how many instances it has, by name.
pub(super) async fn counts(client: &Client) -> Result<Vec<Count>> {
    let everything = Filter::new().healthy(false);
    let names = client.services().await?;
    let mut waiting = names.iter();
    let mut reading = JoinSet::new();
    let mut counts = Vec::with_capacity(names.len());
    loop {
        for name in waiting.by_ref().take(AT_ONCE - reading.len()) {
            let (client, name, filter) = (client.clone(), name.clone(), everything.clone());
            reading.spawn(async move { client.lookup_with(&name, &filter).await });
        }
        match reading.join_next().await {
            Some(Ok(Ok(snapshot))) => counts.push(Count::of(&snapshot)),
            // A name that another tool gave, and that callsheet can't ask for.
            Some(Ok(Err(error))) if error.code() == Code::InvalidArgument => {}
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(error)) => {
                return Err(Error::new(Code::Internal, "reading a service failed").with_cause(error));
            }
            None => break,
        }
    }
    // Its last instance may have gone since its name was read.
    counts.retain(|count| count.instances > 0);
    counts.sort_by(|a, b| a.service.cmp(&b.service));
    Ok(counts)
}
