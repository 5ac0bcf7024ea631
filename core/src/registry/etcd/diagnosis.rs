//! What can be told of an etcd beyond whether it answers: each endpoint, the members, room, rights, certificates. Asks
//! each endpoint on a connection of its own, so that it has something to tell also while nothing else gets through.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    AlarmAction, AlarmMember, AlarmResponse, AlarmType, Client, Compare, CompareOp, GetOptions, Member,
    ResponseHeader, StatusResponse, Txn, TxnOp,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Etcd;
use super::session::{Session, Unusable};
use crate::certificate;
use crate::config::Endpoint;
use crate::diagnosis::{Finding, bytes, milliseconds};
use crate::error::{Code, Error, Result};

/// Reads whose time is taken at each endpoint.
const READS: usize = 5;
/// Slower reads than this make registering and reconnecting slow.
const SLOW: Duration = Duration::from_millis(500);
/// The oldest version that is tested, as major and minor.
const OLDEST: (u32, u32) = (3, 4);
/// Part of the quota above which somebody should hear of it.
const FULL: f64 = 0.8;
/// The key that would be written, if anything were. No service has such a name, so nobody would ever read it.
const PROBE: &str = "-doctor/probe";

/// An endpoint that works.
struct Seen {
    session: Arc<Session>,
    status: StatusResponse,
    latency: Duration,
}

pub(super) async fn of(etcd: &Etcd) -> Vec<Finding> {
    let remote = &etcd.sessions.remote;
    // Less than what the caller waits, or nothing at all is told.
    let until = Instant::now() + etcd.sessions.limit * 2;
    let looked = endpoints(etcd, until).await;
    let seen: Vec<_> = looked.iter().filter_map(|(_, looked)| looked.as_ref().ok()).collect();
    let mut about_all = Vec::new();
    let mut members = Vec::new();
    if let Some(first) = seen.first() {
        let alarms = ask(first, until, "read the alarms", |mut client| async move {
            client.alarm(AlarmAction::Get, AlarmType::None, None).await
        });
        let listed =
            ask(first, until, "list the members", |mut client| async move { client.member_list().await });
        let (listed, alarms) = tokio::join!(listed, alarms);
        about_all.extend(cluster_id(&seen));
        match listed {
            Ok(listed) => {
                members = listed.members().to_vec();
                members.sort_by(|one, other| one.name().cmp(other.name()));
                about_all.push(members_found(&seen, remote.endpoints.len(), &members));
            }
            Err(error) => {
                let found = Finding::ok("cluster", "members", error.to_string());
                about_all.push(found.note("look with `etcdctl member list`"));
            }
        }
        about_all.push(alarms_found(alarms, &members));
        about_all.extend(database(&seen));
        about_all.push(user(etcd, first));
        let (reading, writing) = tokio::join!(reading(etcd, first, until), writing(etcd, first, until));
        about_all.extend([reading, writing]);
    }
    let mut findings: Vec<_> = looked
        .iter()
        .map(|(endpoint, looked)| endpoint_found(endpoint, looked, &members, !seen.is_empty()))
        .collect();
    findings.extend(about_all);
    if let Some(tls) = &remote.tls {
        let files = tls.clone();
        findings
            .extend(tokio::task::spawn_blocking(move || certificate::own(&files)).await.unwrap_or_default());
        let shown =
            seen.iter().map(|seen| (seen.session.endpoint.to_string(), &*seen.session.wire.presented));
        findings.extend(certificate::shown(shown));
    }
    findings
}

/// All endpoints in the order of the URL, looked at side by side.
async fn endpoints(etcd: &Etcd, until: Instant) -> Vec<(Endpoint, Result<Seen, Unusable>)> {
    let mut tasks = JoinSet::new();
    for (at, endpoint) in etcd.sessions.remote.endpoints.iter().cloned().enumerate() {
        let (remote, source) = (etcd.sessions.remote.clone(), etcd.sessions.source.clone());
        let limit = etcd.sessions.limit;
        tasks.spawn(async move {
            let seen = async {
                let session = Session::open(endpoint.clone(), &remote, source, limit).await?;
                let seen = look(session.clone(), &remote.prefix, until).await;
                seen.map_err(|why| Unusable { what: "look at it", why })
            };
            (at, (endpoint.clone(), seen.await))
        });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, looked)| looked).collect()
}

