//! Requests to one agent: two pools of connections, so that what waits never holds up what renews, each request with its
//! own deadline, and answers of bounded size.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::failure::{Asked, LEADERLESS, UNREAD, UNSURE, is_early, said};
use super::greeting;
use super::pools::{Pools, changed, paths};
use super::token::Tokens;
use super::turns::Turns;
use crate::config::{Agent, Endpoint, Place};
use crate::error::{Code, Error, Result};
use crate::tls;

/// How long an agent that could not be reached is not tried again by others.
const UNREACHABLE: Duration = Duration::from_millis(250);
/// Between two looks at the files of TLS.
const LOOK: Duration = Duration::from_secs(1);
/// How often to look whether a server that starts has read its data, and how far apart.
const LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// Longest answer that is taken.
const MAX_BODY: usize = 64 << 20;

/// One request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Segments that come from outside are encoded.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// What it is for, such as `read "billing"`.
    pub(super) what: String,
    /// The rule of Consul's ACLs that allows it.
    pub(super) rule: String,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>, what: impl Into<String>, rule: impl Into<String>) -> Self {
        Ask {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            what: what.into(),
            rule: rule.into(),
        }
    }

    pub(super) fn put(path: impl Into<String>, what: impl Into<String>, rule: impl Into<String>) -> Self {
        Ask { method: Method::PUT, ..Self::get(path, what, rule) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }
}

/// A whole answer of status 200.
pub(super) struct Answer {
    pub(super) index: u64,
    /// Whether the servers have a leader, as far as the one that answered knows or nothing is said of it.
    pub(super) leader: bool,
    /// How long ago it heard of that leader.
    pub(super) behind: Duration,
    /// Something was left out that the token may not read. Said from Consul 1.11.
    pub(super) filtered: bool,
    pub(super) body: Bytes,
    /// The agent's certificate, if it has one.
    pub(super) presented: Option<Vec<u8>>,
}

pub(super) struct Http {
    pub(super) agent: Agent,
    pub(super) source: Arc<str>,
    /// What one request may take.
    pub(super) limit: Duration,
    base: String,
    tokens: Tokens,
    /// `None` once closed, so that no connection is kept.
    pools: Mutex<Option<Pools>>,
    turns: Arc<Turns>,
    unreachable: Mutex<Option<(Instant, Error)>>,
    closed: watch::Sender<bool>,
}

/// Which pool a request goes through.
#[derive(Clone, Copy, PartialEq)]
enum Pool {
    Waiting,
    Calls,
}

