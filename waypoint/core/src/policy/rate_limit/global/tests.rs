use super::*;
use crate::model::descriptor::RateLimit;
use crate::model::grpc_service::GrpcTarget;
use crate::model::route::{Fraction, HeaderMutations};
use std::sync::Arc;

const ALL: Fraction = Fraction { numerator: 100, denominator: 100 };
const NONE: Fraction = Fraction { numerator: 0, denominator: 100 };

fn config() -> GlobalRateLimit {
    GlobalRateLimit {
        name: "limit".into(),
        domain: "shop".into(),
        rate_limits: Vec::<RateLimit>::new(),
        stage: 0,
        service: GrpcTarget {
            cluster: "rls".into(),
            authority: HeaderValue::from_static("rls"),
            metadata: HeaderMutations::default(),
            max_response_bytes: None,
        },
        timeout: None,
        enabled: ALL,
        enforced: ALL,
        deny_on_error: NONE,
        status: StatusCode::TOO_MANY_REQUESTS,
        status_on_error: StatusCode::INTERNAL_SERVER_ERROR,
        resource_exhausted: false,
        told: false,
        retry_after: false,
        says_limited: true,
        response_headers: Arc::new(HeaderMutations::default()),
        metadata_namespace: "ns".into(),
    }
}

fn status(requests: u32, unit: Unit, remaining: u32) -> Status {
    let limit = CurrentLimit { name: "".into(), requests, unit };
    Status { over_limit: remaining == 0, limit: Some(limit), remaining, until_reset: Duration::from_secs(9) }
}

fn answer(over_limit: bool) -> Answer {
    Answer { over_limit, ..Answer::default() }
}

/// What becomes of it, and the headers of the response.
fn show(verdict: &Verdict) -> (String, String) {
    let (what, response) = match verdict {
        Verdict::Pass { response, .. } => ("pass".to_owned(), response.as_slice()),
        Verdict::OverLimit(failure, reply) => {
            (format!("{} {} {}", failure.status.as_u16(), failure.flags, failure.details), &*reply.headers)
        }
        Verdict::Error(failure) => {
            (format!("{} {} {}", failure.status.as_u16(), failure.flags, failure.details), &[][..])
        }
    };
    let headers = response.iter().map(|one| format!("{}: {}", one.name, one.value.to_str().unwrap()));
    (what, headers.collect::<Vec<_>>().join("\n"))
}

fn judged(config: &GlobalRateLimit, told: &[Told], answer: Option<Answer>) -> (String, String) {
    show(&judge(config, told, answer, false, &mut Dice::new(1)))
}

#[test]
fn what_becomes_of_a_request() {
    let deny = || GlobalRateLimit { deny_on_error: ALL, ..config() };
    let over = "429 RL request_rate_limited";
    let cases = [
        (config(), Some(answer(false)), "pass", ""),
        (config(), Some(answer(true)), over, "x-envoy-ratelimited: true"),
        (GlobalRateLimit { says_limited: false, ..config() }, Some(answer(true)), over, ""),
        (
            GlobalRateLimit { enforced: NONE, ..config() },
            Some(answer(true)),
            "pass",
            "x-envoy-ratelimited: true",
        ),
        (
            GlobalRateLimit { status: StatusCode::SERVICE_UNAVAILABLE, ..config() },
            Some(answer(true)),
            "503 RL request_rate_limited",
            "x-envoy-ratelimited: true",
        ),
        (config(), None, "pass", ""),
        (deny(), None, "500 RLSE rate_limiter_error", ""),
        (
            GlobalRateLimit { status_on_error: StatusCode::BAD_GATEWAY, ..deny() },
            None,
            "502 RLSE rate_limiter_error",
            "",
        ),
        (deny(), Some(answer(false)), "pass", ""),
    ];
    for (config, answer, what, headers) in cases {
        let shown = format!("{answer:?}");
        assert_eq!(judged(&config, &[], answer), (what.to_owned(), headers.to_owned()), "{shown}");
    }
}

