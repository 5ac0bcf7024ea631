//! Following a service, on tokio's paused clock over a memory registry with faults.

mod common;

use callsheet::{Code, Filter, Freshness, Instance};
use common::*;
use std::time::Duration;
use tokio::time::Instant;

fn instance(service: &str, port: u16) -> Instance {
    Instance::new(service, "10.0.0.1", port)
}

#[tokio::test(start_paused = true)]
async fn the_current_snapshot_first_then_one_per_change() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    let first = next(&watch).await;
    assert_eq!(ids(&first), ["10.0.0.1:1"]);
    assert_eq!((first.freshness(), first.source(), first.age()), (Freshness::Live, &*url, Duration::ZERO));
    memory.put(instance("billing", 2)).unwrap();
    let second = next(&watch).await;
    assert!(second.revision() > first.revision());
    assert_eq!(ids(&second), ["10.0.0.1:1", "10.0.0.1:2"]);
    assert!(
        std::sync::Arc::ptr_eq(&first.instances()[0], &second.instances()[0]),
        "unchanged is the same object"
    );
    let changes = second.changes_since(&first);
    assert_eq!((changes.added.len(), changes.removed.len(), changes.changed.len()), (1, 0, 0));
    memory.delete("billing", "10.0.0.1:1");
    assert_eq!(ids(&next(&watch).await), ["10.0.0.1:2"]);
    // Written again without a change, and another service altogether.
    memory.put(instance("billing", 2)).unwrap();
    memory.put(instance("other", 3)).unwrap();
    assert!(quiet(&watch).await);
}

#[tokio::test(start_paused = true)]
async fn lists_are_followed_like_changes() {
    let (url, memory) = registry();
    memory.answer_with_lists(true);
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    assert!(next(&watch).await.is_empty());
    memory.put(instance("billing", 1)).unwrap();
    let one = next(&watch).await;
    memory.put(instance("billing", 2)).unwrap();
    let two = next(&watch).await;
    assert_eq!(two.len(), 2);
    assert!(std::sync::Arc::ptr_eq(&one.instances()[0], &two.instances()[0]));
    memory.delete("billing", "10.0.0.1:1");
    memory.delete("billing", "10.0.0.1:2");
    until(&watch, |snapshot| snapshot.is_empty() && snapshot.freshness() == Freshness::Live).await;
    memory.put(instance("other", 3)).unwrap();
    assert!(quiet(&watch).await, "the position moved, the list did not");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_again_unchanged_stays_the_same_object() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    let first = next(&watch).await;
    memory.put(instance("billing", 1)).unwrap();
    assert!(quiet(&watch).await);
    memory.put(instance("billing", 2)).unwrap();
    let second = next(&watch).await;
    assert!(std::sync::Arc::ptr_eq(&first.instances()[0], &second.instances()[0]));
}

