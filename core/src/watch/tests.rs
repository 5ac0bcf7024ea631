//! What a registry that always breaks may cost, and what its subscribers see.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::view::View;
use super::{NamesFollower, Service, Start, Watch};
use crate::breaker::Breaker;
use crate::config::{Config, Options};
use crate::filter::Filter;
use crate::instance::Instance;
use crate::registry::fragile::Fragile;
use crate::registry::memory::{self, Memory};
use crate::snapshot::{Freshness, Snapshot};
use crate::stats::Counters;

fn start(registry: Arc<Fragile>) -> Start {
    Start {
        registry,
        runtime: Handle::current(),
        counters: Arc::new(Counters::default()),
        timeout: Duration::from_secs(5),
        empty_hold: Duration::from_secs(600),
        breaker: Arc::new(Breaker::new(Arc::default())),
        saver: None,
        fallbacks: Arc::new([]),
    }
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_breaks_at_once_is_stale_and_tried_ever_later() {
    let start = start(Arc::default());
    let service = Service::start("billing", 0, &start);
    let user = service.user();
    let watch = Watch::new(user.view(&Filter::new()).0, user);
    let stale = loop {
        let snapshot = watch.next().await.unwrap();
        if snapshot.freshness() == Freshness::Stale {
            break snapshot;
        }
    };
    assert_eq!(stale.len(), 1);
    sleep(Duration::from_secs(300)).await;
    // Half of 5 s on average, once the backoff is at its most.
    let loads = start.counters.loads.get();
    assert!((60..=250).contains(&loads), "{loads}");
}

#[tokio::test(start_paused = true)]
async fn a_long_list_is_shown_at_once_after_some_quiet_and_else_only_so_often() {
    let memory = Memory::named("long-list").unwrap();
    let put = |port: u16, weight: u32| {
        let mut instance = Instance::new("billing", "10.0.0.1", port);
        instance.weight = weight;
        memory.put(instance).unwrap();
    };
    (1..=5_000).for_each(|port| put(port, 1));
    let config = Config::new(Some("memory:long-list"), Options::new(), |_| None).unwrap();
    let registry = memory::open(&config, Arc::default());
    let start = Start { registry, ..start(Arc::default()) };
    let service = Service::start("billing", 0, &start);
    let user = service.user();
    let watch = Watch::new(user.view(&Filter::new()).0, user);
    let weight = |snapshot: &Snapshot| snapshot.get("10.0.0.1:1").unwrap().weight;
    assert_eq!(watch.next().await.unwrap().len(), 5_000);
    sleep(Duration::from_secs(1)).await;

    let changed = Instant::now();
    put(1, 2);
    assert_eq!(weight(&watch.next().await.unwrap()), 2);
    assert_eq!(changed.elapsed(), Duration::ZERO);

    let before = start.counters.snapshots.get();
    for n in 3..=100 {
        sleep(Duration::from_millis(1)).await;
        put(1, n);
    }
    while weight(&watch.next().await.unwrap()) < 100 {}
    // 5 ms for each list of 5,000, in 100 ms.
    let lists = start.counters.snapshots.get() - before;
    assert!((10..=21).contains(&lists), "{lists}");
}

#[tokio::test(start_paused = true)]
async fn names_that_break_at_once_are_listed_ever_later() {
    let registry = Arc::new(Fragile::default());
    let names = NamesFollower::new(start(registry.clone()));
    assert_eq!(*names.current(Duration::from_secs(5)).await.unwrap(), ["billing".to_owned()]);
    sleep(Duration::from_secs(300)).await;
    let listed = registry.listed.load(Ordering::Relaxed);
    assert!((60..=250).contains(&listed), "{listed}");
}

#[tokio::test(start_paused = true)]
async fn a_view_never_goes_back() {
    let snapshot = |revision, ports: &[u16]| {
        let instances = ports.iter().map(|port| Arc::new(Instance::new("a", "h", *port))).collect();
        Snapshot::new("a".into(), revision, instances, Freshness::Live, "x:".into(), Instant::now(), None)
    };
    let view = View::new(Filter::new(), Arc::default());
    let (old, new) = (snapshot(1, &[1]), snapshot(2, &[1, 2]));
    assert_eq!(view.refresh(&new).revision(), 2);
    // A lookup that was overtaken by the actor.
    assert_eq!(view.refresh(&old).len(), 2);
}
