//! One policy's day: calls arrive whether or not earlier ones have ended, wait for a worker, and are given up on in the
//! end. Events in order of time, without a clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use callsheet::simulation::{SimulatedPicker, seed};
use callsheet::{Instance, Outcome, Pick, PickerOptions};

use crate::world::{
    CALLERS, INSTANCES, JOINS, KEYS, PATIENCE, WARM, WHOLE, WORKERS, exponential, index, instance, rate, work,
};

/// How the calls of a day went.
pub(crate) struct Figures {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// 0 to 1.
    pub(crate) errors: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Of the next call.
    Arrival,
    /// A worker has done its part of this call.
    Worked(usize),
    /// Whoever made this call waits no longer.
    GivenUp(usize),
    /// This caller's picker wants to be looked after.
    Tend(usize),
    Joins,
}

struct Call {
    caller: usize,
    to: usize,
    began: Duration,
    fails: bool,
    /// Until its caller heard of it.
    pick: Option<Pick>,
}

#[derive(Default)]
struct Server {
    busy: usize,
    waiting: VecDeque<usize>,
}

struct Day {
    random: fastrand::Rng,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Orders events of one moment.
    counter: u64,
    pickers: Vec<SimulatedPicker>,
    /// When each picker is looked after next.
    due: Vec<Option<Duration>>,
    servers: Vec<Server>,
    calls: Vec<Call>,
    latencies: Vec<Duration>,
    errors: usize,
}

/// The figures of one day with these options for every picker.
pub(crate) fn day(options: &PickerOptions) -> callsheet::Result<Figures> {
    seed(1);
    let pickers =
        (0..CALLERS).map(|_| SimulatedPicker::new(options.clone())).collect::<Result<Vec<_>, _>>()?;
    let mut day = Day {
        random: fastrand::Rng::with_seed(1),
        events: BinaryHeap::new(),
        counter: 0,
        pickers,
        due: vec![None; CALLERS],
        servers: (0..INSTANCES).map(|_| Server::default()).collect(),
        calls: Vec::new(),
        latencies: Vec::new(),
        errors: 0,
    };
    day.offer(INSTANCES - 1, Duration::ZERO);
    day.at(JOINS, Event::Joins);
    day.at(Duration::ZERO, Event::Arrival);
    while let Some(Reverse((now, _, event))) = day.events.pop() {
        day.happen(now, event);
    }
    Ok(day.figures())
}

impl Day {
    fn at(&mut self, time: Duration, event: Event) {
        self.counter += 1;
        self.events.push(Reverse((time, self.counter, event)));
    }

    fn happen(&mut self, now: Duration, event: Event) {
        match event {
            Event::Arrival => {
                self.call(now);
                let next = now + exponential(1.0 / rate(), &mut self.random);
                if next < WHOLE {
                    self.at(next, Event::Arrival);
                }
            }
            Event::Worked(call) => {
                self.end(call, now, self.calls[call].fails);
                let server = &mut self.servers[self.calls[call].to];
                server.busy -= 1;
                self.work(self.calls[call].to, now);
            }
            Event::GivenUp(call) => self.end(call, now, true),
            Event::Tend(caller) => {
                if self.due[caller] == Some(now) {
                    self.due[caller] = None;
                    self.tend(caller, now);
                }
            }
            Event::Joins => self.offer(INSTANCES, now),
        }
    }

    fn offer(&mut self, count: usize, now: Duration) {
        let instances: Vec<Arc<Instance>> = (0..count).map(|index| Arc::new(instance(index))).collect();
        for caller in 0..CALLERS {
            self.pickers[caller].offer(&instances, now);
            self.tend(caller, now);
        }
    }

    fn call(&mut self, now: Duration) {
        let caller = self.random.usize(..CALLERS);
        let key = self.random.u32(..KEYS).to_le_bytes();
        let Some(pick) = self.pickers[caller].pick(Some(&key), now) else { return };
        let (call, to) = (self.calls.len(), index(pick.id()));
        self.calls.push(Call { caller, to, began: now, fails: false, pick: Some(pick) });
        self.at(now + PATIENCE, Event::GivenUp(call));
        self.servers[to].waiting.push_back(call);
        self.work(to, now);
    }

    /// Gives the next call that waits at a server to a worker, if one is free. What was given up on is not begun.
    fn work(&mut self, at: usize, now: Duration) {
        let server = &mut self.servers[at];
        while server.busy < WORKERS {
            let Some(call) = server.waiting.pop_front() else { return };
            if self.calls[call].pick.is_some() {
                server.busy += 1;
                let work = work(at, now, &mut self.random);
                self.calls[call].fails = work.fails;
                return self.at(now + work.takes, Event::Worked(call));
            }
        }
    }

    /// The caller hears of a call, unless it did before.
    fn end(&mut self, call: usize, now: Duration, failed: bool) {
        let Call { caller, began, ref mut pick, .. } = self.calls[call];
        let Some(pick) = pick.take() else { return };
        if began >= WARM {
            self.latencies.push(now - began);
            self.errors += usize::from(failed);
        }
        if self.pickers[caller].done(pick, Outcome::from(!failed), now) {
            self.tend(caller, now);
        }
    }

    fn tend(&mut self, caller: usize, now: Duration) {
        let due = self.pickers[caller].tend(now).filter(|due| *due < WHOLE);
        if let Some(time) = due.filter(|_| due != self.due[caller]) {
            self.at(time, Event::Tend(caller));
        }
        self.due[caller] = due;
    }

    fn figures(mut self) -> Figures {
        self.latencies.sort_unstable();
        let part = |share: f64| self.latencies[(self.latencies.len() as f64 * share) as usize];
        let errors = self.errors as f64 / self.latencies.len() as f64;
        Figures { p50: part(0.5), p99: part(0.99), errors }
    }
}