async fn look(session: Arc<Session>, key: &str, until: Instant) -> Result<Seen> {
    let status = within(&session, until, "read the status", session.client().status()).await?;
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let began = Instant::now();
        let options = GetOptions::new().with_keys_only();
        match within(&session, until, "read", session.client().get(key, Some(options))).await {
            // A refusal goes through the cluster as well.
            Err(error) if error.code() != Code::PermissionDenied => return Err(error),
            _ => times.push(began.elapsed()),
        }
    }
    times.sort_unstable();
    Ok(Seen { session, status, latency: times[READS / 2] })
}

async fn within<T>(
    session: &Session,
    until: Instant,
    what: &str,
    request: impl Future<Output = std::result::Result<T, etcd_client::Error>>,
) -> Result<T> {
    match timeout_at(until, request).await {
        Ok(answer) => answer.map_err(|error| session.judge(what, error).1),
        Err(_) => Err(Error::new(Code::Timeout, format!("can't {what} at {}: no answer", session.endpoint))),
    }
}

async fn ask<T, F>(seen: &Seen, until: Instant, what: &str, request: impl Fn(Client) -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, etcd_client::Error>>,
{
    within(&seen.session, until, what, request(seen.session.client())).await
}

fn endpoint_found(
    endpoint: &Endpoint,
    looked: &Result<Seen, Unusable>,
    members: &[Member],
    any: bool,
) -> Finding {
    let found = |value: String| Finding::ok("endpoints", endpoint.to_string(), value);
    let Seen { status, latency, .. } = match looked {
        Ok(seen) => seen,
        Err(Unusable { what, why }) => {
            return found(format!("can't {what}: {why}")).wrong(match any {
                true => "others are used meanwhile: mend it before they fail, or take it out of the URL",
                false => "until one of them is mended, nothing can be looked up or registered",
            });
        }
    };
    let id = status.header().map_or(0, |header| header.member_id());
    let role = if status.leader() == id { "the leader" } else { "a follower" };
    let found = found(format!(
        "{}, {role}, etcd {}, reads in {} (median of {READS})",
        name(members, id),
        status.version(),
        milliseconds(*latency)
    ));
    if version(status.version()).is_some_and(|version| version < OLDEST) {
        return found.note("upgrade it: callsheet is tested on etcd 3.4 and newer");
    }
    if *latency > SLOW {
        return found
            .note("look at the disks of the cluster and the network: whoever registers waits as long");
    }
    found
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Endpoints of several clusters would each have other instances.
fn cluster_id(seen: &[&Seen]) -> Option<Finding> {
    let ids = seen.iter().filter_map(|seen| seen.status.header()).map(ResponseHeader::cluster_id);
    let ids: BTreeSet<_> = ids.map(|id| format!("{id:x}")).collect();
    let all: Vec<_> = ids.into_iter().collect();
    let found = Finding::ok("cluster", "id", all.join(" and "));
    (all.len() > 1)
        .then(|| found.wrong("name the endpoints of one cluster: each of these has other instances"))
}

fn members_found(seen: &[&Seen], endpoints: usize, members: &[Member]) -> Finding {
    // Whoever has seen the latest election knows.
    let latest = seen.iter().max_by_key(|seen| seen.status.raft_term());
    let leader = latest.map_or(0, |seen| seen.status.leader());
    let names = members.iter().map(|member| {
        let name = name(members, member.id());
        match () {
            () if member.id() == leader => format!("{name} (leader)"),
            () if member.is_learner() => format!("{name} (learner)"),
            () => name,
        }
    });
    let names: Vec<_> = names.collect();
    let found = Finding::ok("cluster", "members", format!("{}: {}", names.len(), names.join(", ")));
    let voters = members.iter().filter(|member| !member.is_learner()).count();
    match endpoints < voters {
        false => found,
        true => found.note(format!(
            "name all of them in the URL, so that any may fail, unless a load balancer stands before them (it names \
             {endpoints})"
        )),
    }
}

/// A member has no name until it is started.
fn name(members: &[Member], id: u64) -> String {
    let found = members.iter().find(|member| member.id() == id && !member.name().is_empty());
    found.map_or_else(|| format!("member {id:x}"), |member| member.name().to_owned())
}

fn alarms_found(alarms: Result<AlarmResponse>, members: &[Member]) -> Finding {
    let alarms = match &alarms {
        Ok(alarms) => alarms.alarms(),
        Err(error) => {
            let found = Finding::ok("cluster", "alarms", error.to_string());
            return found.note("look with `etcdctl alarm list`");
        }
    };
    let shown = |alarm: &AlarmMember| {
        format!("{} at {}", alarm.alarm().as_str_name(), name(members, alarm.member_id()))
    };
    let all: Vec<_> = alarms.iter().map(shown).collect();
    let found = |value: String| Finding::ok("cluster", "alarms", value);
    match alarms {
        [] => found("none".into()),
        alarms if alarms.iter().any(|alarm| alarm.alarm() == AlarmType::Corrupt) => found(all.join(", "))
            .wrong("the members' data differ: see etcd's guide to data corruption, and restore the member that is wrong"),
        _ => found(all.join(", ")).wrong(
            "nothing can be registered: compact (`etcdctl compact REVISION`), defragment (`etcdctl defrag --cluster`) or \
             raise --quota-backend-bytes, then `etcdctl alarm disarm`",
        ),
    }
}

/// The fullest one.
fn database(seen: &[&Seen]) -> Option<Finding> {
    let status = seen.iter().map(|seen| &seen.status).max_by_key(|status| status.db_size())?;
    let size = |size: i64| bytes(size.max(0) as u64);
    let value = format!("{}, of which {} in use", size(status.db_size()), size(status.raft_used_db_size()));
    let found = |value: String| Finding::ok("cluster", "database", value);
    // Before 3.6 it is not told.
    let quota = status.db_size_quota();
    if quota <= 0 {
        return Some(found(format!("{value}; etcd {} does not tell its quota", status.version())));
    }
    let found = found(format!("{value}; the quota is {}", size(quota)));
    let full = status.db_size() as f64 >= quota as f64 * FULL;
    Some(match full {
        true => found.note(
            "compact and defragment it, or raise --quota-backend-bytes: at the quota nothing can register",
        ),
        false => found,
    })
}

fn user(etcd: &Etcd, seen: &Seen) -> Finding {
    let found = |value: String| Finding::ok("access", "user", value);
    let remote = &etcd.sessions.remote;
    match &remote.credentials {
        Some((name, _)) if seen.session.users => found(format!("{name}, accepted")),
        Some((name, _)) => {
            found(format!("{name}, but etcd has authentication off, so that everybody may do everything"))
                .note("turn it on with `etcdctl auth enable`, or leave username and password out")
        }
        None if remote.tls.as_ref().is_some_and(|tls| tls.identity.is_some()) => {
            found("none, but for the one that the client certificate names".into())
        }
        None => found("none, and etcd asks for none".into()),
    }
}

async fn reading(etcd: &Etcd, seen: &Seen, until: Instant) -> Finding {
    let prefix = etcd.keys.all();
    let what = format!("read {prefix}");
    let answer = ask(seen, until, &what, |mut client| async move {
        client.get(prefix, Some(GetOptions::new().with_prefix().with_count_only())).await
    });
    match answer.await {
        Ok(answer) => {
            Finding::ok("access", "reading", format!("{prefix} may be read, {} keys", answer.count()))
        }
        Err(error) => Finding::ok("access", "reading", error.to_string())
            .wrong("without it only services whose own keys may be read can be looked up"),
    }
}

/// Whether the prefix may be written. Etcd judges all of a transaction before it looks whether its condition holds, and
/// also whether there is room: so one whose condition can't hold tells, and writes nothing.
async fn writing(etcd: &Etcd, seen: &Seen, until: Instant) -> Finding {
    let prefix = etcd.keys.all();
    let key = format!("{prefix}{PROBE}");
    let what = format!("write {prefix}");
    let answer = ask(seen, until, &what, |mut client| {
        // Versions count from 0.
        let never = Compare::version(key.as_str(), CompareOp::Less, 0);
        let txn = Txn::new().when([never]).and_then([TxnOp::put(key.as_str(), "", None)]);
        async move { client.txn(txn).await }
    });
    let found = |value: String| Finding::ok("access", "writing", value);
    match answer.await {
        Ok(_) => found(format!("{prefix} may be written")),
        Err(error) if error.code() == Code::PermissionDenied => {
            let remedy = "that is well for whoever only looks up, or registers some services only; to register all, grant \
                          it";
            found(error.to_string()).note(remedy)
        }
        Err(error) => found(error.to_string()).wrong("until that is mended, nothing can be registered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("3.10.1"), Some((3, 10)));
        assert!(version("3.3.27").unwrap() < OLDEST && version("3.10.0").unwrap() > OLDEST);
        assert_eq!(version("3.5.0-rc.1"), Some((3, 5)));
        assert_eq!(version("main"), None);
    }
}
