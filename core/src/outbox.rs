//! What a host's event loop takes out in one go: answers of calls that were begun, each with the host's own mark. Whoever
//! puts something in wakes the host, once until it has looked. Used by bindings whose language must not be blocked.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::error::Result;
use crate::fork::Owned;
use crate::runtime::handle;
use crate::sync::{AtomicBool, Mutex, MutexGuard};

/// Values on their way to one host thread. As many as there are calls under way, and no more.
pub struct Outbox<T> {
    items: Mutex<Vec<T>>,
    /// Whether the host was woken since it last took everything out.
    rung: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl<T: Send + 'static> Outbox<T> {
    /// An empty one. `ring` wakes the host; it is called on any thread, with no lock held, and must not block.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Outbox { items: Mutex::default(), rung: AtomicBool::new(false), ring: Box::new(ring) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `item` in, and wakes the host unless it was woken already.
    pub fn push(&self, item: T) {
        self.lock().push(item);
        if !self.rung.swap(true, Ordering::SeqCst) {
            (self.ring)();
        }
    }

    /// Takes out what `wanted` does not hold for: what its receiver has no use for any more.
    pub fn retain(&self, wanted: impl FnMut(&T) -> bool) {
        self.lock().retain(wanted);
    }

    /// Everything that came, in order.
    pub fn take(&self) -> Vec<T> {
        // In this order: what comes in between wakes the host once too often rather than never.
        self.rung.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.lock())
    }

    /// Runs `call` on the core's threads and puts what `mark` makes of its result in.
    ///
    /// # Errors
    /// `internal` when the system has no threads left.
    pub fn run<R: Send + 'static>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<R>> + Send + 'static,
        mark: impl FnOnce(Result<R>) -> T + Send + 'static,
    ) -> Result<Call> {
        let outbox = self.clone();
        // A task within the task, so that a panic of the call is an answer as well.
        let mut call = crate::runtime::spawn(&handle()?, call);
        let given_up = Arc::new(Notify::new());
        let cancelled = given_up.clone();
        handle()?.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = &mut call => answer,
                () = cancelled.notified() => {
                    // What it opened just before that must reach somebody who can close it.
                    call.abort();
                    match call.await {
                        Ok(value) => Ok(value),
                        Err(_) => return,
                    }
                }
            };
            outbox.push(mark(answer));
        });
        Ok(Call(Owned::new(given_up)))
    }
}

impl<T> std::fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

/// A call that was begun. Dropping this leaves it to its end.
pub struct Call(Owned<Arc<Notify>>);

impl Call {
    /// Gives up on it: its answer does not come, unless it was on its way. The host has to look for such a late one:
    /// it may hold a registration, which nobody else would close.
    pub fn cancel(&self) {
        if let Ok(given_up) = self.0.get() {
            given_up.notify_one();
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use std::sync::mpsc;
    use std::time::Duration;

    type Answer = (u32, Result<u32>);

    fn outbox() -> (Arc<Outbox<Answer>>, mpsc::Receiver<()>) {
        let (rung, bell) = mpsc::channel();
        // A test that has ended no longer listens.
        (Outbox::new(move || rung.send(()).unwrap_or_default()), bell)
    }

    #[test]
    fn a_burst_wakes_the_host_once() {
        let (outbox, bell) = outbox();
        (0..3).for_each(|number| outbox.push((number, Ok(number))));
        assert_eq!(outbox.take().len(), 3);
        assert_eq!(bell.try_iter().count(), 1);
        outbox.push((3, Ok(3)));
        outbox.push((4, Ok(4)));
        outbox.retain(|(number, _)| *number != 3);
        assert_eq!((bell.try_iter().count(), outbox.take().len()), (1, 1));
    }

    #[test]
    fn an_answer_comes_with_its_mark_and_so_does_a_panic() {
        let (outbox, bell) = outbox();
        outbox.run(async { Ok(5) }, |answer| (1, answer)).unwrap();
        bell.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(matches!(outbox.take()[..], [(1, Ok(5))]));
        outbox.run(async { panic!("on purpose") }, |answer| (2, answer)).unwrap();
        bell.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(outbox.take().remove(0).1.unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn a_cancelled_call_does_not_answer() {
        let (outbox, bell) = outbox();
        let (begun, began) = mpsc::channel();
        let dropped = DropSends(begun);
        let call = outbox
            .run(
                async move {
                    let _dropped = dropped;
                    std::future::pending::<()>().await;
                    Err::<u32, _>(Error::closed("test"))
                },
                |answer| (1, answer),
            )
            .unwrap();
        call.cancel();
        began.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(bell.try_recv().is_err() && outbox.take().is_empty());
    }

    #[test]
    fn what_a_cancelled_call_had_come_to_is_not_lost() {
        let (outbox, _bell) = outbox();
        for round in 0..200 {
            let (done, finished) = mpsc::channel();
            let call = outbox
                .run(
                    async move {
                        // A test that has failed is gone.
                        done.send(()).unwrap_or_default();
                        Ok(round)
                    },
                    move |answer| (round, answer),
                )
                .unwrap();
            finished.recv_timeout(Duration::from_secs(5)).unwrap();
            // It has begun its last poll, which no abort interrupts.
            call.cancel();
            let end = std::time::Instant::now() + Duration::from_secs(5);
            while outbox.lock().is_empty() {
                assert!(std::time::Instant::now() < end, "the answer of round {round} is lost");
                std::thread::yield_now();
            }
            assert!(matches!(outbox.take()[..], [(_, Ok(_))]));
        }
    }

    struct DropSends(mpsc::Sender<()>);

    impl Drop for DropSends {
        fn drop(&mut self) {
            // The test may have failed and be gone.
            let _ = self.0.send(());
        }
    }
}

/// Every interleaving, found by loom. A host that is not rung for what came is a deadlock there.
#[cfg(all(test, callsheet_loom))]
mod models {
    use super::*;
    use crate::sync::modelled::Bell;
    use loom::thread::spawn;

    #[test]
    fn whatever_comes_while_the_host_looks_rings_again() {
        loom::model(|| {
            let bell = Arc::new(Bell::default());
            let rung = bell.clone();
            let outbox = Outbox::new(move || rung.ring());
            let pushers = [1, 2].map(|item| {
                let outbox = outbox.clone();
                spawn(move || outbox.push(item))
            });
            let mut taken = Vec::new();
            while taken.len() < 2 {
                bell.wait();
                taken.extend(outbox.take());
            }
            taken.sort_unstable();
            assert_eq!(taken, [1, 2]);
            pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
            assert!(outbox.take().is_empty());
        });
    }
}
