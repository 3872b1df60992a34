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
