//! The life of one registration: wait until ready, publish, keep, publish again after every loss, withdraw. One task
//! owns it; which id it may take from whom is decided here, once for every registry.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::state::{Shared, State};
use crate::backoff::{Backoff, MAX_RETRY};
use crate::breaker::{Breaker, Tries};
use crate::error::{Code, Error, Result};
use crate::health::{Check, Probe, Verdict, accepts};
use crate::instance::Status;
use crate::registry::{
    Claim, Holder, Loss, Owner, Publication, Publish, Published, Record, Registry, random_u64,
};
use crate::runtime::{supervise, within};
use crate::stats::Counters;

/// Between two tries of a registration that the registry refuses.
const REFUSED_RETRY: Duration = Duration::from_secs(30);
/// Spread of those who publish when the holder of their id goes.
const SUCCESSION: Duration = Duration::from_millis(200);
/// Longest pause between two looks at a port that does not listen yet.
const PORT_RETRY: Duration = Duration::from_millis(250);
/// Holders that may come and go during one try.
const CLAIMS: usize = 4;

/// What a registration needs to know besides the instance.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) owner: Owner,
    pub(crate) ttl: Duration,
    pub(crate) timeout: Duration,
    pub(crate) check: Check,
    pub(crate) wait_for_port: bool,
    /// Whether the id was chosen by the program, and may be taken from anyone.
    pub(crate) chosen_id: bool,
}

pub(crate) struct Actor {
    shared: Arc<Shared>,
    settings: Settings,
    backoff: Backoff,
    tries: Tries,
    verdicts: watch::Receiver<Verdict>,
    /// Starts the probe.
    probing: watch::Sender<bool>,
    ever_published: bool,
}

/// How one try to publish ended.
enum Attempt {
    /// With this record in the registry, which includes changes up to `generation`.
    Ours {
        publication: Box<dyn Publication>,
        written: Arc<Record>,
        generation: u64,
    },
    Held(Holder),
}

/// Why a publication ended.
enum End {
    Closed,
    Gone(Error),
    Taken(Holder),
}

impl Actor {
    pub(super) fn start(shared: Arc<Shared>, settings: Settings, runtime: &Handle) -> AbortHandle {
        let verdicts = watch::Sender::new(None);
        let receiver = verdicts.subscribe();
        let task = runtime.spawn(async move {
            let probe = probe(&shared, &settings);
            let probing = watch::Sender::new(false);
            let mut started = probing.subscribe();
            let life = supervise("keeping a registration", || {
                let actor = Actor {
                    shared: shared.clone(),
                    settings: settings.clone(),
                    backoff: Backoff::new(MAX_RETRY.min(settings.ttl / 3)),
                    tries: Tries::urgent(),
                    verdicts: receiver.clone(),
                    probing: probing.clone(),
                    ever_published: shared.state() != State::Pending,
                };
                actor.run()
            });
            tokio::select! {
                _ = life => {}
                // Held back or waiting for its port, a program need not be healthy or beat yet.
                _ = async {
                    if started.wait_for(|started| *started).await.is_ok() {
                        shared.beats.beat();
                        probe.run(&shared.beats, verdicts).await;
                    }
                } => {}
            }
        });
        task.abort_handle()
    }

    async fn run(mut self) {
        if self.gates().await.is_some() {
            self.live().await;
        }
        self.shared.enter(State::Closed, None);
    }

    /// Readiness, then the port, then the first verdict of a check. `None` when closed meanwhile.
    async fn gates(&mut self) -> Option<()> {
        loop {
            if self.shared.is_closing() {
                return None;
            }
            if self.shared.is_ready() {
                break;
            }
            self.shared.wanted().await;
        }
        if self.settings.wait_for_port {
            self.port().await?;
        }
        self.probing.send_replace(true);
        if self.settings.check.kind.by_agent() && !self.settings.registry.runs_checks() {
            // No limit of its own, which would run out just before that of the probe.
            let mut verdicts = self.verdicts.clone();
            let _ = unless_closing(&self.shared, verdicts.changed()).await?;
        }
        Some(())
    }

    async fn port(&mut self) -> Option<()> {
        let instance = self.shared.instance();
        let mut pause = Duration::from_millis(10);
        while !unless_closing(&self.shared, accepts(&instance.address, instance.port)).await? {
            self.shared.explain(Error::new(
                Code::Unavailable,
                format!(
                    "waiting for {} to listen before publishing {}/{} (wait_for_port)",
                    instance.authority(),
                    instance.service,
                    instance.id
                ),
            ));
            unless_closing(&self.shared, sleep(pause)).await?;
            pause = (pause * 2).min(PORT_RETRY);
        }
        Some(())
    }

