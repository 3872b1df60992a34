use super::*;
use crate::model::route::HeaderMutations;
use http::StatusCode;
use std::sync::Arc;

const ALL: Fraction = Fraction { numerator: 100, denominator: 100 };
const NONE: Fraction = Fraction { numerator: 0, denominator: 100 };

fn bucket(max: u32, per_fill: u32, fill_interval: Duration) -> Bucket {
    Bucket { rate: TokenRate { max, per_fill, fill_interval }, tokens: Arc::default() }
}

fn limit(bucket: Option<Bucket>) -> LocalRateLimit {
    LocalRateLimit {
        bucket,
        enabled: ALL,
        enforced: ALL,
        status: StatusCode::TOO_MANY_REQUESTS,
        resource_exhausted: true,
        response_headers: HeaderMutations::default(),
        request_headers_when_not_enforced: HeaderMutations::default(),
    }
}

/// How many of `tries` pass at once, at each of these seconds.
fn passed(bucket: &Bucket, tries: usize, seconds: &[f64]) -> Vec<usize> {
    let at = |second: &f64| Duration::from_secs_f64(*second);
    seconds.iter().map(|second| (0..tries).filter(|_| take(bucket, at(second))).count()).collect()
}

#[test]
fn tokens_run_out_and_come_back() {
    let minute = Duration::from_secs(60);
    let cases: [(Bucket, &[f64], &[usize]); 6] = [
        // Full at first, one back every 15 s, never more than fit.
        (bucket(4, 4, minute), &[0.0, 14.0, 15.0, 15.5, 46.0, 1000.0], &[4, 0, 1, 0, 2, 4]),
        (bucket(1, 1, minute), &[7.0, 66.0, 67.0], &[1, 0, 1]),
        (bucket(0, 1, minute), &[0.0, 1000.0], &[0, 0]),
        (bucket(10, 5, Duration::from_secs(1)), &[0.0, 1.0, 3.0], &[10, 5, 10]),
        // A nanosecond brings more than one.
        (bucket(3, u32::MAX, Duration::from_millis(50)), &[0.0, 1.0], &[10, 10]),
        (bucket(u32::MAX, 1, Duration::from_secs(1)), &[0.0, 1e9], &[10, 10]),
    ];
    for (bucket, seconds, expect) in cases {
        assert_eq!(passed(&bucket, 10, seconds), expect, "{bucket:?}");
    }
}

#[test]
fn all_threads_together_get_what_there_is() {
    let bucket = bucket(1000, 1, Duration::from_secs(3600));
    let count = || (0..1000).filter(|_| take(&bucket, Duration::ZERO)).count();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 1000);
}

#[test]
fn what_becomes_of_a_request() {
    let empty = || Some(bucket(0, 1, Duration::from_secs(1)));
    let refused = |grpc_status| Limit::Refuse(Failure { grpc_status, ..Failure::local_rate_limited() });
    let cases = [
        (limit(None), false, Limit::Pass),
        (limit(Some(bucket(1, 1, Duration::from_secs(1)))), false, Limit::Pass),
        (limit(empty()), false, refused(None)),
        (limit(empty()), true, refused(Some(GrpcStatus::RESOURCE_EXHAUSTED))),
        (LocalRateLimit { resource_exhausted: false, ..limit(empty()) }, true, refused(None)),
        (LocalRateLimit { enabled: NONE, ..limit(empty()) }, false, Limit::Pass),
        (LocalRateLimit { enforced: NONE, ..limit(empty()) }, false, Limit::Mark),
    ];
    for (limit, grpc, expect) in cases {
        assert_eq!(decide(&limit, grpc, Duration::ZERO, &mut Dice::new(1)), expect, "{limit:?}");
    }
}
