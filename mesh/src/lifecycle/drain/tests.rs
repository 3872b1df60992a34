use super::drain;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_watch_hears_of_it_early_or_late() {
    let (trigger, watch) = drain();
    let early = tokio::spawn({
        let watch = watch.clone();
        async move { watch.started().await }
    });
    assert!(!watch.is_started());
    trigger.start();
    trigger.start();
    tokio::time::timeout(LONG, early).await.unwrap().unwrap();
    let late = trigger.watch();
    assert!(late.is_started() && watch.is_started());
    tokio::time::timeout(LONG, late.started()).await.unwrap();
}

#[tokio::test]
async fn a_lost_trigger_counts_as_a_drain() {
    let (trigger, watch) = drain();
    drop(trigger);
    assert!(watch.is_started());
    tokio::time::timeout(LONG, watch.started()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn finished_waits_for_the_last_guard_or_the_deadline() {
    let (trigger, watch) = drain();
    assert!(trigger.finished(Duration::ZERO).await, "nothing in flight");
    let (one, two) = (watch.guard(), watch.guard());
    assert_eq!((trigger.in_flight(), watch.in_flight()), (2, 2));
    drop(one);
    assert!(!trigger.finished(Duration::from_secs(5)).await, "one guard is left");
    let waiting = tokio::spawn(async move { trigger.finished(LONG).await });
    tokio::task::yield_now().await;
    drop(two);
    assert!(waiting.await.unwrap());
}
