//! The seam between what callsheet does and where registrations are stored. A registry does only what differs between
//! registries; backoff, coalescing, freshness, ownership rules and picking are written once above it.

#[cfg(test)]
pub(crate) mod fragile;
mod owner;
#[cfg(any(feature = "consul", feature = "etcd", feature = "local"))]
mod undecodable;

#[cfg(feature = "consul")]
pub(crate) mod consul;
#[cfg(feature = "dns")]
pub(crate) mod dns;
#[cfg(feature = "etcd")]
pub(crate) mod etcd;
#[cfg(feature = "local")]
pub(crate) mod local;
pub(crate) mod memory;
#[cfg(any(feature = "consul", feature = "etcd"))]
mod route;
pub(crate) mod static_file;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{Config, Scheme};
use crate::diagnosis::Finding;
use crate::error::{Code, Error, Result};
use crate::health::Check;
use crate::instance::Instance;
use crate::stats::Counters;

pub(crate) use owner::{Owner, fnv1a, random_u64};

/// What is stored for one instance: itself, and who keeps it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) instance: Instance,
    /// `None` for what other tools wrote.
    pub(crate) owner: Option<Owner>,
    /// Why the status is what it is, for registries that show such a text. Not part of what readers get.
    pub(crate) note: String,
}

impl Record {
    /// What nobody keeps there whom we know.
    pub(crate) fn unowned(instance: Instance) -> Self {
        Record { instance, owner: None, note: String::new() }
    }
}

/// A place in a registry's history. Positions of different epochs can't be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Identity of the history: etcd's cluster id, the birth of a `local:` file, 0 where there is none.
    pub(crate) epoch: u64,
    /// etcd's revision, Consul's index, the counter of `local:`.
    pub(crate) index: u64,
}

/// A service as the registry has it now.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// At most one record per id, in any order.
    pub(crate) records: Vec<Record>,
    pub(crate) position: Position,
    /// Whether an empty list is certainly the truth, and not a registry that lost its data, has no leader or hides
    /// what we may not read. Only an unproven empty list is held back.
    pub(crate) proven: bool,
}

/// What [`Follow::next`] has to tell.
#[derive(Debug)]
pub(crate) enum Update {
    /// One transaction of a registry with a history: becomes one snapshot.
    Changes { changes: Vec<Change>, position: Position },
    /// The whole service, from a registry that answers with lists.
    List(Listing),
    /// Nothing changed, and the registry is alive.
    Alive,
    /// The position can't be followed any further (compacted, another cluster): load again and compare.
    Reload,
}

/// One change of a service. Nearly all are puts, so boxing them would cost an allocation each and save nothing.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant)]
pub(crate) enum Change {
    Put(Record),
    Delete { id: String },
}

/// Changes of one service after a position. Ends with an error; the caller then loads again.
#[async_trait]
pub(crate) trait Follow: Send {
    /// The next update. Cancel-safe. Says [`Update::Alive`] or fails within the registry's own watchdog time, so that
    /// silence never passes for health.
    async fn next(&mut self) -> Result<Update>;
}

/// All service names, whole each time.
#[async_trait]
pub(crate) trait FollowNames: Send {
    /// The names, sorted: at once on the first call, then after each change. Cancel-safe.
    async fn next(&mut self) -> Result<Vec<String>>;
}

/// What to publish, and how it is kept alive.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) record: Arc<Record>,
    pub(crate) ttl: Duration,
    /// For registries whose agent runs checks; elsewhere the core runs it and publishes its result as the status.
    #[cfg_attr(
        not(feature = "consul"),
        expect(dead_code, reason = "no registry of this build has an agent")
    )]
    pub(crate) check: Check,
    pub(crate) claim: Claim,
}

/// Which present holder of the id a publish may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// None but ourselves and owners that are known to be dead.
    IfFree,
    /// Also this very holder, as [`Holder::version`] named it; not whoever came after it.
    Replace(u64),
}

/// How a publish ended.
pub(crate) enum Published {
    Ours(Box<dyn Publication>),
    Held(Holder),
}

