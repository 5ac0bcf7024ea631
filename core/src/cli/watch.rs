//! `callsheet watch`: every change of a service, or of all services. A live table on a terminal, a line per change in
//! a pipe.

use std::pin::pin;

use super::changes::lines;
use super::exit::{self, Failure};
use super::feed::{Feed, News, first_trouble};
use super::filter::Choice;
use super::live;
use super::output::Output;
use super::row::SnapshotObject;
use crate::client::Client;
use crate::error::Error;

const AFTER_HELP: &str = "\
On a terminal it is a live table; q or Ctrl-C ends it. AGE is how long an instance is as it is, as far as this watch \
has seen. In a pipe each change is a line, written at once:
  + ID ADDRESS:PORT STATUS    there is an instance more; first, those that are there
  ~ ID ADDRESS:PORT STATUS    it says something else now
  - ID                        it is gone
  ! stale: REASON             the registry is away, the last list is kept; then: ! live
Without a SERVICE the lines are \"+ SERVICE HEALTHY/INSTANCES\" and so on.

A registry that is away does not end it: before anything was read it says so on stderr and goes on trying. It ends \
with 128+N by signal N (130 for Ctrl-C), and with 0 when nobody reads its pipe any more.

Examples:
  callsheet watch billing
  callsheet watch billing | while read -r sign id rest; do echo \"$sign $id\"; done
  callsheet watch billing --json | jq --unbuffered '.instances | length'";

/// Follow a service, or all of them
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Watch {
    /// The service to follow. Default: follow the list of services
    service: Option<String>,
    /// Only healthy instances, not those that are warning, critical or draining
    #[arg(long, requires = "service")]
    healthy: bool,
    #[command(flatten)]
    choice: Choice,
    /// Print each snapshot whole, as one JSON object in a line
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(super) async fn execute(self, client: &Client, output: &Output) -> Result<i32, Failure> {
        let (service, filter) = (self.service.as_deref(), self.choice.filter(self.healthy));
        let feed = Feed::open(client, service, &filter)?;
        let trouble = first_trouble(client, service, &filter);
        if output.is_terminal() && !self.json {
            live::follow(feed, trouble, service, client.source(), output).await
        } else {
            self.print(feed, trouble, output).await
        }
    }

    async fn print(
        &self,
        mut feed: Feed,
        trouble: impl Future<Output = Error>,
        output: &Output,
    ) -> Result<i32, Failure> {
        let (mut gone, mut trouble, mut untold) = (pin!(output.reader_gone()), pin!(trouble), true);
        let mut previous = None;
        loop {
            tokio::select! {
                () = &mut gone => return Ok(exit::OK),
                error = &mut trouble, if untold => {
                    untold = false;
                    output.warn(&format!("{error}; trying again"));
                }
                news = feed.next() => {
                    let Some(news) = news else { return Ok(exit::OK) };
                    match &news {
                        News::Service(snapshot) if self.json => output.json(&SnapshotObject::from(snapshot))?,
                        News::Services(services) if self.json => output.json(services)?,
                        _ => lines(previous.as_ref(), &news).iter().try_for_each(|line| output.line(line))?,
                    }
                    output.flush()?;
                    previous = Some(news);
                }
            }
        }
    }
}
