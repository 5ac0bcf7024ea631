//! Whether the agent and its servers still answer, asked by one for all whose queries wait: a query that waits a minute
//! would not notice a network that swallows everything.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::http::{Ask, Http};
use crate::error::{Code, Error, Result};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(3);
/// What one beat may take.
const LATE: Duration = Duration::from_secs(3);
/// Between a beat that failed and the one that tells whether to believe it.
const AGAIN: Duration = Duration::from_millis(200);

/// A beat and what it was.
#[derive(Clone, Default)]
pub(super) struct Beat {
    pub(super) number: u64,
    pub(super) failed: Option<Error>,
    /// How many were missed and made up for at once: the agent was going by a server that hangs, and now goes by another.
    /// What waits at the one that hangs is not answered until the agent finds out about that too, which takes it 40 s.
    pub(super) missed: u64,
}

pub(super) struct Pulse {
    http: Arc<Http>,
    beating: Mutex<Beating>,
}

#[derive(Default)]
struct Beating {
    beats: Weak<watch::Sender<Beat>>,
    tasks: JoinSet<()>,
}

/// Keeps the pulse beating.
pub(super) struct Listener {
    pub(super) beats: watch::Receiver<Beat>,
    _sender: Arc<watch::Sender<Beat>>,
}

impl Pulse {
    pub(super) fn new(http: Arc<Http>) -> Self {
        Pulse { http, beating: Mutex::default() }
    }

    pub(super) fn listen(&self) -> Listener {
        let mut beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = beating.beats.upgrade().unwrap_or_else(|| {
            let sender = Arc::new(watch::Sender::new(Beat::default()));
            beating.beats = Arc::downgrade(&sender);
            beating.tasks.abort_all();
            while beating.tasks.try_join_next().is_some() {}
            beating.tasks.spawn(beat(self.http.clone(), Arc::downgrade(&sender)));
            sender
        });
        let mut beats = sender.subscribe();
        beats.mark_unchanged();
        Listener { beats, _sender: sender }
    }

    pub(super) fn stop(&self) {
        self.beating.lock().unwrap_or_else(PoisonError::into_inner).tasks.abort_all();
    }
}

async fn beat(http: Arc<Http>, beats: Weak<watch::Sender<Beat>>) {
    loop {
        sleep(BEAT).await;
        let mut failed = once(&http).await.err();
        let missed = failed.is_some();
        if missed {
            sleep(AGAIN).await;
            failed = once(&http).await.err();
        }
        let Some(beats) = beats.upgrade() else { return };
        beats.send_modify(|beat| {
            beat.number += 1;
            beat.missed += u64::from(missed && failed.is_none());
            beat.failed = failed;
        });
    }
}

/// Reads something that is not there from the leader. A token that may read nothing does no harm.
async fn once(http: &Http) -> Result<()> {
    match http.call_within(Ask::get("/v1/health/service/-", "reach the leader", ""), LATE).await {
        Ok(answer) if answer.leader => Ok(()),
        Ok(_) => Err(Error::new(Code::Unavailable, format!("the servers of {} have no leader", http.source))),
        Err(error) if error.refused() => Ok(()),
        Err(error) => Err(error),
    }
}
