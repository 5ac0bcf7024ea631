//! What one scenario has opened, and each verb as the call of the Rust API that it stands for.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use callsheet::{
    CallError, Changeset, Client, NamesWatch, Options, Outcome, Pick, Picker, RegistrationHandle, Snapshot,
    States, Watch, host,
};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use crate::args::{Args, Fail, wrong};
use crate::callback::Callback;
use crate::compare::difference;
use crate::health::HealthServer;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::registry::Registry;
use crate::verbs::{code, filter, option, picking, registration, serves, snapshot};

/// Asked again until the answer is the expected one or `within` is over. Everything else is done once.
const QUESTIONS: [&str; 10] =
    ["state", "lookup", "services", "see", "pick", "spread", "ejected", "called", "stats", "ping"];
/// What looks at the registry, or at what was read of it.
const READS: [&str; 13] = [
    "lookup",
    "wait_for",
    "services",
    "watch",
    "watch_services",
    "next",
    "see",
    "on_change",
    "called",
    "picker",
    "pick",
    "spread",
    "call",
];
/// How long a step may take that does not say.
const WITHIN: Duration = Duration::from_secs(10);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

enum Handle {
    Client(Client),
    /// With the states that were seen.
    Registration(RegistrationHandle, Box<States>, Vec<String>),
    /// With the snapshot that was read last.
    Watch(Watch, Option<Snapshot>),
    Names(NamesWatch),
    Picker(Picker),
    Pick(Option<Pick>),
    Callback(Callback),
    Listener(Option<Listener>),
    Health(Option<HealthServer>),
    Peer(Peer),
}

/// One scenario's handles, by name.
pub struct World {
    registry: Registry,
    peer: PathBuf,
    handles: HashMap<String, Handle>,
    held: Vec<Pick>,
}

/// The handle that a step is `of`; where it does not say, the one named like its kind.
macro_rules! of {
    ($self:ident, $args:ident, $kind:ident($($part:pat),+)) => {
        let name = $args.text("of")?.unwrap_or_else(|| stringify!($kind).to_lowercase());
        let Some(Handle::$kind($($part),+)) = $self.handles.get_mut(&name) else {
            return wrong(format!("there is no {} {name:?}", stringify!($kind).to_lowercase()));
        };
    };
}

impl World {
    /// A world with this registry; `peer` is the program that runs steps in another process.
    pub fn new(registry: Registry, peer: &Path) -> Self {
        World { registry, peer: peer.to_owned(), handles: HashMap::new(), held: Vec::new() }
    }

    /// Where its registry is.
    pub fn url(&self) -> &str {
        self.registry.url()
    }

    /// The options that clients of it need.
    pub fn login(&self) -> Map<String, Value> {
        self.registry.login()
    }

    /// Does a step and compares what came of it with what it expects.
    ///
    /// # Errors
    /// What was expected and what was seen.
    pub async fn step(&mut self, step: &Value) -> Result<(), String> {
        self.judge(step).await.map_err(|fail| match fail {
            Fail::Wrong(why) => why,
            Fail::Api(error) => format!("{error:?}"),
        })
    }

    async fn judge(&mut self, step: &Value) -> Result<(), Fail> {
        let mut args = Args::new(step)?;
        if READS.iter().any(|verb| step["do"] == *verb) {
            self.registry.settle()?;
        }
        if let Some(process) = args.text("in")? {
            return match self.handles.get_mut(&process) {
                Some(Handle::Peer(peer)) => peer.run(&Value::Object(args.0)),
                _ => wrong(format!("there is no peer {process:?}")),
            };
        }
        let (verb, error, is) = (args.need("do")?, args.text("error")?, Value::Object(args.object("is")?.0));
        let question = QUESTIONS.contains(&verb.as_str());
        let limit = args.seconds("within")?.unwrap_or(if question { Duration::ZERO } else { WITHIN });
        let (start, expected) = (Instant::now(), error.as_deref().unwrap_or("success"));
        loop {
            let mut args = args.clone();
            let call = self.act(&verb, &mut args, start + limit);
            let done = timeout(2 * limit.max(WITHIN), call).await.unwrap_or_else(|_| wrong("it never ended"));
            let took = start.elapsed();
            let (mut seen, off) = match done {
                Err(Fail::Wrong(why)) => (Value::Null, Some(why)),
                Err(Fail::Api(error)) => {
                    let (code, message) = (error.code().as_str(), error.to_string());
                    let off =
                        (code != expected).then(|| format!("expected {expected}, saw {code}: {message}"));
                    let retryable = ["no_instances", "unavailable", "timeout"].contains(&code);
                    let odd = message.is_empty() || error.retryable() != retryable;
                    (
                        json!({"message": message}),
                        off.or(odd.then(|| format!("{code}: message or retryable"))),
                    )
                }
                Ok(seen) => {
                    args.end()?;
                    (seen, error.as_ref().map(|code| format!("expected the error {code}, but it succeeded")))
                }
            };
            seen.as_object_mut().map(|seen| seen.insert("seconds".into(), took.as_secs_f64().into()));
            let off =
                off.or_else(|| difference("is", &is, &seen).map(|off| format!("{off}; all of it: {seen}")));
            match off {
                None if question || took <= limit => return Ok(()),
                None => return wrong(format!("expected it within {limit:?}, it took {took:?}")),
                Some(_) if question && took < limit => sleep(PAUSE).await,
                Some(why) => return wrong(why),
            }
        }
    }

