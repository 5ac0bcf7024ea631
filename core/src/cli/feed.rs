//! What `watch` follows: one service, or every service with its counts. Polls only; how news is shown is not known
//! here.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Sleep, sleep};

use super::row::Count;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::snapshot::{Freshness, Snapshot};
use crate::watch::{NamesWatch, Watch};

/// How long the first list of services waits for those that are still being read.
const SETTLE: Duration = Duration::from_millis(500);

pub(super) enum Feed {
    Service(Watch),
    Services(Followed),
}

#[derive(Clone)]
pub(super) enum News {
    Service(Snapshot),
    Services(Services),
}

/// Every service, as of one moment.
#[derive(Clone, PartialEq, Serialize)]
pub(super) struct Services {
    pub(super) source: String,
    /// The worst of the services'.
    pub(super) freshness: &'static str,
    pub(super) last_error: Option<String>,
    pub(super) services: Vec<Count>,
}

impl Feed {
    pub(super) fn open(client: &Client, service: Option<&str>, filter: &Filter) -> Result<Self> {
        Ok(match service {
            Some(service) => Feed::Service(client.watch_with(service, filter)?),
            None => Feed::Services(Followed {
                client: client.clone(),
                names: client.watch_services()?,
                services: BTreeMap::new(),
                settled: None,
                told: None,
            }),
        })
    }

    /// The next news; `None` once the client is closed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<News> {
        match self {
            Feed::Service(watch) => watch.next().await.map(News::Service),
            Feed::Services(followed) => poll_fn(|context| followed.poll(context)).await.map(News::Services),
        }
    }
}

/// Why there is no news yet; never resolves when there is some. A watch waits for its registry in silence, a person
/// at a terminal should not have to.
pub(super) async fn first_trouble(client: &Client, service: Option<&str>, filter: &Filter) -> Error {
    let read = match service {
        Some(service) => client.lookup_with(service, filter).await.map(drop),
        None => client.services().await.map(drop),
    };
    match read {
        Ok(()) => pending().await,
        Err(error) => error,
    }
}

pub(super) struct Followed {
    client: Client,
    names: NamesWatch,
    services: BTreeMap<String, (Watch, Option<Snapshot>)>,
    /// Begins with the first list of names; over when what is still unread then is left out.
    settled: Option<Pin<Box<Sleep>>>,
    told: Option<Services>,
}

impl Followed {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Services>> {
        while let Poll::Ready(names) = self.names.poll_next_names(context) {
            match names {
                Some(names) => self.rename(&names),
                None => return Poll::Ready(None),
            }
        }
        for (watch, latest) in self.services.values_mut() {
            while let Poll::Ready(Some(snapshot)) = watch.poll_next_snapshot(context) {
                *latest = Some(snapshot);
            }
        }
        let Some(settled) = &mut self.settled else { return Poll::Pending };
        let unread = self.services.values().any(|(_, latest)| latest.is_none());
        if unread && self.told.is_none() && settled.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let now = self.now();
        if self.told.as_ref() == Some(&now) {
            return Poll::Pending;
        }
        self.told = Some(now.clone());
        Poll::Ready(Some(now))
    }

    /// Follows the services of this name and no others.
    fn rename(&mut self, names: &[String]) {
        self.settled.get_or_insert_with(|| Box::pin(sleep(SETTLE)));
        self.services.retain(|name, _| names.binary_search(name).is_ok());
        for name in names {
            if !self.services.contains_key(name)
                // Fails for names of other tools that callsheet can't ask for.
                && let Ok(watch) = self.client.watch_with(name, &Filter::new().healthy(false))
            {
                self.services.insert(name.clone(), (watch, None));
            }
        }
    }

    fn now(&self) -> Services {
        let read = || self.services.values().filter_map(|(_, latest)| latest.as_ref());
        let worst = read().find(|snapshot| snapshot.freshness() != Freshness::Live);
        Services {
            source: self.client.source().to_owned(),
            freshness: worst.map_or(Freshness::Live, Snapshot::freshness).as_str(),
            last_error: worst.and_then(Snapshot::last_error).map(ToString::to_string),
            services: read().map(Count::of).filter(|count| count.instances > 0).collect(),
        }
    }
}
