//! Closing, and giving up on it: whatever future is dropped, nothing stays registered and nobody waits for ever.

mod common;

use callsheet::{Registration, State};
use common::*;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Polls `future` once.
async fn look<F: Future>(future: &mut Pin<&mut F>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Polls `future` once and drops it, as a caller does who gives up at once.
async fn begin<F: Future>(future: F) {
    look(&mut pin!(future)).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_awaits_closes_all_the_same() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    begin(registration.close()).await;
    registration.wait(State::Closed, secs(1)).await.unwrap();
    assert!(client.lookup("billing").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_awaits_is_bounded_too() {
    let (url, memory) = registry();
    let client = client(&url);
    let registration = register(&client, "billing", 1).await;
    memory.unreachable(true);
    timeout(secs(1), registration.close()).await.unwrap_err();
    registration.wait(State::Closed, secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_register_given_up_on_after_it_was_done_leaves_nothing_behind() {
    let (url, _memory) = registry();
    let client = client(&url);
    {
        let mut register = pin!(client.register(Registration::new("billing").port(1)));
        look(&mut register).await;
        // It succeeds meanwhile, and its caller does not look.
        sleep(secs(1)).await;
        assert_eq!(client.lookup("billing").await.unwrap().len(), 1);
    }
    let watch = client.watch("billing").unwrap();
    until(&watch, |snapshot| snapshot.is_empty()).await;
    // The id is free again, also for one who does not wait for that.
    let again = register(&client, "billing", 1).await;
    begin(again.close()).await;
    register(&client, "billing", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_on_a_register_may_register_the_same_at_once() {
    let (url, _memory) = registry();
    let client = client(&url);
    for round in 0..500 {
        let given_up = async {
            let mut register = pin!(client.register(Registration::new("billing").port(1)));
            for _ in 0..round % 10 {
                let looked = poll_fn(|context| Poll::Ready(register.as_mut().poll(context))).await;
                if let Poll::Ready(registered) = looked {
                    return registered.unwrap().close().await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        given_up.await;
        // Never a conflict with what was given up, however far that had come.
        match client.register(Registration::new("billing").port(1)).await {
            Ok(registration) => registration.close().await.unwrap(),
            Err(error) => panic!("round {round}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn states_end_with_a_registration_that_nobody_holds_any_more() {
    let (url, _memory) = registry();
    let provider = client(&url);
    let states = register(&provider, "billing", 1).await.states().unwrap();
    drop(provider);
    let end = async {
        let mut last = None;
        while let Some(change) = states.next().await {
            last = Some(change.state);
        }
        last
    };
    assert_eq!(timeout(secs(60), end).await.unwrap(), Some(State::Closed));
}

#[tokio::test(start_paused = true)]
async fn two_closes_at_once_return_when_it_is_done() {
    let (url, _memory) = registry();
    let client = builder(&url).drain(secs(3)).connect().unwrap();
    register(&client, "billing", 1).await;
    let began = tokio::time::Instant::now();
    let (one, two) = tokio::join!(client.close(), async {
        client.close().await.unwrap();
        began.elapsed()
    });
    one.unwrap();
    assert_eq!(two, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn who_closes_second_waits_for_the_drain_too() {
    let (url, _memory) = registry();
    let client = client(&url);
    let registration = client.register(Registration::new("billing").port(1).drain(secs(3))).await.unwrap();
    let began = tokio::time::Instant::now();
    let first = tokio::spawn({
        let registration = registration.clone();
        async move { registration.close().await }
    });
    registration.wait(State::Closed, secs(5)).await.unwrap();
    registration.close().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    client.close().await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 3, "once and not twice");
}
