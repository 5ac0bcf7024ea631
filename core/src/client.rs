//! The client: one registry, its registrations, its watched services. Every verb is checked here and then handed to
//! the actor that does it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::balance::{Picker, PickerOptions, Policy};
use crate::breaker::Breaker;
use crate::builder::Builder;
use crate::cache::{Disk, IDLE, Saver, Services};
use crate::callbacks::Callbacks;
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::{Code, Error, Result};
use crate::filter::Filter;
use crate::fork;
use crate::instance::{Instance, check_service, quoted};
use crate::registration::{
    Attempt, Caller, Registration, RegistrationHandle, Running, Settings, Shared, State, Unclaimed,
};
use crate::registry::{self, Owner, Registry};
use crate::runtime::{spawn, spawn_detached, within};
use crate::snapshot::Snapshot;
use crate::stats::{Counters, Stats};
use crate::watch::{NamesFollower, NamesWatch, ServiceUser, Start, Watch};

/// Time for the registry to let go of what it holds, once everything is withdrawn.
const LET_GO: Duration = Duration::from_secs(1);

/// A connection to one registry. Cheap to clone; clones are the same client.
///
/// Its methods may be awaited on any executor: the work runs on callsheet's own threads. Dropping the last clone
/// without [`Client::close`] stops renewal and leaves registrations to their TTL.
#[derive(Clone)]
pub struct Client(fork::Owned<Arc<Inner>>);

pub(crate) struct Inner {
    config: Config,
    source: String,
    registry: Arc<dyn Registry>,
    fallbacks: Arc<[Arc<dyn Registry>]>,
    saver: Option<Arc<Saver>>,
    breaker: Arc<Breaker>,
    runtime: Handle,
    counters: Arc<Counters>,
    services: Services,
    names: NamesFollower,
    owner: Owner,
    registrations: Mutex<HashMap<(String, String), Arc<Running>>>,
    pub(crate) callbacks: Callbacks,
    closed: AtomicBool,
    /// Becomes true when closing is over.
    ended: tokio::sync::watch::Sender<bool>,
    /// Held while closing, so that a second close returns when the first has ended; true from then on.
    closing: tokio::sync::Mutex<bool>,
    sweeper: Mutex<Option<AbortHandle>>,
}

/// Lets go of what nobody uses any more.
async fn sweep(inner: Weak<Inner>) {
    loop {
        sleep(IDLE / 10).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.services.retire(IDLE);
        inner.names.retire(IDLE);
    }
}

impl Client {
    pub(crate) fn start(config: Config, runtime: Handle) -> Result<Client> {
        let counters = Arc::new(Counters::default());
        let registry = registry::open(&config, counters.clone())?;
        let fallbacks: Arc<[_]> = config
            .fallbacks
            .iter()
            .map(|one| registry::open(one, counters.clone()))
            .collect::<Result<_>>()?;
        let saver = config.cache_dir.as_ref().map(|folder| {
            let (identity, source) = (config.identity(), registry.source());
            let disk = Disk::new(folder, &identity, source, config.cache_max_age, config.cache_size);
            Arc::new(Saver::new(disk, &runtime))
        });
        let breaker = Arc::new(Breaker::new(counters.clone()));
        let start = Start {
            registry: registry.clone(),
            runtime: runtime.clone(),
            counters: counters.clone(),
            timeout: config.timeout,
            empty_hold: config.empty_hold,
            breaker: breaker.clone(),
            saver: saver.clone(),
            fallbacks: fallbacks.clone(),
        };
        let inner = Arc::new(Inner {
            source: registry.source().to_owned(),
            registry,
            fallbacks,
            saver,
            breaker,
            counters,
            services: Services::new(start.clone(), config.cache_size),
            names: NamesFollower::new(start),
            owner: Owner::new(),
            registrations: Mutex::default(),
            callbacks: Callbacks::default(),
            closed: AtomicBool::new(false),
            ended: tokio::sync::watch::Sender::new(false),
            closing: tokio::sync::Mutex::new(false),
            sweeper: Mutex::new(None),
            config,
            runtime,
        });
        let sweeper = inner.runtime.spawn(sweep(Arc::downgrade(&inner))).abort_handle();
        *inner.sweeper.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(sweeper);
        Ok(Client(fork::Owned::new(inner)))
    }

