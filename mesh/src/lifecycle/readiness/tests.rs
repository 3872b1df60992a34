use super::Readiness;

#[test]
fn ready_when_every_token_is_gone() {
    let readiness = Readiness::new();
    assert!(readiness.is_ready());
    let (b, a, a2) = (readiness.register("b"), readiness.register("a"), readiness.register("a"));
    assert_eq!(readiness.pending(), ["a", "b"]);
    a.ready();
    assert_eq!(readiness.pending(), ["a", "b"], "two tasks of one name are two tasks");
    a2.ready();
    drop(b);
    assert!(readiness.is_ready());
    let _late = readiness.register("late");
    assert_eq!(readiness.pending(), ["late"]);
}

#[test]
fn a_shutdown_is_final() {
    let readiness = Readiness::new();
    readiness.shut_down();
    readiness.register("x").ready();
    assert!(!readiness.is_ready());
    assert_eq!(readiness.pending(), ["shutdown"]);
}

/// Nothing but the promise itself may be needed to wake who waits for it.
#[tokio::test]
async fn waits_for_the_tasks_it_means_and_no_others() {
    let readiness = Readiness::new();
    let other = readiness.register("dns");
    let (first, last) = (readiness.register("xds address"), readiness.register("xds authorization"));
    let waiter = tokio::spawn({
        let readiness = readiness.clone();
        async move { readiness.kept(|task| task.starts_with("xds ")).await }
    });
    first.ready();
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished(), "one of its tasks is pending");
    last.ready();
    tokio::time::timeout(std::time::Duration::from_secs(60), waiter).await.expect("woken").expect("no panic");
    other.ready();
}

#[tokio::test]
async fn does_not_wait_for_what_is_ready() {
    let readiness = Readiness::new();
    let _other = readiness.register("dns");
    tokio::time::timeout(std::time::Duration::from_secs(60), readiness.kept(|task| task.starts_with("xds ")))
        .await
        .expect("nothing to wait for");
}