    fn keep(&mut self, args: &mut Args, default: &str, handle: Handle) -> Result<Value, Fail> {
        self.handles.insert(args.text("as")?.unwrap_or_else(|| default.into()), handle);
        Ok(json!({}))
    }

    async fn act(&mut self, verb: &str, args: &mut Args, deadline: Instant) -> Result<Value, Fail> {
        match verb {
            "connect" => {
                let mut options = Options::new();
                for (name, value) in args.object("options")?.0 {
                    options.set(&name, option(&value)?)?;
                }
                let builder = Client::builder().options(options);
                let client = match args.0.remove("url") {
                    Some(Value::Null) => builder.connect()?,
                    Some(url) => builder.url(url.as_str().unwrap_or_default()).connect()?,
                    None => builder.url(self.url()).connect()?,
                };
                return self.keep(args, "client", Handle::Client(client));
            }
            "ping" => {
                of!(self, args, Client(client));
                client.ping().await?;
            }
            "stats" => {
                of!(self, args, Client(client));
                return Ok(json!(client.stats()?));
            }
            "close_on_signals" => {
                of!(self, args, Client(client));
                client.close_on_signals()?;
            }
            "register" => {
                of!(self, args, Client(client));
                let registration = client.register(registration(args.object("with")?)?).await?;
                let states = Box::new(registration.states()?);
                return self.keep(
                    args,
                    "registration",
                    Handle::Registration(registration, states, Vec::new()),
                );
            }
            "deregister" => {
                of!(self, args, Client(client));
                client.deregister(&args.need("id")?).await?;
            }
            "ready" => {
                of!(self, args, Registration(registration, _, _));
                registration.ready(args.seconds("timeout")?.unwrap_or(WITHIN)).await?;
            }
            "wait" => {
                of!(self, args, Registration(registration, _, _));
                let limit = args.seconds("timeout")?.unwrap_or(WITHIN);
                registration.wait(args.need("state")?.parse()?, limit).await?;
            }
            "update" => {
                of!(self, args, Registration(registration, _, _));
                let (mut with, mut changes) = (args.object("with")?, Changeset::new());
                changes = with.texts("tags")?.into_iter().fold(changes, Changeset::tags);
                changes = with.pairs("metadata")?.into_iter().fold(changes, Changeset::metadata);
                if let Some(weight) = with.whole("weight")? {
                    changes = changes.weight(host::check_weight(weight)?);
                }
                with.end()?;
                registration.update(changes).await?;
            }
            "set_status" => {
                of!(self, args, Registration(registration, _, _));
                let note = args.text("note")?.unwrap_or_default();
                registration.set_status(args.need("status")?.parse()?, &note).await?;
            }
            "drain" => {
                of!(self, args, Registration(registration, _, _));
                registration.drain().await?;
            }
            "beat" => {
                of!(self, args, Registration(registration, _, _));
                registration.beat()?;
            }
            "state" => {
                of!(self, args, Registration(registration, states, seen));
                let mut context = Context::from_waker(Waker::noop());
                while let Poll::Ready(Some(change)) = states.poll_next_state(&mut context) {
                    seen.push(change.state.to_string());
                }
                return Ok(json!({
                    "state": registration.state().as_str(), "id": registration.id(), "states": seen,
                    "last_error": code(registration.last_error().as_ref()),
                }));
            }
            "lookup" => {
                of!(self, args, Client(client));
                return snapshot(&client.lookup_with(&args.need("service")?, &filter(args)?).await?, None);
            }
            "wait_for" => {
                of!(self, args, Client(client));
                let (service, filter) = (args.need("service")?, filter(args)?);
                let count = args.whole("count")?.unwrap_or(1) as usize;
                let limit = args.seconds("timeout")?.unwrap_or(WITHIN);
                return snapshot(&client.wait_for_with(&service, &filter, count, limit).await?, None);
            }
            "services" => {
                of!(self, args, Client(client));
                return Ok(json!({"names": client.services().await?.to_vec()}));
            }
            "watch" => {
                of!(self, args, Client(client));
                let watch = client.watch_with(&args.need("service")?, &filter(args)?)?;
                return self.keep(args, "watch", Handle::Watch(watch, None));
            }
            "watch_services" => {
                of!(self, args, Client(client));
                let names = Handle::Names(client.watch_services()?);
                return self.keep(args, "watch", names);
            }
            "next" | "see" => {
                let name = args.text("of")?.unwrap_or_else(|| "watch".into());
                return match self.handles.get_mut(&name) {
                    Some(Handle::Watch(watch, last)) => match before(deadline, watch.next()).await? {
                        None => Ok(json!({"ended": true})),
                        Some(next) => {
                            let mut seen = snapshot(&next, last.as_ref())?;
                            seen["skipped"] = (watch.skipped() > 0).into();
                            *last = Some(next);
                            Ok(seen)
                        }
                    },
                    Some(Handle::Names(names)) => Ok(match before(deadline, names.next()).await? {
                        None => json!({"ended": true}),
                        Some(names) => json!({"names": names.to_vec()}),
                    }),
                    _ => wrong(format!("there is no watch {name:?}")),
                };
            }
            "on_change" => {
                of!(self, args, Client(client));
                let (raises, closes) = (args.flag("raises")?.unwrap_or(false), args.text("closes")?);
                let (service, filter) = (args.need("service")?, filter(args)?);
                let callback = Callback::open(client, &service, &filter, raises, closes)?;
                return self.keep(args, "callback", Handle::Callback(callback));
            }
            "called" => {
                of!(self, args, Callback(callback));
                let snapshots = callback.snapshots()?;
                let previous = snapshots.len().checked_sub(2).map(|at| &snapshots[at]);
                let mut seen = snapshots.last().map_or(Ok(json!({})), |last| snapshot(last, previous))?;
                seen["times"] = snapshots.len().into();
                return Ok(seen);
            }
            "picker" => {
                of!(self, args, Client(client));
                let (service, options) = (args.need("service")?, picking(args)?);
                let picker = client.open_picker(&service, options).await?;
                return self.keep(args, "picker", Handle::Picker(picker));
            }
            "pick" => {
                of!(self, args, Picker(picker));
                let pick = match (args.text("key")?, args.seconds("timeout")?) {
                    (Some(key), Some(limit)) => picker.pick_key_within(key, limit).await?,
                    (Some(key), None) => picker.pick_key(key)?,
                    (None, Some(limit)) => picker.pick_within(limit).await?,
                    (None, None) => picker.pick()?,
                };
                let (id, address, port, url) = (pick.id(), pick.address(), pick.port(), pick.url());
                let seen = json!({"id": id, "address": address, "port": port, "url": url});
                return self.keep(args, "pick", Handle::Pick(Some(pick))).map(|_| seen);
            }
            "done" => {
                of!(self, args, Pick(pick));
                let Some(pick) = pick.take() else { return wrong("this pick is done already") };
                match &*args.need("outcome")? {
                    "ok" => pick.done(true),
                    "failed" => pick.done(false),
                    "cancelled" => pick.done(Outcome::Cancelled),
                    other => return wrong(format!("there is no outcome {other:?}")),
                }
            }
            "spread" => {
                of!(self, args, Picker(picker));
                let failed = args.texts("failed")?.unwrap_or_default();
                let hold = args.flag("hold")?.unwrap_or(false);
                let mut counts = BTreeMap::<String, u64>::new();
                for _ in 0..args.whole("picks")?.unwrap_or(1) {
                    let pick = picker.pick()?;
                    *counts.entry(pick.id().to_owned()).or_default() += 1;
                    match pick.id().to_owned() {
                        _ if hold => self.held.push(pick),
                        id => pick.done(!failed.contains(&id)),
                    }
                }
                let ids: Vec<_> = counts.keys().collect();
                return Ok(json!({"ids": ids, "counts": counts}));
            }
            "ejected" => {
                of!(self, args, Picker(picker));
                let ids: Vec<_> = picker.ejected()?.iter().map(|instance| instance.id.clone()).collect();
                return Ok(json!({"ids": ids}));
            }
            "call" => {
                of!(self, args, Picker(picker));
                let attempts = args.whole("attempts")?.unwrap_or(1) as usize;
                let fails: HashMap<_, _> = args.pairs("fails")?.unwrap_or_default().into_iter().collect();
                let mut calls = 0;
                let called = picker.call(attempts, |instance| {
                    calls += 1;
                    let failure = fails.get(&instance.id).map(|errno| match errno.as_str() {
                        "ECONNREFUSED" => io::Error::from(io::ErrorKind::ConnectionRefused),
                        _ => io::Error::from(io::ErrorKind::ConnectionReset),
                    });
                    async move { failure.map_or(Ok(instance.id.clone()), Err) }
                });
                return match called.await {
                    Ok(id) => Ok(json!({"calls": calls, "id": id})),
                    Err(CallError::Pick(error)) => Err(error.into()),
                    Err(CallError::Call(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        Ok(json!({"calls": calls, "failed": "ECONNREFUSED"}))
                    }
                    Err(_) => Ok(json!({"calls": calls, "failed": "ECONNRESET"})),
                };
            }
            "fault" => self.registry.fault(args)?,
            "listen" => {
                let port = host::check_port(args.whole("port")?.unwrap_or_default())?;
                let listener = match serves(args)? {
                    Some(serves) => {
                        HealthServer::open(port, serves).map(|server| Handle::Health(Some(server)))
                    }
                    None => Listener::open(port, args.whole("answers")?)
                        .map(|listener| Handle::Listener(Some(listener))),
                };
                let listener =
                    listener.map_err(|why| Fail::Wrong(format!("can't listen on {port}: {why}")))?;
                return self.keep(args, "listener", listener);
            }
            "peer" => {
                let peer = Peer::start(&self.peer, self.url(), args.pairs("env")?.unwrap_or_default())?;
                return self.keep(args, "peer", Handle::Peer(peer));
            }
            "kill" => {
                of!(self, args, Peer(peer));
                peer.kill(&args.text("signal")?.unwrap_or_else(|| "KILL".into()), WITHIN)?;
            }
            "exit" => {
                of!(self, args, Peer(peer));
                peer.exit(WITHIN)?;
            }
            "close" => {
                let name = args.need("of")?;
                match self.handles.get_mut(&name) {
                    Some(Handle::Client(client)) => client.close().await?,
                    Some(Handle::Registration(registration, ..)) => registration.close().await?,
                    Some(Handle::Watch(watch, _)) => watch.close(),
                    Some(Handle::Names(names)) => names.close(),
                    Some(Handle::Callback(callback)) => callback.close().await?,
                    Some(Handle::Listener(listener)) => drop(listener.take()),
                    Some(Handle::Health(server)) => drop(server.take()),
                    _ => return wrong(format!("there is nothing to close that is called {name:?}")),
                }
            }
            other => return wrong(format!("there is no verb {other:?}")),
        }
        Ok(json!({}))
    }

    /// Looks once more at what must hold in every scenario, heals the registry and closes the clients.
    ///
    /// # Errors
    /// What did not hold.
    pub async fn end(mut self) -> Result<(), String> {
        for handle in self.handles.values() {
            if let Handle::Callback(callback) = handle
                && let Err(Fail::Wrong(why)) = callback.snapshots()
            {
                return Err(why);
            }
        }
        self.registry.heal()?;
        for handle in self.handles.into_values() {
            if let Handle::Client(client) = handle {
                let _ = client.close().await;
            }
        }
        Ok(())
    }
}

async fn before<T>(deadline: Instant, next: impl Future<Output = T>) -> Result<T, Fail> {
    let left = deadline.saturating_duration_since(Instant::now());
    timeout(left, next).await.or_else(|_| wrong("nothing came in time"))
}