    /// A client of the registry at `url`, with default options. Does no I/O towards the registry.
    ///
    /// # Errors
    /// `config`.
    pub fn connect(url: &str) -> Result<Client> {
        Self::builder().url(url).connect()
    }

    /// A client of the registry that `$CALLSHEET_URL` names, else of `local:`.
    ///
    /// # Errors
    /// `config`.
    pub fn from_env() -> Result<Client> {
        Self::builder().connect()
    }

    /// A client with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn open(&self) -> Result<&Arc<Inner>> {
        let inner = self.0.get()?;
        if inner.closed.load(Ordering::Acquire) {
            return Err(Error::closed("client"));
        }
        Ok(inner)
    }

    fn user(&self, service: &str, filter: &Filter) -> Result<(&Arc<Inner>, ServiceUser)> {
        let inner = self.open()?;
        check_service(service)?;
        filter.validate()?;
        Ok((inner, inner.services.user(service)?))
    }

    /// The registry's URL, without secrets.
    pub fn source(&self) -> &str {
        &self.0.peek().source
    }

    /// Time that one request may take.
    pub fn timeout(&self) -> Duration {
        self.0.peek().config.timeout
    }

    /// Registers an instance and keeps it registered. Waits for the first try, at most the client's timeout: on return
    /// the instance is registered, or [`RegistrationHandle::last_error`] says why not yet, and it goes on trying.
    ///
    /// # Errors
    /// `invalid_argument`; `conflict` when this client has a registration of this service and id; `closed`; `forked`.
    /// Never because the registry is down or refuses.
    pub async fn register(&self, registration: Registration) -> Result<RegistrationHandle> {
        let inner = self.open()?.clone();
        registration.validate()?;
        let attempt = Arc::<Attempt>::default();
        let caller = Caller::new(attempt.clone());
        let runtime = inner.runtime.clone();
        let registered = spawn(&runtime, async move { inner.register(registration, &attempt).await }).await?;
        caller.claim();
        Ok(registered.claim())
    }

    /// The registration of this client with this id.
    ///
    /// # Errors
    /// `not_found`; `conflict` when registrations of several services have this id; `closed`; `forked`.
    pub fn registration(&self, id: &str) -> Result<RegistrationHandle> {
        let inner = self.open()?;
        let registrations = inner.registrations();
        let mut found = registrations
            .values()
            .filter(|running| running.shared.state() != State::Closed && running.shared.instance().id == id);
        match (found.next(), found.next()) {
            (Some(running), None) => Ok(RegistrationHandle::new(running.clone())),
            (None, _) => Err(Error::new(
                Code::NotFound,
                format!("this client has no registration with the id {}", quoted(id)),
            )),
            (Some(_), Some(_)) => Err(Error::new(
                Code::Conflict,
                format!(
                    "several services of this client have the id {}; close the handle instead",
                    quoted(id)
                ),
            )),
        }
    }

    /// Closes the registration of this client with this id.
    ///
    /// # Errors
    /// As for [`Client::registration`] and [`RegistrationHandle::close`].
    pub async fn deregister(&self, id: &str) -> Result<()> {
        self.registration(id)?.close().await
    }

    /// The healthy instances of a service. Waits for the first load, then answers from memory.
    ///
    /// # Errors
    /// `unavailable` when the registry can't be read and nothing was read before; `invalid_argument`; `closed`;
    /// `forked`. An empty list is an answer.
    pub async fn lookup(&self, service: &str) -> Result<Snapshot> {
        self.lookup_with(service, &Filter::new()).await
    }

    /// [`Client::lookup`] of the instances that `filter` lets through.
    ///
    /// # Errors
    /// As for [`Client::lookup`].
    pub async fn lookup_with(&self, service: &str, filter: &Filter) -> Result<Snapshot> {
        let (inner, user) = self.user(service, filter)?;
        if let (_, Some(snapshot)) = user.view(filter) {
            return Ok(snapshot);
        }
        let (filter, limit) = (filter.clone(), inner.config.timeout);
        spawn(&inner.runtime, async move { user.current(&filter, limit).await }).await
    }

    /// Follows the healthy instances of a service.
    ///
    /// # Errors
    /// `invalid_argument`, `closed`, `forked`; never because the registry is away.
    pub fn watch(&self, service: &str) -> Result<Watch> {
        self.watch_with(service, &Filter::new())
    }

    /// [`Client::watch`] of the instances that `filter` lets through.
    ///
    /// # Errors
    /// As for [`Client::watch`].
    pub fn watch_with(&self, service: &str, filter: &Filter) -> Result<Watch> {
        let (_, user) = self.user(service, filter)?;
        let (view, _) = user.view(filter);
        Ok(Watch::new(view, user))
    }

    /// Waits until a service has at least `count` healthy instances, and gives them back.
    ///
    /// # Errors
    /// `timeout`; `invalid_argument`; `closed`; `forked`.
    pub async fn wait_for(&self, service: &str, count: usize, timeout: Duration) -> Result<Snapshot> {
        self.wait_for_with(service, &Filter::new(), count, timeout).await
    }

    /// [`Client::wait_for`] of instances that `filter` lets through.
    ///
    /// # Errors
    /// As for [`Client::wait_for`].
    pub async fn wait_for_with(
        &self,
        service: &str,
        filter: &Filter,
        count: usize,
        timeout: Duration,
    ) -> Result<Snapshot> {
        let watch = self.watch_with(service, filter)?;
        let (name, source) = (service.to_owned(), self.source().to_owned());
        let work = async move {
            let mut last: Option<Snapshot> = None;
            let enough = async {
                while let Some(snapshot) = watch.next().await {
                    if snapshot.len() >= count {
                        return Ok(snapshot);
                    }
                    last = Some(snapshot);
                }
                Err(Error::closed("client"))
            };
            let found = tokio::time::timeout(timeout, enough).await;
            found.unwrap_or_else(|_| {
                let seen = match &last {
                    Some(snapshot) => format!("it has {} ({})", snapshot.len(), snapshot.freshness()),
                    None => format!("{source} was never read"),
                };
                let error = Error::new(
                    Code::Timeout,
                    format!("{name:?} did not have {count} instances within {timeout:?}: {seen}"),
                );
                Err(match last.as_ref().and_then(Snapshot::last_error) {
                    Some(cause) => error.with_cause(cause.clone()),
                    None => error,
                })
            })
        };
        spawn(&self.open()?.runtime, work).await
    }

    /// The names of all services that have an instance, sorted.
    ///
    /// # Errors
    /// `unavailable`, `closed`, `forked`.
    pub async fn services(&self) -> Result<Arc<[String]>> {
        let inner = self.open()?.clone();
        let limit = inner.config.timeout;
        spawn(&inner.runtime.clone(), async move { inner.names.current(limit).await }).await
    }

    /// Follows the names of all services.
    ///
    /// # Errors
    /// `closed`, `forked`.
    pub fn watch_services(&self) -> Result<NamesWatch> {
        self.open()?.names.watch()
    }

    /// A load balancer over the healthy instances of a service. Waits for the first load, at most the client's
    /// timeout; a registry that is down leaves the picker empty until it is back.
    ///
    /// # Errors
    /// `invalid_argument`, `closed`, `forked`.
    pub async fn picker(&self, service: &str, policy: Policy) -> Result<Picker> {
        self.picker_with(service, policy, &Filter::new()).await
    }

    /// [`Client::picker`] over the instances that `filter` lets through.
    ///
    /// # Errors
    /// As for [`Client::picker`].
    pub async fn picker_with(&self, service: &str, policy: Policy, filter: &Filter) -> Result<Picker> {
        self.open_picker(service, PickerOptions::new(policy).filter(filter.clone())).await
    }

    /// [`Client::picker`] with everything that can be chosen.
    ///
    /// # Errors
    /// As for [`Client::picker`].
    pub async fn open_picker(&self, service: &str, options: PickerOptions) -> Result<Picker> {
        options.validate()?;
        let filter = options.seen();
        let (inner, user) = self.user(service, &filter)?;
        let (view, current) = user.view(&filter);
        let limit = inner.config.timeout;
        let user = if current.is_none() {
            spawn(&inner.runtime, async move {
                let _ = user.current(&filter, limit).await;
                Ok(user)
            })
            .await?
        } else {
            user
        };
        let (counters, runtime) = (inner.counters.clone(), inner.runtime.clone());
        Ok(Picker::new((service, &inner.source), options, counters, view, user, runtime, limit))
    }

    /// Asks the registry something cheap now.
    ///
    /// # Errors
    /// What is wrong with it: `unavailable`, `timeout`, `unauthenticated`, `permission_denied`; `closed`; `forked`.
    pub async fn ping(&self) -> Result<()> {
        let inner = self.open()?.clone();
        let limit = inner.config.timeout;
        spawn(&inner.runtime.clone(), async move {
            let late = || format!("{} did not answer a ping within {limit:?}", inner.source);
            let answer = within(limit, inner.registry.ping(), late).await;
            inner.breaker.learn(answer.as_ref().err());
            answer
        })
        .await
    }

    /// What can be told of the registry beyond whether it answers, which [`Client::ping`] does: versions, permissions,
    /// room, clocks. Also of one that does not answer. For tools such as `callsheet doctor`.
    ///
    /// # Errors
    /// `timeout` when looking took longer than the client's timeout; `closed`; `forked`.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let inner = self.open()?.clone();
        let limit = inner.config.timeout;
        spawn(&inner.runtime.clone(), async move {
            let late = || format!("looking at {} took more than {limit:?}", inner.source);
            within(limit, async { Ok(inner.registry.diagnose().await) }, late).await
        })
        .await
    }

    /// What this client has done and holds. Works on a closed client too.
    ///
    /// # Errors
    /// `forked`.
    pub fn stats(&self) -> Result<Stats> {
        let inner = self.0.get()?;
        let registrations: Vec<_> = inner.registrations().values().map(|r| r.shared.state()).collect();
        let count = inner.services.count();
        Ok(Stats {
            registry: inner.source.clone(),
            registrations: registrations.iter().filter(|state| **state != State::Closed).count() as u64,
            registered: registrations.iter().filter(|state| **state == State::Registered).count() as u64,
            watched_services: count.watched,
            live_services: count.live,
            stale_services: count.stale,
            disk_services: count.disk,
            fallback_services: count.fallback,
            subscribers: count.subscribers,
            breaker_open: inner.breaker.is_open().into(),
            retry_budget: inner.breaker.retries(),
            log_dropped: crate::log::dropped_lines(),
            ..inner.counters.read()
        })
    }

    /// Counts a callback of the host's that raised.
    #[doc(hidden)]
    pub fn count_callback_failure(&self) {
        self.0.peek().counters.callback_failures.one();
    }

    /// Whether the client was closed.
    pub fn is_closed(&self) -> bool {
        self.0.get().map_or(true, |inner| inner.closed.load(Ordering::Acquire))
    }

    /// Resolves when the client was closed, by whomever, or is held by nobody. Does not hold it.
    #[doc(hidden)]
    pub fn ended(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let ended = self.0.get().map(|inner| inner.ended.subscribe());
        async move {
            // A sender that is gone ends this as well.
            let _ = ended?.wait_for(|ended| *ended).await;
            Ok(())
        }
    }

    /// Withdraws every registration and ends every watch and callback. Goes on in the background if the future is
    /// dropped; closing twice is fine.
    ///
    /// # Errors
    /// `timeout` when a registration could not be withdrawn within 5 s and its drain, or a callback still runs;
    /// `forked`.
    pub async fn close(&self) -> Result<()> {
        let inner = self.0.get()?.clone();
        // In a callback this is the thread that runs it, which is not waited for.
        let caller = std::thread::current().id();
        spawn_detached(&inner.runtime.clone(), async move { inner.close(caller).await }).await
    }
}