/// Another live owner of an id.
pub(crate) struct Holder {
    /// `None`: written by another tool.
    pub(crate) owner: Option<Owner>,
    /// Names this state of the id, for [`Claim::Replace`].
    pub(crate) version: u64,
    /// Resolves when the id may be free again, or when the registry can no longer tell.
    pub(crate) released: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why a publication ended by itself.
pub(crate) enum Loss {
    /// The lease ran out, or somebody deleted the instance.
    Gone(Error),
    /// Another live owner has the id now.
    Taken(Holder),
}

/// One instance kept in the registry. Renewal goes on below this trait, shared where the registry can share it.
/// Dropping a publication stops renewal and leaves the instance to its TTL.
#[async_trait]
pub(crate) trait Publication: Send {
    /// Resolves once the instance is no longer there by our hand. Cancel-safe; always polled while published.
    async fn lost(&mut self) -> Loss;
    /// Writes the instance anew without a gap, if it is still ours; if not, fails and [`Publication::lost`] says why.
    async fn update(&mut self, record: Arc<Record>) -> Result<()>;
    /// Removes the instance if it is still ours, and with it the lease if that was its last.
    async fn withdraw(&mut self) -> Result<()>;
}

/// Where registrations are stored. Implementations are cheap to make and connect on first use; every call has its own
/// deadline from above and must be safe to drop at any await.
#[async_trait]
pub(crate) trait Registry: Send + Sync + 'static {
    /// The URL, without secrets: what errors and snapshots name.
    fn source(&self) -> &str;
    /// Asks the registry something cheap now.
    async fn ping(&self) -> Result<()>;
    /// Fails where nothing can be registered, and says why. Asked before [`Registry::advertised_address`] and
    /// [`Registry::publish`], which such a registry does not have.
    fn writable(&self) -> Result<()> {
        Ok(())
    }

    /// The address under which this process is reachable for those who read this registry. Does not fail because the
    /// registry is down: registering then would.
    async fn advertised_address(&self) -> Result<String> {
        Err(Error::new(Code::Internal, "a registry that is only read was asked to write"))
    }
    /// Whether it can store the instance at all, beyond the limits of all registries.
    fn takes(&self, _: &Instance) -> Result<()> {
        Ok(())
    }
    /// Writes an instance and keeps it alive.
    async fn publish(&self, _: Publish) -> Result<Published> {
        Err(Error::new(Code::Internal, "a registry that is only read was asked to write"))
    }
    /// Reads a service. `since` is the position of the last list, for registries that prove emptiness by it.
    async fn load(&self, service: &str, since: Option<Position>) -> Result<Listing>;
    /// Follows a service from where a load ended.
    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>>;
    /// Follows the names of all services.
    async fn follow_names(&self) -> Result<Box<dyn FollowNames>>;
    /// Whether an agent runs `tcp`, `http` and `grpc` checks itself.
    fn runs_checks(&self) -> bool {
        false
    }
    /// What can be told of it beyond whether it answers: versions, permissions, room, clocks. Asked by `doctor`, also
    /// when it does not answer; what a ping fails with need not be told again.
    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }
    /// Lets go of what the registry holds; publications are withdrawn before.
    async fn close(&self) {}
}

/// The registry that a configuration names. A new registry is one module and one line here.
pub(crate) fn open(config: &Config, counters: Arc<Counters>) -> Result<Arc<dyn Registry>> {
    if config.insecure() {
        tracing::warn!(
            registry = config.source(),
            "insecure: TLS without verification, so that anybody on the network may pass for the registry, learn what is \
             sent to it and say who is called"
        );
    }
    match config.scheme() {
        Scheme::Memory => Ok(memory::open(config, counters)),
        Scheme::Static => static_file::open(config),
        #[cfg(feature = "etcd")]
        Scheme::Etcd { .. } => etcd::open(config, counters),
        #[cfg(not(feature = "etcd"))]
        Scheme::Etcd { .. } => Err(Error::config(
            "this build of callsheet lacks etcd (the cargo feature `etcd` is off); name another registry",
        )),
        #[cfg(feature = "consul")]
        Scheme::Consul { .. } => consul::open(config, counters),
        #[cfg(not(feature = "consul"))]
        Scheme::Consul { .. } => Err(Error::config(
            "this build of callsheet lacks consul (the cargo feature `consul` is off); name another registry",
        )),
        #[cfg(feature = "dns")]
        Scheme::Dns => dns::open(config),
        #[cfg(not(feature = "dns"))]
        Scheme::Dns => Err(Error::config(
            "this build of callsheet lacks dns (the cargo feature `dns` is off); name another registry",
        )),
        #[cfg(feature = "local")]
        Scheme::Local => local::open(config, counters),
        #[cfg(not(feature = "local"))]
        Scheme::Local => Err(Error::config(
            "this build of callsheet lacks local: (the cargo feature `local` is off); name another registry",
        )),
    }
}
