//! The one watch stream of a client, while it lasts: every watched range is one watcher on it. Says why it ended, and
//! leaves it to the hub to open another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbEvent, PbWatchResponse};
use etcd_client::{WatchOptions, WatchRequestSender, WatchResponseStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::failure::{Remedy, is_stale};
use super::fragments::{Fragments, Joined};
use super::hub::Hub;
use super::session::Session;
use super::watcher::{Range, Stored};
use crate::error::{Code, Error, Result};

/// Most bytes of one message: a list of 10,000 instances passes gRPC's usual 4 MiB.
pub(super) const MAX_MESSAGE: usize = 64 << 20;
/// Silence after which the server is asked whether it is there.
const ASK: Duration = Duration::from_secs(4);
/// Silence after which the stream is dead.
const DEAD: Duration = Duration::from_secs(9);
/// How long a stream without watchers is kept. Less than [`ASK`]: where nothing is watched, the server has no progress to
/// tell of.
const IDLE: Duration = Duration::from_secs(3);
/// Requests that wait to be written. The server reads slowly while it sends, so more are no sign of trouble.
const REQUESTS: usize = 64;

/// Why a stream ended.
pub(super) enum End {
    /// Nobody watches anything.
    Idle,
    Broken(Error),
    /// The server refused a watcher because of the token that the stream was opened with.
    Token(Error),
}

enum Request {
    Watch(i64, Arc<Range>),
    Cancel(i64),
    Progress,
}

/// Begins with what was seen last, which is ignored, and not after it: etcd tells of no progress on a stream with a watcher
/// that waits for a revision to come, as each would where nothing is written. And a compaction since then has to be told
/// of: of a watch that begins right there, servers of 3.4 leave out a delete
/// (https://github.com/etcd-io/etcd/issues/18089).
fn options(id: i64, range: &Range) -> WatchOptions {
    let options = WatchOptions::new().with_watch_id(id).with_start_revision(range.revision()).with_fragment();
    match range.end.is_empty() {
        true => options,
        false => options.with_range(range.end.clone()),
    }
}

/// Writes requests in order, whatever the reading side does.
async fn write(mut sender: WatchRequestSender, mut queue: mpsc::Receiver<Request>) {
    while let Some(request) = queue.recv().await {
        let written = match request {
            Request::Watch(id, range) => sender.watch(range.start.clone(), Some(options(id, &range))).await,
            Request::Cancel(id) => sender.cancel(id).await,
            Request::Progress => sender.request_progress().await,
        };
        // The reading side hears of it too.
        if written.is_err() {
            return;
        }
    }
}

/// One stream while it lasts.
pub(super) struct Stream<'a> {
    hub: &'a Hub,
    pub(super) session: Arc<Session>,
    pub(super) token: u64,
    responses: WatchResponseStream,
    requests: mpsc::Sender<Request>,
    writer: AbortHandle,
    /// Requests that have yet to find room in the queue.
    waiting: VecDeque<Request>,
    /// Watchers whose creation was requested, in that order: a refusal does not say which one it means.
    asked: VecDeque<i64>,
    fragments: Fragments,
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl<'a> Stream<'a> {
    /// Opens it, with its first watcher.
    pub(super) async fn open(hub: &'a Hub, first: i64, range: &Range) -> Result<Self> {
        let session = hub.sessions.get().await?;
        let token = session.token();
        let mut client = session.client().watch_client().max_decoding_message_size(MAX_MESSAGE);
        let opened = client.watch(range.start.clone(), Some(options(first, range)));
        let opened = match session.within("watch", hub.sessions.limit, opened).await {
            Ok(opened) => opened,
            Err((remedy, error)) => {
                if remedy == Remedy::Token {
                    session.refresh(token).await?;
                } else {
                    hub.sessions.leave(&session);
                }
                return Err(error);
            }
        };
        hub.hear();
        let (sender, responses) = opened.split();
        let (requests, queue) = mpsc::channel(REQUESTS);
        // Another task writes: the server stops reading while nobody takes what it sends.
        let writer = tokio::spawn(write(sender, queue)).abort_handle();
        hub.begin(first);
        Ok(Stream {
            hub,
            session,
            token,
            responses,
            requests,
            writer,
            waiting: VecDeque::new(),
            asked: VecDeque::from([first]),
            fragments: Fragments::default(),
        })
    }

    pub(super) async fn run(&mut self) -> End {
        let mut heard = Instant::now();
        let mut asked = false;
        let mut idle = None;
        let requests = self.requests.clone();
        loop {
            self.collect();
            idle = match self.hub.is_idle() {
                true => idle.or_else(|| Some(Instant::now() + IDLE)),
                false => None,
            };
            let due = heard + if asked { DEAD } else { ASK };
            tokio::select! {
                message = self.responses.message() => {
                    (heard, asked) = (Instant::now(), false);
                    self.hub.hear();
                    let end = match message {
                        Ok(Some(response)) => self.take(response.0),
                        Ok(None) => Some(End::Broken(self.broken("etcd ended the watch stream"))),
                        Err(error) => Some(match self.session.judge("watch", error) {
                            (Remedy::Token, error) => End::Token(error),
                            (_, error) => End::Broken(error),
                        }),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                permit = requests.reserve(), if !self.waiting.is_empty() => match (permit, self.waiting.pop_front()) {
                    (Ok(permit), Some(request)) => {
                        if let Request::Watch(id, _) = request {
                            self.asked.push_back(id);
                        }
                        permit.send(request);
                    }
                    _ => return End::Broken(self.broken("the watch stream takes no requests")),
                },
                () = self.hub.changed() => {}
                () = sleep_until(due) => {
                    if asked {
                        let error = self.broken(&format!("nothing came on the watch stream for {DEAD:?}"));
                        return End::Broken(error);
                    }
                    asked = true;
                    self.waiting.push_back(Request::Progress);
                }
                () = self.session.broken() => {
                    return End::Broken(self.broken("the connection was given up"));
                }
                () = sleep_until(idle.unwrap_or(due)), if idle.is_some() => return End::Idle,
            }
        }
    }

    fn broken(&self, why: &str) -> Error {
        let Session { endpoint, .. } = &*self.session;
        Error::new(Code::Unavailable, format!("can't watch at {endpoint}: {why}"))
    }

    /// What is to be watched since the last look, and what no more.
    fn collect(&mut self) {
        let (fresh, gone) = self.hub.news();
        self.waiting.extend(fresh.into_iter().map(|(id, range)| Request::Watch(id, range)));
        for id in gone {
            let before = self.waiting.len();
            self.waiting.retain(|request| !matches!(request, Request::Watch(waiting, _) if *waiting == id));
            // One that the server was never told of need not be cancelled.
            if self.waiting.len() == before {
                self.cancel(id);
            }
        }
    }

    fn cancel(&mut self, id: i64) {
        self.fragments.forget(id);
        self.waiting.push_back(Request::Cancel(id));
    }

    /// Has the range of a watcher read again.
    fn reload(&mut self, id: i64) {
        self.hub.finish(id, None);
        self.cancel(id);
    }

    fn take(&mut self, response: PbWatchResponse) -> Option<End> {
        let id = response.watch_id;
        if response.created {
            let Some(asked) = self.asked.pop_front() else {
                return Some(End::Broken(self.broken("etcd created a watcher that nobody asked for")));
            };
            if response.canceled {
                return self.refused(asked, &response);
            }
            if id != asked {
                return Some(End::Broken(self.broken("etcd created watchers in another order than asked")));
            }
            let range = self.hub.range(id)?;
            range.accepted();
            let header = response.header.unwrap_or_default();
            if header.cluster_id != range.cluster || header.revision < range.revision() {
                self.reload(id);
            }
            return None;
        }
        if response.canceled {
            // Servers of 3.4 keep a watcher that met a compaction until they are told.
            self.cancel(id);
            let error = match is_compacted(&response) {
                true => None,
                false => Some(self.broken(&format!("etcd ended the watch: {}", response.cancel_reason))),
            };
            self.hub.finish(id, error);
            return None;
        }
        match self.fragments.join(id, response.fragment, response.events, MAX_MESSAGE) {
            Joined::Whole(events) => self.deliver(id, events),
            Joined::Part => {}
            Joined::TooLarge => self.reload(id),
        }
        None
    }

    fn deliver(&self, id: i64, events: Vec<PbEvent>) {
        if !events.is_empty()
            && let Some(range) = self.hub.range(id)
        {
            range.fill(events.into_iter().filter_map(change));
        }
    }

    /// A watcher that etcd did not create. Etcd 3.4 says "permission denied" of a token that is merely too old, so a
    /// fresh one is tried before that is believed.
    fn refused(&mut self, id: i64, response: &PbWatchResponse) -> Option<End> {
        if is_compacted(response) {
            self.hub.finish(id, None);
            return None;
        }
        let range = self.hub.range(id)?;
        let reason = &response.cancel_reason;
        let denied = reason.contains("permission denied");
        let key = String::from_utf8_lossy(&range.start).into_owned();
        let status = match denied {
            true => tonic::Status::permission_denied(reason),
            false if is_stale(reason) => tonic::Status::unauthenticated(reason),
            false => tonic::Status::unavailable(reason),
        };
        let (_, error) = self.session.judge(&format!("watch {key}"), etcd_client::Error::GRpcStatus(status));
        if (denied || is_stale(reason)) && range.refused_first() {
            return Some(End::Token(error));
        }
        self.hub.finish(id, Some(error));
        None
    }
}

fn is_compacted(response: &PbWatchResponse) -> bool {
    response.compact_revision > 0 || response.cancel_reason.contains("compacted")
}

/// A key, what it holds now, and since which revision. `None` of an event of a kind that is not known here.
fn change(event: PbEvent) -> Option<(Vec<u8>, Option<Stored>, i64)> {
    const PUT: i32 = 0;
    const DELETE: i32 = 1;
    let kv = event.kv?;
    let revision = kv.mod_revision;
    match event.r#type {
        PUT => Some((kv.key, Some(Stored { value: kv.value, lease: kv.lease, revision }), revision)),
        DELETE => Some((kv.key, None, revision)),
        _ => None,
    }
}
