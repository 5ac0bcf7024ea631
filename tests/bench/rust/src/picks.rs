//! What a pick takes with its `done`, what no pick can do without, and what tower's p2c takes: each says for each line
//! nanoseconds of one of many calls on each of so many threads.

use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use callsheet::memory::Memory;
use callsheet::{Client, Instance, block_on};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma};

use crate::Result;
use crate::modes::each_line;

const CALLS: u32 = 1_000_000;
const INSTANCES: u16 = 100;

/// Also Finagle's, from which both have their p2c.
const DECAY: Duration = Duration::from_secs(10);

pub(crate) fn ours(policy: &str, threads: usize) -> Result<()> {
    let memory = Memory::named("bench-picks")?;
    for port in 1..=INSTANCES {
        memory.put(Instance::new("billing", "10.0.0.1", port))?;
    }
    let client = Client::connect("memory:bench-picks")?;
    let picker = block_on(client.picker("billing", policy.parse()?))?;
    each_line(|| {
        Ok(per_call(threads, || picker.pick().expect("there are instances").done(true)).to_string())
    })?;
    block_on(client.close())?;
    Ok(())
}

/// What no picker can do without: find the current table, and hold and release what was picked; p2c also looks at a
/// clock twice.
pub(crate) fn floor(policy: &str, threads: usize) -> Result<()> {
    let table = arc_swap::ArcSwap::from_pointee(Arc::new(AtomicU64::new(0)));
    let held = || drop(black_box(Arc::clone(&table.load())));
    let clock = quanta::Clock::new();
    let timed = || {
        let start = clock.raw();
        held();
        black_box(clock.delta_as_nanos(start, clock.raw()));
    };
    each_line(|| {
        let took = if policy == "p2c" { per_call(threads, timed) } else { per_call(threads, held) };
        Ok(took.to_string())
    })
}

fn per_call(threads: usize, call: impl Fn() + Sync) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..CALLS).for_each(|_| call()));
        }
    });
    began.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

/// A service that answers at once.
struct Answering;

impl Service<()> for Answering {
    type Response = ();
    type Error = std::convert::Infallible;
    type Future = Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// tower's way is to wait until a service is ready, to call it, and to let go of its answer. It belongs to one thread.
pub(crate) fn tower() -> Result<()> {
    let services = (0..INSTANCES).map(|_| {
        PeakEwma::new(
            Answering,
            Duration::from_millis(1),
            DECAY.as_nanos() as f64,
            CompleteOnResponse::default(),
        )
    });
    let mut balance = Balance::new(ServiceList::new(services));
    let mut context = Context::from_waker(Waker::noop());
    each_line(|| {
        let began = Instant::now();
        for _ in 0..CALLS {
            assert!(balance.poll_ready(&mut context).is_ready());
            assert!(pin!(balance.call(())).poll(&mut context).is_ready());
        }
        Ok((began.elapsed().as_nanos() as f64 / f64::from(CALLS)).to_string())
    })
}