#[tokio::test(start_paused = true)]
async fn services_with_a_common_prefix_are_strangers() {
    let (url, memory) = registry();
    let client = client(&url);
    for (port, service) in ["a", "ab", "a.b"].into_iter().enumerate() {
        memory.put(instance(service, port as u16 + 1)).unwrap();
    }
    for service in ["a", "ab", "a.b"] {
        let snapshot = client.lookup(service).await.unwrap();
        assert_eq!(snapshot.len(), 1);
        assert_eq!(snapshot.instances()[0].service, service);
    }
    assert_eq!(&*client.services().await.unwrap(), ["a", "a.b", "ab"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_sees_the_latest_and_knows_what_it_missed() {
    let (url, memory) = registry();
    let client = client(&url);
    let slow = client.watch("billing").unwrap();
    next(&slow).await;
    let fast = client.watch("billing").unwrap();
    next(&fast).await;
    for port in 1..=100 {
        memory.put(instance("billing", port)).unwrap();
        assert_eq!(next(&fast).await.len(), usize::from(port));
    }
    assert_eq!(next(&slow).await.len(), 100);
    assert_eq!((slow.skipped(), fast.skipped()), (99, 0));
    assert_eq!(client.stats().unwrap().skipped, 99);
    assert!(quiet(&slow).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_undone_before_anyone_looked_is_no_news() {
    let (url, memory) = registry();
    let client = client(&url);
    let slow = client.watch("billing").unwrap();
    next(&slow).await;
    let fast = client.watch("billing").unwrap();
    next(&fast).await;
    memory.put(instance("billing", 1)).unwrap();
    next(&fast).await;
    memory.delete("billing", "10.0.0.1:1");
    next(&fast).await;
    assert!(quiet(&slow).await);
}

#[tokio::test(start_paused = true)]
async fn filters_see_only_what_concerns_them() {
    let (url, memory) = registry();
    let client = client(&url);
    let v2 = client.watch_with("billing", &Filter::new().tag("v2")).unwrap();
    assert!(next(&v2).await.is_empty());
    memory.put(instance("billing", 1)).unwrap();
    assert!(quiet(&v2).await);
    let mut tagged = instance("billing", 2);
    tagged.tags = vec!["v2".into()];
    memory.put(tagged).unwrap();
    assert_eq!(ids(&next(&v2).await), ["10.0.0.1:2"]);
    assert_eq!(client.lookup("billing").await.unwrap().len(), 2);
    assert_eq!(client.lookup_with("billing", &Filter::new().tag("v2")).await.unwrap().len(), 1);
    let wrong = client.lookup_with("billing", &Filter::new().tag("")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn an_outage_shows_as_stale_and_heals_by_itself() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    for refuse in [false, true] {
        let fault = |on| if refuse { memory.refuse(on) } else { memory.unreachable(on) };
        fault(true);
        let stale = next(&watch).await;
        assert_eq!((stale.freshness(), ids(&stale)), (Freshness::Stale, vec!["10.0.0.1:1"]));
        let expected = if refuse { Code::PermissionDenied } else { Code::Unavailable };
        assert_eq!(stale.last_error().unwrap().code(), expected);
        tokio::time::sleep(secs(30)).await;
        assert!(stale.age() >= secs(30));
        let cached = client.lookup("billing").await.unwrap();
        assert_eq!((cached.freshness(), cached.len()), (Freshness::Stale, 1));
        fault(false);
        let healed = Instant::now();
        let live = next(&watch).await;
        assert!(healed.elapsed() <= secs(5), "retries are at most 5 s apart");
        assert_eq!((live.freshness(), live.last_error().is_none()), (Freshness::Live, true));
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_an_outage_is_the_latest_and_no_snapshot_comes_for_it() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    memory.unreachable(true);
    assert_eq!(next(&watch).await.last_error().unwrap().code(), Code::Unavailable);
    memory.unreachable(false);
    memory.refuse(true);
    assert!(quiet(&watch).await, "equal instances and freshness are not sent");
    for filter in [Filter::new(), Filter::new().healthy(false)] {
        let cached = client.lookup_with("billing", &filter).await.unwrap();
        assert_eq!(cached.last_error().unwrap().code(), Code::PermissionDenied);
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_missed_in_an_outage_are_seen_whatever_was_compacted() {
    let (url, memory) = registry();
    for port in 1..=3 {
        memory.put(instance("billing", port)).unwrap();
    }
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    memory.unreachable(true);
    assert_eq!(next(&watch).await.freshness(), Freshness::Stale);
    memory.delete("billing", "10.0.0.1:2");
    memory.compact();
    memory.unreachable(false);
    let healed = until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await;
    assert_eq!(ids(&healed), ["10.0.0.1:1", "10.0.0.1:3"]);
}

#[tokio::test(start_paused = true)]
async fn a_compacted_follower_and_a_new_cluster_are_loaded_again() {
    let (url, memory) = registry();
    for port in 1..=50 {
        memory.put(instance("billing", port)).unwrap();
    }
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 50);
    // No await in between: the follower has not seen the delete when its history goes.
    memory.delete("billing", "10.0.0.1:1");
    memory.compact();
    assert_eq!(next(&watch).await.len(), 49);
    memory.change_identity();
    memory.delete("billing", "10.0.0.1:2");
    assert_eq!(until(&watch, |snapshot| snapshot.len() == 48).await.freshness(), Freshness::Live);
    assert!(client.stats().unwrap().reloads >= 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_believed_only_when_it_is_proven() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = builder(&url).empty_hold(secs(120)).connect().unwrap();
    let watch = client.watch("billing").unwrap();
    next(&watch).await;

    // A cluster without a leader answers empty: held, then right again.
    memory.answer_empty(true);
    let held = next(&watch).await;
    assert_eq!((held.freshness(), held.len()), (Freshness::Stale, 1));
    assert!(held.last_error().unwrap().message().contains("empty_hold"));
    memory.answer_empty(false);
    assert_eq!(until(&watch, |s| s.freshness() == Freshness::Live).await.len(), 1);

    // A cluster that lost its data stays empty, so the hold decides, however often it is asked again.
    memory.wipe();
    assert_eq!(next(&watch).await.freshness(), Freshness::Stale);
    let began = Instant::now();
    memory.unreachable(true);
    tokio::time::sleep(secs(20)).await;
    memory.unreachable(false);
    let empty = until(&watch, |s| s.is_empty()).await;
    assert_eq!(empty.freshness(), Freshness::Live);
    assert!((115..=130).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // A delete that was seen is proof.
    memory.put(instance("billing", 2)).unwrap();
    next(&watch).await;
    memory.delete("billing", "10.0.0.1:2");
    let seen = next(&watch).await;
    assert_eq!((seen.freshness(), seen.len()), (Freshness::Live, 0));

    // So is an empty read of the same history, after an outage.
    memory.put(instance("billing", 3)).unwrap();
    next(&watch).await;
    memory.unreachable(true);
    next(&watch).await;
    memory.delete("billing", "10.0.0.1:3");
    memory.unreachable(false);
    assert_eq!(until(&watch, |s| s.is_empty()).await.freshness(), Freshness::Live);
    assert_eq!(client.stats().unwrap().empty_held, 2);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_an_unproven_empty_answer_is_the_truth() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    memory.wipe();
    assert_eq!(ids(&next(&watch).await), ["10.0.0.1:1"]);
    memory.put(instance("billing", 2)).unwrap();
    let after = next(&watch).await;
    assert_eq!((after.freshness(), ids(&after)), (Freshness::Live, vec!["10.0.0.1:2"]));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_another_history_proves_nothing_however_it_goes_on() {
    let (url, memory) = registry();
    memory.answer_with_lists(true);
    memory.put(instance("billing", 1)).unwrap();
    let client = builder(&url).empty_hold(secs(120)).connect().unwrap();
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    memory.wipe();
    assert_eq!(next(&watch).await.freshness(), Freshness::Stale);
    // The index rises, but it is not the index that the kept list was read at.
    memory.put(instance("other", 1)).unwrap();
    memory.put(instance("other", 2)).unwrap();
    let held = client.lookup("billing").await.unwrap();
    assert!(quiet(&watch).await);
    assert_eq!((held.freshness(), held.len()), (Freshness::Stale, 1));
    until(&watch, |snapshot| snapshot.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_lookup_with_nothing_cached_says_that_the_registry_is_away() {
    let (url, memory) = registry();
    memory.unreachable(true);
    let client = builder(&url).timeout(secs(2)).connect().unwrap();
    let began = Instant::now();
    let error = client.lookup("billing").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.retryable() && error.to_string().contains(&*url), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(began.elapsed() < secs(1), "a refusal is told at once");
    memory.unreachable(false);
    memory.slow(secs(100));
    tokio::time::sleep(secs(1)).await;
    let began = Instant::now();
    assert_eq!(client.lookup("billing").await.unwrap_err().code(), Code::Unavailable);
    assert!(began.elapsed() <= secs(2), "{:?}", began.elapsed());
    memory.slow(Duration::ZERO);
    tokio::time::sleep(secs(10)).await;
    assert!(client.lookup("billing").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lookups_do_not_hammer_a_registry_that_is_down() {
    let (url, memory) = registry();
    memory.unreachable(true);
    let client = client(&url);
    for _ in 0..1000 {
        assert_eq!(client.lookup("billing").await.unwrap_err().code(), Code::Unavailable);
    }
    let loads = client.stats().unwrap().loads;
    assert!(loads < 20, "{loads} requests for a thousand lookups in no time");
}

#[tokio::test(start_paused = true)]
async fn wait_for_waits_for_instances_or_says_what_it_saw() {
    let (url, memory) = registry();
    let client = client(&url);
    let (found, _) = tokio::join!(client.wait_for("billing", 2, secs(30)), async {
        for port in 1..=2 {
            tokio::time::sleep(secs(5)).await;
            memory.put(instance("billing", port)).unwrap();
        }
    });
    assert_eq!(found.unwrap().len(), 2);
    let error = client.wait_for("billing", 3, secs(1)).await.unwrap_err();
    assert_eq!(error.code(), Code::Timeout);
    assert!(error.message().contains("it has 2 (live)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn subscribers_share_one_actor_and_an_unused_one_is_dropped() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watches: Vec<_> = (0..50).map(|_| client.watch("billing").unwrap()).collect();
    for watch in &watches {
        next(watch).await;
    }
    let stats = client.stats().unwrap();
    assert_eq!((stats.watched_services, stats.live_services, stats.subscribers, stats.loads), (1, 1, 50, 1));
    watches[0].close();
    assert_eq!(client.stats().unwrap().subscribers, 49, "a closed one counts no more, dropped or not");
    let last = watches[0].skipped();
    assert_eq!(last, 0);
    let before = client.lookup("billing").await.unwrap().revision();
    drop(watches);
    tokio::time::sleep(secs(400)).await;
    assert_eq!(client.stats().unwrap().watched_services, 0);
    assert_eq!(client.stats().unwrap().idle_dropped, 1);
    assert!(client.lookup("billing").await.unwrap().revision() > before, "revisions only grow");
}

#[tokio::test(start_paused = true)]
async fn above_the_bound_the_least_recently_used_goes_and_what_is_in_use_stays() {
    let (url, _memory) = registry();
    let client = builder(&url).cache_size(10).connect().unwrap();
    let kept = client.watch("kept").unwrap();
    next(&kept).await;
    for n in 0..100 {
        client.lookup(&format!("s{n}")).await.unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let stats = client.stats().unwrap();
    assert_eq!((stats.watched_services, stats.subscribers), (10, 1));
    let loads = stats.loads;
    client.lookup("s99").await.unwrap();
    assert_eq!(client.stats().unwrap().loads, loads, "the newest is still there");
    let watches: Vec<_> = (0..20).map(|n| client.watch(&format!("w{n}")).unwrap()).collect();
    for watch in &watches {
        next(watch).await;
    }
    assert!(client.stats().unwrap().watched_services >= 21, "a bound never ends a watch");
}

#[tokio::test(start_paused = true)]
async fn the_one_that_was_used_longest_ago_gives_way() {
    let (url, memory) = registry();
    let client = builder(&url).cache_size(2).connect().unwrap();
    for name in ["a", "b", "a", "c"] {
        client.lookup(name).await.unwrap();
        tokio::time::sleep(secs(1)).await;
    }
    memory.unreachable(true);
    client.lookup("a").await.unwrap();
    client.lookup("c").await.unwrap();
    client.lookup("b").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_broken_follows_leave_nothing_behind() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    for _ in 0..1000 {
        memory.unreachable(true);
        until(&watch, |s| s.freshness() == Freshness::Stale).await;
        memory.unreachable(false);
        until(&watch, |s| s.freshness() == Freshness::Live).await;
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks < 10, "{tasks} tasks");
}

#[tokio::test(start_paused = true)]
async fn a_short_break_is_mended_unseen() {
    let (url, memory) = registry();
    memory.put(instance("billing", 1)).unwrap();
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    next(&watch).await;
    tokio::time::sleep(secs(5)).await;
    // The follower is told to load again; the load works.
    memory.change_identity();
    assert!(quiet(&watch).await, "nothing changed for subscribers");
}

#[tokio::test(start_paused = true)]
async fn names_are_followed_through_an_outage() {
    let (url, memory) = registry();
    memory.put(instance("b", 1)).unwrap();
    let client = client(&url);
    let names = client.watch_services().unwrap();
    assert_eq!(&*names.next().await.unwrap(), ["b"]);
    memory.unreachable(true);
    assert_eq!(&*client.services().await.unwrap(), ["b"]);
    memory.put(instance("a", 1)).unwrap();
    memory.unreachable(false);
    assert_eq!(&*names.next().await.unwrap(), ["a", "b"]);
    names.close();
    assert!(names.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn more_instances_than_anybody_has_are_not_read() {
    let (url, memory) = registry();
    let put = |number: u32| {
        let mut one = instance("billing", 1);
        one.id = number.to_string();
        memory.put(one).unwrap();
    };
    (0..100_000).for_each(put);
    let client = client(&url);
    let watch = client.watch("billing").unwrap();
    assert_eq!(next(&watch).await.len(), 100_000);
    put(100_000);
    let kept = until(&watch, |snapshot| snapshot.freshness() == Freshness::Stale).await;
    assert_eq!(kept.len(), 100_000);
    let error = kept.last_error().unwrap();
    assert!(error.code() == Code::Protocol && error.message().contains("100001 instances"), "{error}");
    memory.delete("billing", "0");
    assert_eq!(until(&watch, |snapshot| snapshot.freshness() == Freshness::Live).await.len(), 100_000);
}