impl Inner {
    fn registrations(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Running>>> {
        self.registrations.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn count_callback_failure(&self) {
        self.counters.callback_failures.one();
    }

    async fn register(&self, registration: Registration, attempt: &Attempt) -> Result<Unclaimed> {
        self.registry.writable()?;
        let limit = self.config.timeout;
        let address = match registration.address.clone().or_else(|| self.config.address.clone()) {
            Some(address) => address,
            None => {
                let late = || format!("{} did not say which address to advertise; give one", self.source);
                within(limit, self.registry.advertised_address(), late).await?
            }
        };
        let instance = registration.instance(&address);
        instance.validate()?;
        self.registry.takes(&instance)?;
        let running = loop {
            let begin = || self.begin(&registration, &instance);
            let closing = match attempt.begin(begin, Begun::running)? {
                Begun::Running(running) => break running,
                Begun::After(closing) => closing,
            };
            // One that was closed, or given up on, makes way within the bound of its closing.
            closing.shared.reached(State::Closed).await;
        };
        // From here on nobody would hold it if its caller gave up.
        let unclaimed = Unclaimed::new(running);
        let shared = unclaimed.shared();
        if !registration.hold && timeout(limit, shared.tried_once()).await.is_err() {
            shared.late(|| {
                let why = format!("{} has not answered within {limit:?}", self.source);
                Error::new(Code::Timeout, why)
            });
        }
        Ok(unclaimed)
    }

    /// Starts a registration, unless there is one of this service and id.
    fn begin(&self, registration: &Registration, instance: &Instance) -> Result<Begun> {
        let key = (instance.service.clone(), instance.id.clone());
        let mut registrations = self.registrations();
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed("client"));
        }
        // Only where there is no more room: to look at all for each would take a program that has thousands ever longer.
        if registrations.len() == registrations.capacity() {
            registrations.retain(|_, running| running.shared.state() != State::Closed);
        }
        match registrations.get(&key) {
            Some(running) if running.shared.state() == State::Closed => {}
            Some(running) if running.shared.is_closing() => return Ok(Begun::After(running.clone())),
            Some(_) => {
                return Err(Error::new(
                    Code::Conflict,
                    format!(
                        "this client already registers {}/{}; close that registration first",
                        key.0, key.1
                    ),
                ));
            }
            None => {}
        }
        let settings = Settings {
            registry: self.registry.clone(),
            counters: self.counters.clone(),
            breaker: self.breaker.clone(),
            owner: self.owner.clone(),
            ttl: registration.ttl.unwrap_or(self.config.ttl),
            timeout: self.config.timeout,
            check: registration.check.clone(),
            wait_for_port: registration.wait_for_port,
            chosen_id: registration.id.is_some(),
        };
        let drain = registration.drain.unwrap_or(self.config.drain);
        let shared = Shared::new(instance.clone(), registration.hold);
        let running = Running::start(shared, settings, self.runtime.clone(), drain);
        registrations.insert(key, running.clone());
        Ok(Begun::Running(running))
    }