impl Http {
    pub(super) fn new(agent: Agent, source: &str, limit: Duration, turns: Arc<Turns>) -> Result<Self> {
        let scheme = if agent.tls.is_some() { "https" } else { "http" };
        let host = match (&agent.place, agent.tls.as_ref().and_then(|tls| tls.server_name.clone())) {
            (Place::Tcp(Endpoint { port, .. }), Some(name)) => format!("{name}:{port}"),
            (Place::Tcp(endpoint), None) => endpoint.to_string(),
            (Place::Unix(_), _) => "localhost".into(),
        };
        let base = format!("{scheme}://{host}");
        reqwest::Url::parse(&base).map_err(|error| Error::config(format!("{source}: {error}")))?;
        if let crate::config::Token::File(path) = &agent.token {
            super::token::read(path.clone()).map_err(|error| Error::config(error.message()))?;
        }
        Ok(Http {
            pools: Mutex::new(Some(Pools::new(&agent)?)),
            tokens: Tokens::new(agent.token.clone()),
            source: source.into(),
            limit,
            base,
            turns,
            unreachable: Mutex::default(),
            closed: watch::Sender::new(false),
            agent,
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.tokens.given()
    }

    /// Ends what waits, and all connections; nothing is asked any more.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Pools>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks with the client's deadline. An answer with another status than 200 is an error.
    pub(super) async fn call(&self, ask: Ask) -> Result<Answer> {
        self.found(ask).await?.map_err(|(error, _)| error)
    }

    /// The same, where 404 says that something is not there: `None`.
    pub(super) async fn find(&self, ask: Ask) -> Result<Option<Answer>> {
        match self.found(ask).await? {
            Ok(answer) => Ok(Some(answer)),
            Err((_, StatusCode::NOT_FOUND)) => Ok(None),
            Err((error, _)) => Err(error),
        }
    }

    /// The same, for whoever looks at the status.
    pub(super) async fn found(&self, ask: Ask) -> Result<Result<Answer, (Error, StatusCode)>> {
        self.within_limit(&ask, self.limit).await
    }

    /// As `call`, with a deadline that may be shorter.
    pub(super) async fn call_within(&self, ask: Ask, limit: Duration) -> Result<Answer> {
        self.within_limit(&ask, limit.min(self.limit)).await?.map_err(|(error, _)| error)
    }

    async fn within_limit(&self, ask: &Ask, limit: Duration) -> Result<Result<Answer, (Error, StatusCode)>> {
        let late = |error: Error| self.asked(ask).error(error);
        let known = self.unreachable().clone();
        if let Some((at, error)) = known
            && at.elapsed() < UNREACHABLE
        {
            return Err(late(error));
        }
        let request = async {
            let _turn = self.turns.calls.acquire().await;
            self.ask(ask, Pool::Calls).await
        };
        tokio::pin!(request);
        // Together a moment less than the limit, when whoever waits as long would give up without a reason.
        let (patience, rest) = (limit * 3 / 4, limit / 5);
        if let Some(answer) = self.within(patience, &mut request).await {
            return answer;
        }
        // A server looks for a leader for longer than anybody waits, but says at once whether it knows one.
        tokio::select! {
            answer = self.within(rest, &mut request) => answer.unwrap_or_else(|| {
                let why = format!(
                    "no answer within {limit:?}: the agent hangs or can't reach its servers, or the network loses what is \
                     sent"
                );
                Err(late(Error::new(Code::Timeout, why)))
            }),
            error = self.without_leader(ask) => Err(error),
        }
    }

    /// Why there is no leader; never resolves if there is one, or nobody knows.
    async fn without_leader(&self, ask: &Ask) -> Error {
        let leader = Ask::get("/v1/status/leader", ask.what.as_str(), "");
        match self.ask(&leader, Pool::Calls).await {
            Ok(Ok(answer)) if answer.body.trim_ascii() == b"\"\"" => {
                self.asked(ask).error(Error::new(Code::Unavailable, LEADERLESS))
            }
            Ok(Err((error, _))) if error.code() == Code::Unavailable => error,
            _ => std::future::pending().await,
        }
    }

    /// Asks for what changes after an index, which may take `wait`.
    pub(super) async fn wait(&self, ask: Ask, wait: Duration) -> Result<Answer> {
        // Consul adds up to a sixteenth, so that not all come back at once.
        let limit = wait + wait / 16 + Duration::from_secs(7) + self.limit;
        match self.within(limit, self.ask(&ask, Pool::Waiting)).await {
            Some(answer) => answer?.map_err(|(error, _)| error),
            None => {
                let why =
                    format!("no answer within {limit:?} to a query that waits for {wait:?}: the agent hangs");
                Err(self.asked(&ask).error(Error::new(Code::Timeout, why)))
            }
        }
    }

    /// `None` if it took too long. Fails when the client is closed meanwhile.
    async fn within<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T>>,
    ) -> Option<Result<T>> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => Some(Err(Error::closed("client"))),
            answer = timeout(limit, request) => answer.ok(),
        }
    }

    fn asked<'a>(&'a self, ask: &'a Ask) -> Asked<'a> {
        Asked {
            source: &self.source,
            what: &ask.what,
            rule: &ask.rule,
            token: self.tokens.given(),
            datacenter: self.agent.datacenter.as_deref(),
            tls: self.agent.tls.is_some(),
        }
    }

    fn unreachable(&self) -> MutexGuard<'_, Option<(Instant, Error)>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, ask: &Ask, pool: Pool) -> Result<Result<Answer, (Error, StatusCode)>> {
        let refused = |answer: &Result<Answer, (Error, StatusCode)>| {
            answer.as_ref().is_err_and(|(error, _)| error.refused())
        };
        let mut answer = self.once(ask, pool, false).await?;
        // The file may have been rotated since it was read.
        if refused(&answer) && self.tokens.file().is_some() {
            answer = self.once(ask, pool, true).await?;
        }
        if refused(&answer) && self.has_token() {
            // A query that waits may take a minute more than this.
            let late = || self.asked(ask).error(Error::new(Code::Timeout, UNSURE));
            timeout(self.limit, self.ready(ask)).await.map_err(|_| late())??;
            answer = self.once(ask, pool, false).await?;
        }
        Ok(answer)
    }

    /// Waits until a refusal can be believed: servers that start know no token until they have a leader and its data. Fails
    /// if they find none.
    async fn ready(&self, ask: &Ask) -> Result<()> {
        let mut leader = None;
        for _ in 0..LOOKS {
            if leader.is_none() {
                leader = self.seen(ask, "consistent").await?;
            }
            if leader.is_some() && self.seen(ask, "stale").await? >= leader {
                return Ok(());
            }
            sleep(BETWEEN_LOOKS).await;
        }
        match leader {
            Some(_) => Ok(()),
            None => Err(self.asked(ask).error(Error::new(Code::Unavailable, UNREAD))),
        }
    }

    /// The index of something that is not there, as the leader has it (`consistent`) or the agent's server (`stale`). Without
    /// the token, so that it is not judged here too. `None` from one that has not read its data yet: it does not even know
    /// whoever has no token.
    async fn seen(&self, ask: &Ask, consistency: &str) -> Result<Option<u64>> {
        let asked = self.asked(ask);
        let pools = self.pools().await.map_err(|why| asked.error(why))?;
        let request = pools.calls.get(format!("{}/v1/health/service/-?{consistency}", self.base));
        let request = request.headers(self.introduction().map_err(|why| asked.error(why))?);
        match self.whole(request).await {
            Ok((status, answer)) if status != StatusCode::OK => {
                if said(&answer.body).contains("ACL not found") {
                    return Ok(None);
                }
                let error = asked.error(asked.refusal(status, &answer.body));
                // What stands before the agent may refuse this too.
                if error.refused() { Ok(Some(0)) } else { Err(error) }
            }
            Ok((_, answer)) => Ok(Some(answer.index)),
            Err(Broken::Http(error)) => Err(asked.error(self.why(&asked, error).await)),
            Err(Broken::TooLong) => Ok(Some(0)),
        }
    }

    async fn once(&self, ask: &Ask, pool: Pool, fresh: bool) -> Result<Result<Answer, (Error, StatusCode)>> {
        let asked = self.asked(ask);
        let pools = self.pools().await.map_err(|why| asked.error(why))?;
        let client = if pool == Pool::Waiting { pools.waiting } else { pools.calls };
        let mut url = format!("{}{}", self.base, ask.path);
        let datacenter = self.agent.datacenter.as_ref().filter(|_| !ask.path.starts_with("/v1/agent/"));
        let query = ask.query.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in query.chain(datacenter.map(|name| ("dc", name.as_str()))) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(name);
            if !value.is_empty() {
                url.push('=');
                url.push_str(&encoded(value));
            }
        }
        let mut request = client
            .request(ask.method.clone(), url)
            .headers(self.headers(fresh).await.map_err(|why| asked.error(why))?);
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        match self.whole(request).await {
            Ok((StatusCode::OK, answer)) => {
                *self.unreachable() = None;
                Ok(Ok(answer))
            }
            Ok((status, answer)) => Ok(Err((asked.error(asked.refusal(status, &answer.body)), status))),
            Err(Broken::TooLong) => {
                let why = format!("its answer has more than {MAX_BODY} bytes");
                Err(asked.error(Error::new(Code::Protocol, why)))
            }
            Err(Broken::Http(error)) => Err(asked.error(self.why(&asked, error).await)),
        }
    }

    async fn headers(&self, fresh: bool) -> Result<HeaderMap> {
        let mut headers = self.introduction()?;
        if let Some(token) = self.tokens.current(fresh).await? {
            headers.insert("x-consul-token", secret(token.reveal(), "the token")?);
        }
        Ok(headers)
    }

    /// Who we are to what stands before the agent.
    fn introduction(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some((name, password)) = &self.agent.credentials {
            let word = STANDARD.encode(format!("{name}:{}", password.reveal()));
            headers.insert(AUTHORIZATION, secret(&format!("Basic {word}"), "username and password")?);
        }
        Ok(headers)
    }

    async fn whole(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Answer), Broken> {
        let mut response = request.send().await.map_err(Broken::Http)?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let index = header("x-consul-index").and_then(|text| text.parse().ok()).unwrap_or(0);
        // What a stream of the servers' gave the agent before (from 1.10) says nothing of the leader.
        let streamed = header("x-consul-query-backend") == Some("streaming");
        let leader = streamed || header("x-consul-knownleader") == Some("true");
        let behind = header("x-consul-lastcontact").and_then(|text| text.parse().ok()).unwrap_or(0);
        let filtered = header("x-consul-results-filtered-by-acls") == Some("true");
        let tls = response.extensions().get::<reqwest::tls::TlsInfo>();
        let presented = tls.and_then(|info| info.peer_certificate()).map(<[u8]>::to_vec);
        let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(1 << 20) as usize);
        while let Some(chunk) = response.chunk().await.map_err(Broken::Http)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Broken::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let behind = Duration::from_millis(behind);
        Ok((status, Answer { index, leader, behind, filtered, body: body.into(), presented }))
    }

    /// Why there was no whole answer.
    async fn why(&self, asked: &Asked<'_>, error: reqwest::Error) -> Error {
        let host = match &self.agent.place {
            Place::Tcp(endpoint) => &endpoint.host,
            Place::Unix(_) => "localhost",
        };
        let why = match &self.agent.tls {
            None if is_early(&error) && greeting::too_many(&self.agent.place).await => {
                Some(asked.refusal(StatusCode::TOO_MANY_REQUESTS, b""))
            }
            None => None,
            Some(tls) => match tls::explained(&error, host, tls) {
                Some(told) => Some(told),
                // What a server says of us before it closes may be lost on its way.
                None => greeting::refusal(&self.agent.place, tls).await,
            },
        };
        let why = why.unwrap_or_else(|| asked.broken(&error));
        if error.is_connect() {
            *self.unreachable() = Some((Instant::now(), why.clone()));
        }
        why
    }

    /// The pools, made anew if the files of TLS changed.
    async fn pools(&self) -> Result<Pools> {
        let pools = self.kept().clone().ok_or_else(|| Error::closed("client"))?;
        let Some(tls) = &self.agent.tls else { return Ok(pools) };
        if pools.looked.elapsed() < LOOK {
            return Ok(pools);
        }
        if let Some(pools) = &mut *self.kept() {
            pools.looked = Instant::now();
        }
        let (files, agent) = (pools.files.clone(), self.agent.clone());
        let paths = paths(tls);
        let made = tokio::task::spawn_blocking(move || {
            (changed(&paths) != files).then(|| Pools::new(&agent)).transpose()
        });
        let made = made
            .await
            .map_err(|error| Error::new(Code::Internal, "reading the files of TLS").with_cause(error))??;
        match made {
            None => Ok(pools),
            Some(made) => {
                if let Some(pools) = &mut *self.kept() {
                    *pools = made.clone();
                }
                Ok(made)
            }
        }
    }
}

enum Broken {
    Http(reqwest::Error),
    TooLong,
}

fn secret(text: &str, what: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| Error::config(format!("{what} can't be sent in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A text as one segment of a path or one value of a query.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