    async fn live(&mut self) {
        while !self.shared.is_closing() {
            // A publish under way is never cut off by `close`: what it wrote has to be withdrawn.
            let attempt = self.publish().await;
            let pause = match attempt {
                Ok(Attempt::Ours { publication, written, generation }) => {
                    self.ever_published = true;
                    self.settings.counters.publishes.one();
                    self.backoff.reset();
                    match self.keep(publication, written, generation).await {
                        End::Closed => return,
                        End::Gone(error) => {
                            self.settings.counters.losses.one();
                            tracing::warn!(%error, "registration lost; publishing again");
                            self.shared.enter(State::Lost, Some(error));
                            self.backoff.next()
                        }
                        End::Taken(holder) => match self.superseded(holder).await {
                            Some(pause) => pause,
                            None => return,
                        },
                    }
                }
                Ok(Attempt::Held(holder)) => match self.superseded(holder).await {
                    Some(pause) => pause,
                    None => return,
                },
                Err(error) => self.failed(error),
            };
            self.shared.attempted();
            let breaker = self.settings.breaker.clone();
            let waited = async {
                tokio::select! {
                    _ = sleep(pause) => {}
                    _ = breaker.recovered(), if self.shared.state() != State::Refused => {}
                }
            };
            if unless_closing(&self.shared, waited).await.is_none() {
                return;
            }
        }
    }

    fn failed(&mut self, error: Error) -> Duration {
        self.settings.counters.publish_failures.one();
        if error.refused() {
            if self.shared.state() != State::Refused {
                let instance = self.shared.instance();
                let (service, id) = (&instance.service, &instance.id);
                tracing::warn!(%error, "registration of {service}/{id} refused; trying again every {REFUSED_RETRY:?}");
            }
            self.shared.enter(State::Refused, Some(error));
            return REFUSED_RETRY;
        }
        let state = if self.ever_published { State::Lost } else { State::Pending };
        self.shared.enter(state, Some(error));
        self.settings.breaker.pause(self.backoff.next(), self.most())
    }

    /// The longest pause between two tries.
    fn most(&self) -> Duration {
        MAX_RETRY.min(self.settings.ttl / 3)
    }

    /// One try, with the rules of who may take an id from whom.
    async fn publish(&mut self) -> Result<Attempt> {
        let mut claim = Claim::IfFree;
        let mut claims = 0;
        loop {
            let (written, generation) = self.record();
            let (service, id) = (written.instance.service.clone(), written.instance.id.clone());
            let (record, ttl, check) = (written.clone(), self.settings.ttl, self.settings.check.clone());
            let publish = Publish { record, ttl, check, claim };
            let (limit, source) = (self.settings.timeout, self.settings.registry.source());
            let late = || format!("{source} did not accept {service}/{id} within {limit:?}");
            let publish = within(limit, self.settings.registry.publish(publish), late);
            let most = self.most();
            let holder = match self.settings.breaker.call(&mut self.tries, most, publish).await? {
                Published::Held(holder) => holder,
                Published::Ours(publication) => {
                    return Ok(Attempt::Ours { publication, written, generation });
                }
            };
            claims += 1;
            // After a loss, a healed partition must not clobber who came later.
            if self.ever_published || claims == CLAIMS {
                return Ok(Attempt::Held(holder));
            }
            let same_machine =
                holder.owner.as_ref().is_some_and(|owner| owner.same_machine(&self.settings.owner));
            if self.settings.chosen_id || same_machine {
                claim = Claim::Replace(holder.version);
                continue;
            }
            claim = Claim::IfFree;
            self.step_aside(&id, &holder);
        }
    }

    /// The default id belongs to another machine, as with two containers behind one bridge address.
    fn step_aside(&mut self, id: &str, holder: &Holder) {
        let own = format!("{id}~{:04x}", random_u64() as u16);
        let owner = holder.owner.as_ref().map_or("another tool".to_owned(), Owner::to_string);
        tracing::warn!(
            "the id {id} is held by {owner}, which is alive; registering as {own}. \
             Give each instance an address or id of its own to avoid this"
        );
        self.shared.desired().instance.id = own;
    }

