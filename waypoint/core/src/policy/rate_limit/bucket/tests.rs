use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn rate(max: u32, per_fill: u32, fill_interval: Duration) -> TokenRate {
    TokenRate { max, per_fill, fill_interval }
}

/// How many of `tries` pass at once, at each of these seconds.
fn passed(rate: TokenRate, tries: usize, seconds: &[f64]) -> Vec<usize> {
    let tokens = Tokens::default();
    let at = |second: &f64| Duration::from_secs_f64(*second);
    seconds.iter().map(|second| (0..tries).filter(|_| take(rate, &tokens, 1, at(second))).count()).collect()
}

#[test]
fn tokens_run_out_and_come_back() {
    let cases: [(TokenRate, &[f64], &[usize]); 6] = [
        // Full at first, one back every 15 s, never more than fit.
        (rate(4, 4, MINUTE), &[0.0, 14.0, 15.0, 15.5, 46.0, 1000.0], &[4, 0, 1, 0, 2, 4]),
        (rate(1, 1, MINUTE), &[7.0, 66.0, 67.0], &[1, 0, 1]),
        (rate(0, 1, MINUTE), &[0.0, 1000.0], &[0, 0]),
        (rate(10, 5, Duration::from_secs(1)), &[0.0, 1.0, 3.0], &[10, 5, 10]),
        // A nanosecond brings more than one.
        (rate(3, u32::MAX, Duration::from_millis(50)), &[0.0, 1.0], &[10, 10]),
        (rate(u32::MAX, 1, Duration::from_secs(1)), &[0.0, 1e9], &[10, 10]),
    ];
    for (rate, seconds, expect) in cases {
        assert_eq!(passed(rate, 10, seconds), expect, "{rate:?}");
    }
}

#[test]
fn several_at_once_or_none() {
    let (rate, tokens) = (rate(10, 10, MINUTE), Tokens::default());
    let taken: Vec<bool> =
        [4, 11, 4, 4, 2, 1, 0].map(|count| take(rate, &tokens, count, Duration::ZERO)).into();
    assert_eq!(taken, [true, false, true, false, true, false, true]);
    assert!(!take(rate, &tokens, u64::MAX, Duration::from_secs(3600)));
}

#[test]
fn what_is_left() {
    let rate = rate(4, 4, MINUTE);
    let tokens = Tokens::default();
    let at = |seconds, take_first: u64| {
        let now = Duration::from_secs(seconds);
        assert!(take(rate, &tokens, take_first, now));
        let Left { max, remaining, next } = left(rate, &tokens, now);
        (max, remaining, next.as_secs())
    };
    // When, and what is taken first; then what is left, and how long until the next when there is none.
    let cases = [(100, 0, (4, 4, 0)), (100, 1, (4, 3, 0)), (100, 3, (4, 0, 15)), (109, 0, (4, 0, 6))];
    for (second, first, expect) in cases {
        assert_eq!(at(second, first), expect, "second {second}");
    }
    assert_eq!(at(116, 0), (4, 1, 0));
    assert_eq!(at(1000, 0), (4, 4, 0));
}

#[test]
fn all_threads_together_get_what_there_is() {
    let (rate, tokens) = (rate(1000, 1, Duration::from_secs(3600)), Tokens::default());
    let count = || (0..1000).filter(|_| take(rate, &tokens, 1, Duration::ZERO)).count();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 1000);
}