#[test]
fn grpc_clients_get_a_grpc_status() {
    for (exhausted, grpc, expect) in [(true, true, 8), (true, false, 14), (false, true, 14)] {
        let config = GlobalRateLimit { resource_exhausted: exhausted, ..config() };
        let Verdict::OverLimit(failure, _) = judge(&config, &[], Some(answer(true)), grpc, &mut Dice::new(1))
        else {
            panic!("over the limit")
        };
        assert_eq!(failure.grpc_status(), GrpcStatus(expect));
    }
}

#[test]
fn clients_are_told_of_the_closest_limit() {
    let named = Status {
        limit: Some(CurrentLimit { name: "per-ip".into(), requests: 10, unit: Unit::Second }),
        ..status(10, Unit::Second, 2)
    };
    let unlimited = Status { limit: None, ..status(1, Unit::Day, 0) };
    let told = |told, statuses: &[Status], options: &[Told]| {
        let config = GlobalRateLimit { told, ..config() };
        judged(&config, options, Some(Answer { statuses: statuses.to_vec(), ..answer(false) })).1
    };
    let one = [status(1000, Unit::Hour, 7)];
    let two = [status(1000, Unit::Hour, 7), named, unlimited];
    let first = "x-ratelimit-limit: 1000, 1000;w=3600\nx-ratelimit-remaining: 7\nx-ratelimit-reset: 9";
    let both = "x-ratelimit-limit: 10, 1000;w=3600, 10;w=1;name=\"per-ip\"\nx-ratelimit-remaining: 2\nx-ratelimit-reset: 9";
    let second =
        "x-ratelimit-limit: 10, 10;w=1;name=\"per-ip\"\nx-ratelimit-remaining: 2\nx-ratelimit-reset: 9";
    assert_eq!(told(true, &one, &[]), first);
    assert_eq!(told(false, &one, &[]), "");
    assert_eq!(told(false, &one, &[Told::Always]), first);
    assert_eq!(told(true, &one, &[Told::Never]), "");
    assert_eq!(told(true, &two, &[]), both);
    assert_eq!(told(true, &two, &[Told::Never]), second);
    assert_eq!(told(true, &two, &[Told::AsFilter, Told::Never]), "");
    assert_eq!(told(true, &[], &[]), "");
    let unknown = "x-ratelimit-limit: 5\nx-ratelimit-remaining: 1\nx-ratelimit-reset: 9";
    assert_eq!(told(true, &[status(5, Unit::Unknown, 1)], &[]), unknown);
}

#[test]
fn when_to_come_again() {
    let config = || GlobalRateLimit { retry_after: true, says_limited: false, ..config() };
    let over = |statuses| Some(Answer { statuses, ..answer(true) });
    let later = Status { until_reset: Duration::from_millis(20_500), ..status(1, Unit::Hour, 0) };
    let within = Status { until_reset: Duration::from_secs(99), ..status(5, Unit::Hour, 3) };
    let own = HeaderChange {
        name: http::header::RETRY_AFTER,
        value: HeaderValue::from_static("7"),
        action: crate::model::route::HeaderAppendAction::AppendIfExistsOrAdd,
    };
    let cases = [
        (config(), over(vec![status(1, Unit::Hour, 0), later.clone(), within.clone()]), "retry-after: 21"),
        (config(), over(vec![within]), ""),
        (
            GlobalRateLimit { status: StatusCode::SERVICE_UNAVAILABLE, ..config() },
            over(vec![later.clone()]),
            "",
        ),
        (
            config(),
            Some(Answer { response: vec![own], statuses: vec![later], ..answer(true) }),
            "retry-after: 7",
        ),
    ];
    for (config, answer, expect) in cases {
        assert_eq!(judged(&config, &[], answer).1, expect);
    }
}
