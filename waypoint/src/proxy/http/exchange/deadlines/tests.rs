use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn deadlines(now: Instant) -> Deadlines {
    let timeouts = Timeouts {
        request: Some(10 * SECOND),
        per_try: Some(2 * SECOND),
        per_try_idle: Some(SECOND),
        idle: Some(60 * SECOND),
        ..Timeouts::default()
    };
    let chain = crate::proxy::http::serve::no_chain();
    Deadlines::new(&timeouts, &chain, now)
}

#[test]
fn tries_count_from_the_end_of_the_request() {
    let start = Instant::now();
    let mut clocks = deadlines(start);
    assert_eq!(clocks.next(), Some((start + 60 * SECOND, Expired::Idle)));
    assert_eq!(clocks.since_request(start + SECOND), Duration::ZERO);
    let complete = start + 5 * SECOND;
    clocks.request_ended(complete);
    assert_eq!(clocks.next(), Some((complete + SECOND, Expired::PerTryIdle)));
    clocks.moved(true, complete + SECOND);
    assert_eq!(clocks.next(), Some((complete + 2 * SECOND, Expired::PerTry)));
    clocks.request_ended(complete + SECOND);
    assert_eq!(clocks.since_request(complete + 3 * SECOND), 3 * SECOND, "the first end counts");
    assert_eq!(clocks.total_at(), Some(complete + 10 * SECOND));
}

#[test]
fn a_new_try_has_its_own_clock_and_the_total_goes_on() {
    let start = Instant::now();
    let mut clocks = deadlines(start);
    clocks.request_ended(start);
    clocks.next_try();
    clocks.request_ended(start + 9 * SECOND);
    assert_eq!(clocks.next(), Some((start + 10 * SECOND, Expired::Total)));
}

#[test]
fn after_the_head_only_silence_and_the_total_count() {
    let start = Instant::now();
    let mut clocks = deadlines(start);
    clocks.request_ended(start);
    clocks.responded(start + SECOND / 2);
    assert_eq!(clocks.next(), Some((start + SECOND / 2 + SECOND, Expired::PerTryIdle)));
    for second in 1..10 {
        clocks.moved(true, start + second * SECOND);
    }
    assert_eq!(clocks.next(), Some((start + 10 * SECOND, Expired::Total)));
}
