//! Reading a service: from whom, and what an empty answer is worth. Rules 11 to 17 of what goes wrong with Consul's lists
//! are kept here: an index that lies, no leader, rights that hide.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::Consul;
use super::http::{Answer, Ask, encoded};
use super::known::Known;
use crate::config::Consistency;
use crate::error::{Code, Error, Result};
use crate::registry::{Change, Listing, Position};

/// A server that has not heard of its leader for longer is not believed.
const BEHIND: Duration = Duration::from_secs(10);

/// What is asked of a service.
pub(super) fn service(consul: &Consul, service: &str) -> Ask {
    let rule =
        format!("service {service:?} {{ policy = \"read\" }}, and node_prefix \"\" {{ policy = \"read\" }}");
    let ask = Ask::get(format!("/v1/health/service/{}", encoded(service)), format!("read {service:?}"), rule);
    match &consul.http.agent.near {
        Some(near) => ask.with("near", near.as_str()),
        None => ask,
    }
}

/// The same, answered by whom this client follows services from.
pub(super) fn followed(consul: &Consul, ask: Ask) -> Ask {
    match consul.http.agent.consistency {
        Consistency::Stale => ask.with("stale", ""),
        Consistency::Leader => ask,
        Consistency::Consistent => ask.with("consistent", ""),
    }
}

/// The same, answered by a leader that has made sure it is one: the first list after a break must not be older than the last
/// one. A server that leads since a moment ago tells anyone else of what it has taken in so far of what it has on disk.
pub(super) fn of_leader(ask: Ask) -> Ask {
    ask.with("consistent", "")
}

/// Where an answer stands. An index of 0 would ask for everything at once, again and again.
pub(super) fn position(answer: &Answer) -> Position {
    Position { epoch: 0, index: answer.index.max(1) }
}

/// Fails for an answer that says nothing of the registry as it is.
pub(super) fn believable(consul: &Consul, answer: &Answer) -> Result<()> {
    let source = &consul.http.source;
    if !answer.leader {
        let why = format!("the servers of {source} have no leader, so what they say may be old");
        return Err(Error::new(Code::Unavailable, why));
    }
    if answer.behind > BEHIND {
        let why = format!("a server of {source} has not heard of its leader for {:?}", answer.behind);
        return Err(Error::new(Code::Unavailable, why));
    }
    Ok(())
}

/// Everything that was asked for is hidden from us.
pub(super) fn hidden(consul: &Consul, what: &str, rule: &str) -> Error {
    let source = &consul.http.source;
    let rules = format!("{rule} and node_prefix \"\" {{ policy = \"read\" }}");
    match consul.http.has_token() {
        true => {
            let why = format!(
                "can't {what} in {source}: no permission, rights hide it: give the token a policy with {rules}"
            );
            Error::new(Code::PermissionDenied, why)
        }
        false => {
            let why = format!(
                "can't {what} in {source}: rights hide it, and no token was given: give token or token_file, with a policy \
                 that has {rules}"
            );
            Error::new(Code::Unauthenticated, why)
        }
    }
}

/// What an answer changes of what is known. Rights that hide everything are an error and not an empty list.
pub(super) fn changes(
    consul: &Consul,
    name: &str,
    known: &mut Known,
    answer: &Answer,
) -> Result<Vec<Change>> {
    let source = &consul.http.source;
    let changes = known.take(name, &answer.body, &consul.decoder).map_err(|why| {
        Error::new(why.code(), format!("can't read {name:?} in {source}: {}", why.message())).with_cause(why)
    })?;
    if known.is_empty() && answer.filtered {
        let rule = format!("service {name:?} {{ policy = \"read\" }}");
        return Err(hidden(consul, &format!("read {name:?}"), &rule));
    }
    Ok(changes)
}

/// Reads a service. `since`: where it was read before; an empty list is then proven, if it can be.
pub(super) async fn load(consul: &Consul, name: &str, since: Option<Position>) -> Result<Listing> {
    let answer = consul.http.call(of_leader(service(consul, name))).await?;
    believable(consul, &answer)?;
    let mut known = Known::default();
    let changes = changes(consul, name, &mut known, &answer)?;
    if known.is_empty() {
        not_hidden(consul, &format!("read {name:?}"), name).await?;
    }
    let proven = !known.is_empty() || since.is_none() || hides_nothing(consul).await?;
    let position = position(&answer);
    consul.remember(name, position, known);
    Ok(listing(changes, position, proven))
}

fn listing(changes: Vec<Change>, position: Position, proven: bool) -> Listing {
    let record = |change| match change {
        Change::Put(record) => Some(record),
        Change::Delete { .. } => None,
    };
    Listing { records: changes.into_iter().filter_map(record).collect(), position, proven }
}

/// Fails if we may not read the services of this name; an empty name is for all. An answer that is empty for this reason
/// looks like any other before 1.11, and always to whoever has no token. Nodes that we may not read hide services too, which
/// nobody can be asked for.
pub(super) async fn not_hidden(consul: &Consul, what: &str, name: &str) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Right {
        #[serde(default)]
        allow: Option<bool>,
    }
    let wanted = json!([{"Resource": "service", "Segment": name, "Access": "read"}]);
    let mut ask =
        Ask::get("/v1/internal/acl/authorize", "ask for rights", "").body(wanted.to_string().into_bytes());
    ask.method = Method::POST;
    // Without ACLs there is nothing to ask.
    let Ok(answer) = consul.http.found(ask).await? else { return Ok(()) };
    let rights: Vec<Right> = serde_json::from_slice(&answer.body).unwrap_or_default();
    if rights.iter().all(|right| right.allow != Some(false)) {
        return Ok(());
    }
    let kind = if name.is_empty() { "service_prefix" } else { "service" };
    Err(hidden(consul, what, &format!("{kind} {name:?} {{ policy = \"read\" }}")))
}

/// Whether an empty answer has to mean that there is nothing: whoever hides what we may not read says so, which is done to
/// whoever has a token only, or has nothing to hide.
async fn hides_nothing(consul: &Consul) -> Result<bool> {
    Ok(consul.http.has_token() && tells_what_it_hides(consul).await? || has_no_rights(consul).await?)
}

/// Whether the agent says that rights hid something: from 1.11 on, which also brought a stream of metrics.
async fn tells_what_it_hides(consul: &Consul) -> Result<bool> {
    let mut ask = Ask::get("/v1/agent/metrics/stream", "ask what the agent can do", "");
    ask.method = Method::HEAD;
    match consul.http.found(ask).await? {
        Ok(_) => Ok(true),
        Err((_, status)) => Ok(status != StatusCode::NOT_FOUND),
    }
}

/// Whether there are no rights at all.
async fn has_no_rights(consul: &Consul) -> Result<bool> {
    match consul.http.found(Ask::get("/v1/acl/token/self", "ask whether ACLs are on", "")).await? {
        Ok(_) => Ok(false),
        Err((error, _)) => Ok(error.message().contains("ACL support disabled")),
    }
}