    pub(crate) async fn close(&self, caller: std::thread::ThreadId) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let mut done = self.closing.lock().await;
        if *done {
            return Ok(());
        }
        if let Some(sweeper) = self.sweeper.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            sweeper.abort();
        }
        self.services.close();
        self.names.close();
        // Withdrawing does not wait for a callback that runs, so that all of it is within one bound.
        let registrations = std::mem::take(&mut *self.registrations());
        let closing: Vec<_> = registrations.into_values().map(|running| running.close()).collect();
        let mut result = self.callbacks.close(caller).await;
        for closed in closing {
            result = closed.await.and(result);
        }
        if let Some(saver) = &self.saver {
            saver.close().await;
        }
        let _ = timeout(LET_GO, self.registry.close()).await;
        for fallback in self.fallbacks.iter() {
            let _ = timeout(LET_GO, fallback.close()).await;
        }
        *done = true;
        self.ended.send_replace(true);
        result
    }
}

/// What became of a wish to register.
enum Begun {
    Running(Arc<Running>),
    /// Another one of the same service and id has to end first, as it soon will.
    After(Arc<Running>),
}

impl Begun {
    fn running(&self) -> Option<&Arc<Running>> {
        match self {
            Begun::Running(running) => Some(running),
            Begun::After(_) => None,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(sweeper) = self.sweeper.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            sweeper.abort();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("registry", &self.source()).field("closed", &self.is_closed()).finish()
    }
}