    /// Keeps a publication until it ends, writing every change into it.
    async fn keep(
        &mut self,
        mut publication: Box<dyn Publication>,
        written: Arc<Record>,
        generation: u64,
    ) -> End {
        // `None` while an update that failed leaves open what the registry has.
        let mut written = Some(written);
        self.shared.tried(generation, None);
        self.shared.enter(State::Registered, None);
        self.shared.attempted();
        let mut retry: Option<Instant> = None;
        // Whatever changed while publishing is looked at once more before the first wait.
        let mut first = true;
        loop {
            if !first {
                let shared = self.shared.clone();
                tokio::select! {
                    loss = publication.lost() => return match loss {
                        Loss::Gone(error) => End::Gone(error),
                        Loss::Taken(holder) => End::Taken(holder),
                    },
                    _ = shared.wanted() => {}
                    Ok(()) = self.verdicts.changed() => {}
                    _ = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {}
                }
            }
            first = false;
            if self.shared.is_closing() {
                self.withdraw(publication).await;
                return End::Closed;
            }
            let (record, generation) = self.record();
            if written.as_ref() == Some(&record) {
                self.shared.tried(generation, None);
                retry = None;
                continue;
            }
            let limit = self.settings.timeout;
            let late =
                || format!("the registry did not take an update of {} within {limit:?}", record.instance.id);
            match within(limit, publication.update(record.clone()), late).await {
                Ok(()) => {
                    written = Some(record);
                    retry = None;
                    self.backoff.reset();
                    self.shared.tried(generation, None);
                }
                Err(error) => {
                    written = None;
                    retry = Some(Instant::now() + self.backoff.next());
                    self.shared.tried(generation, Some(error));
                }
            }
        }
    }

    /// Another live process has the id: wait for it to go. The pause before publishing; `None` when closed.
    async fn superseded(&mut self, holder: Holder) -> Option<Duration> {
        self.settings.counters.superseded.one();
        // Whoever waited for an id has no first publish any more: it only takes what is free.
        self.ever_published = true;
        let instance = self.shared.instance();
        let owner = holder.owner.as_ref().map_or("another tool".to_owned(), Owner::to_string);
        let error = Error::new(
            Code::Conflict,
            format!("{}/{} is now registered by {owner}, which is alive", instance.service, instance.id),
        );
        tracing::info!(%error, "superseded; publishing again when it goes");
        self.shared.enter(State::Superseded, Some(error));
        self.shared.attempted();
        unless_closing(&self.shared, holder.released).await?;
        Some(self.backoff.jitter(SUCCESSION))
    }

    /// Tries until the registry was told; `close` bounds it from outside.
    async fn withdraw(&mut self, mut publication: Box<dyn Publication>) {
        loop {
            let limit = self.settings.timeout;
            match within(limit, publication.withdraw(), || format!("no answer within {limit:?}")).await {
                Ok(()) => return,
                Err(error) => self.shared.explain(error),
            }
            sleep(self.backoff.next()).await;
        }
    }

    /// What is to be in the registry now, and which change it includes.
    fn record(&mut self) -> (Arc<Record>, u64) {
        let mut desired = self.shared.desired();
        let (status, note) = match &*self.verdicts.borrow_and_update() {
            Some(verdict) if severity(verdict.0) > severity(desired.by_hand.0) => verdict.clone(),
            _ => desired.by_hand.clone(),
        };
        desired.instance.status = status;
        let instance = desired.instance.clone();
        (Arc::new(Record { instance, owner: Some(self.settings.owner.clone()), note }), desired.generation)
    }
}

/// Which of two statuses wins: leaving is final, and a failing check outweighs a kind word.
fn severity(status: Status) -> u8 {
    match status {
        Status::Passing => 0,
        Status::Warning => 1,
        Status::Critical => 2,
        Status::Draining => 3,
    }
}

/// The check that this process runs for a registration.
fn probe(shared: &Shared, settings: &Settings) -> Probe {
    let instance = shared.instance();
    let by_agent = settings.registry.runs_checks() && settings.check.kind.by_agent();
    let check = if by_agent { Check::ttl() } else { settings.check.clone() };
    Probe { check, address: instance.address, port: instance.port }
}

/// `future`, unless the registration is closed first.
async fn unless_closing<T>(shared: &Shared, future: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(future);
    loop {
        if shared.is_closing() {
            return None;
        }
        tokio::select! {
            output = &mut future => return Some(output),
            _ = shared.wanted() => {}
        }
    }
}
