//! The way from async code to the thread that has the database open: a bounded queue, a bell that the thread polls beside
//! its file events, and the lease that keeps the thread running. One per process and database.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::actor::Actor;
use super::clock::Clock;
use super::place::Place;
use super::request::{Reply, Request};
use crate::error::{Code, Error, Result};
use crate::fork::PerProcess;
use crate::runtime::leave_signals_to_the_host;

/// Requests waiting at most; more callers wait outside.
const ROOM: usize = 1024;

/// How long closing waits for files to be closed.
const GOODBYE: Duration = Duration::from_secs(1);

/// The threads of this process. Two clients of one database share a thread, and with it an owner file.
static ACTORS: PerProcess<Mutex<HashMap<Place, Weak<Lease>>>> = PerProcess::new(Mutex::default);

/// What tests turn and nobody else.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) clock: Clock,
    /// Whether to use file events where there are some.
    pub(super) events: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { clock: Clock::system(), events: true }
    }
}

/// Keeps the thread of a database running; the last one dropped ends it.
pub(super) struct Lease {
    mailbox: Arc<Mailbox>,
    /// One for each client beside this.
    clients: Arc<()>,
}

/// A client's own hold of a lease. What it follows holds it as well, until its tasks have ended.
pub(super) struct Hold {
    lease: Arc<Lease>,
    client: Arc<()>,
}

pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    room: Arc<Semaphore>,
    /// Whether the bell rang since the thread last listened, so that a burst costs one write.
    rung: AtomicBool,
    bell: UnixStream,
    ear: UnixStream,
    looks: AtomicU64,
    /// Closed when the thread has let go of all files.
    running: Semaphore,
}

#[derive(Default)]
struct Queue {
    letters: Vec<Letter>,
    closed: bool,
}

/// A request, and its place in the queue until it is answered.
pub(super) struct Letter {
    pub(super) request: Request,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(super) fn of(place: &Place, settings: &Settings) -> Result<Arc<Lease>> {
        let mut actors = lock(&ACTORS);
        if let Some(lease) = actors.get(place).and_then(Weak::upgrade)
            && !lock(&lease.mailbox.queue).closed
        {
            return Ok(lease);
        }
        let mailbox = Arc::new(Mailbox::new()?);
        let actor = Actor::new(place.clone(), settings.clone(), mailbox.clone());
        let over = Over(mailbox.clone());
        let thread = move || {
            let _over = over;
            leave_signals_to_the_host();
            actor.run();
        };
        std::thread::Builder::new().name("callsheet-local".into()).spawn(thread).map_err(unstarted)?;
        let lease = Arc::new(Lease { mailbox, clients: Arc::default() });
        actors.retain(|_, lease| lease.strong_count() > 0);
        actors.insert(place.clone(), Arc::downgrade(&lease));
        Ok(lease)
    }

    /// Asks the thread and waits for its answer. Dropping this takes the request back, or undoes what it did.
    pub(super) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let room = self.mailbox.room.clone().acquire_owned().await.ok();
        let (reply, answer) = oneshot::channel();
        self.mailbox.put(Letter { request: request(reply), room });
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// How often the thread has looked at the database and found it well.
    pub(super) fn looks(&self) -> u64 {
        self.mailbox.looks.load(Ordering::Relaxed)
    }

    pub(super) fn is_open(&self) -> bool {
        !lock(&self.mailbox.queue).closed
    }
}

impl Hold {
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        let client = lease.clients.clone();
        Hold { lease, client }
    }

    pub(super) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Lets go of the thread and, if no other client needs it, waits for its files to be closed: what this one followed
    /// may let go a moment later.
    pub(super) async fn release(self) {
        let Hold { lease, client } = self;
        drop(client);
        let (mailbox, last) = (lease.mailbox.clone(), Arc::strong_count(&lease.clients) == 1);
        drop(lease);
        if last {
            // Nothing is ever let in here: this ends with the thread, or when a hanging disk keeps that too long.
            let _ = tokio::time::timeout(GOODBYE, mailbox.running.acquire()).await;
        }
    }
}

struct Over(Arc<Mailbox>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.running.close();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Mailbox {
    fn new() -> Result<Self> {
        let (bell, ear) = UnixStream::pair().map_err(unstarted)?;
        bell.set_nonblocking(true).map_err(unstarted)?;
        ear.set_nonblocking(true).map_err(unstarted)?;
        Ok(Mailbox {
            queue: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM)),
            rung: AtomicBool::new(false),
            bell,
            ear,
            looks: AtomicU64::new(0),
            running: Semaphore::new(0),
        })
    }

    /// For what a destructor has to say: it can't wait for room, and there are no more of these than publications.
    pub(super) fn post(&self, request: Request) {
        self.put(Letter { request, room: None });
    }

    fn put(&self, letter: Letter) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            // Dropping a request answers it: the thread ended.
            return;
        }
        queue.letters.push(letter);
        drop(queue);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A full socket has been heard of already.
            let _ = (&self.bell).write(&[1]);
        }
    }

    /// What the thread polls.
    pub(super) fn ear(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }

    /// Everything that came in, and whether nobody is left to send more.
    pub(super) fn take(&self) -> (Vec<Letter>, bool) {
        // In this order: a letter that comes in between either finds the bell silent and rings it, or is taken below. The
        // other way round its ring would be heard here and never again.
        let _ = (&self.ear).read(&mut [0; 64]);
        self.rung.store(false, Ordering::SeqCst);
        let mut queue = lock(&self.queue);
        (std::mem::take(&mut queue.letters), queue.closed)
    }

    pub(super) fn close(&self) {
        lock(&self.queue).closed = true;
        self.ring();
    }

    pub(super) fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }
}

/// Wakes every thread, so that it sees a fork coming.
pub(super) fn ring_all() {
    for lease in lock(&ACTORS).values().filter_map(Weak::upgrade) {
        // Whether or not it rang before: the bell may have been heard just before the fork was announced.
        let _ = (&lease.mailbox.bell).write(&[1]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unstarted(error: std::io::Error) -> Error {
    Error::new(
        Code::Unavailable,
        "can't start the thread of the local registry: the system refused it (see `ulimit -u` and `ulimit -n`)",
    )
    .with_cause(error)
}

fn ended() -> Error {
    Error::new(Code::Internal, "the local registry's thread ended before it answered; please report this")
}
