//! `callsheet pick`: one instance, as a line for a script.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::{self, Failure};
use super::filter::Choice;
use super::output::{Output, printable};
use super::template::Template;
use super::value;
use crate::balance::{PickerOptions, Policy};
use crate::client::Client;
use crate::error::{Code, Result};

/// The words of the core's policies, in its order.
const POLICIES: [&str; 7] =
    ["round_robin", "random", "p2c", "weighted", "least_outstanding", "ring_hash", "maglev"];

const AFTER_HELP: &str = "\
Fields: {id} {service} {address} {port} {authority} {url} {scheme} {zone} {version} {weight} {status} {tags} \
{metadata.KEY}; {{ and }} are braces. Metadata that the instance does not have is empty.

Without an instance, also after --wait, it says so on stderr and exits with 1.

Examples:
  curl \"$(callsheet pick billing)/invoices\"
  callsheet pick billing --format '{address}:{port}'
  psql -h \"$(callsheet pick db --tag primary --wait 30 --format '{address}')\"";

/// Print one healthy instance of a service
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Pick {
    /// The service to pick an instance of
    service: String,
    /// What to print of it
    #[arg(long, value_name = "TEMPLATE", default_value = "{url}")]
    format: Template,
    /// How to choose
    #[arg(long, default_value = "p2c", value_parser = policies())]
    policy: Policy,
    /// Always the same instance for the same key, with --policy ring_hash or maglev
    #[arg(long)]
    key: Option<String>,
    /// Wait this long for an instance to come, such as 30 or 500ms
    #[arg(long, value_name = "SECONDS", value_parser = value::duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    choice: Choice,
}

fn policies() -> impl TypedValueParser<Value = Policy> {
    PossibleValuesParser::new(POLICIES).try_map(|word| word.parse::<Policy>())
}

impl Pick {
    pub(super) async fn execute(self, client: &Client, output: &Output) -> Result<i32, Failure> {
        let filter = self.choice.filter(true);
        // A script gets a healthy one or none, whatever the others are.
        let options = PickerOptions::new(self.policy).filter(filter.clone()).panic_threshold(0);
        let picker = client.open_picker(&self.service, options).await?;
        let picked = match (self.key, self.wait) {
            (None, Some(wait)) => picker.pick_within(wait).await,
            (None, None) => picker.pick(),
            (Some(key), Some(wait)) => picker.pick_key_within(key, wait).await,
            (Some(key), None) => picker.pick_key(key),
        };
        let pick = match picked {
            Ok(pick) => pick,
            Err(error) => {
                if error.code() == Code::NoInstances {
                    // An empty picker may also mean that the registry was never read: then this says so.
                    client.lookup_with(&self.service, &filter).await?;
                }
                return Err(error.into());
            }
        };
        let text = self.format.fill(pick.instance());
        output.line(&if output.is_terminal() { printable(&text) } else { text })?;
        Ok(exit::OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_the_core_is_offered() {
        let error = "?".parse::<Policy>().unwrap_err().to_string();
        assert!(error.ends_with(&POLICIES.join(", ")), "{error}");
    }
}
