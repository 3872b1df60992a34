use super::*;
use crate::routing::retry::sample::policy;
use http::HeaderValue;

/// istiod's default.
fn istio_default() -> RetryOn {
    RetryOn::CONNECT_FAILURE
        .with(RetryOn::REFUSED_STREAM)
        .with(RetryOn::GRPC_UNAVAILABLE)
        .with(RetryOn::GRPC_CANCELLED)
        .with(RetryOn::RETRIABLE_STATUS_CODES)
}

fn reset(reason: ResetReason) -> Outcome<'static> {
    Outcome::Reset { reason, reached_application: true }
}

fn unreached(reason: ResetReason) -> Outcome<'static> {
    Outcome::Reset { reason, reached_application: false }
}

/// Whether the policy covers a first outcome.
fn retried(policy: RetryPolicy, outcome: &Outcome<'_>) -> bool {
    let decision = RetryState::new(Some(policy.into())).decide(outcome, &mut Dice::new(1));
    matches!(decision, RetryDecision::Retry { .. })
}

#[test]
fn responses() {
    let codes = |codes: &[u16]| RetryPolicy {
        status_codes: codes.iter().map(|code| StatusCode::from_u16(*code).unwrap()).collect(),
        ..policy(RetryOn::RETRIABLE_STATUS_CODES, 2)
    };
    let plain = |on| policy(on, 2);
    let cases = [
        (plain(RetryOn::SERVER_ERROR), 500, true),
        (plain(RetryOn::SERVER_ERROR), 599, true),
        (plain(RetryOn::SERVER_ERROR), 499, false),
        (plain(RetryOn::GATEWAY_ERROR), 500, false),
        (plain(RetryOn::GATEWAY_ERROR), 502, true),
        (plain(RetryOn::GATEWAY_ERROR), 504, true),
        (plain(RetryOn::GATEWAY_ERROR), 505, false),
        (plain(RetryOn::RETRIABLE_4XX), 409, true),
        (plain(RetryOn::RETRIABLE_4XX), 404, false),
        (codes(&[503, 429]), 429, true),
        (codes(&[503, 429]), 500, false),
        (plain(istio_default()), 503, false),
        (plain(RetryOn::RESET), 503, false),
        (plain(RetryOn::default()), 503, false),
    ];
    let headers = HeaderMap::new();
    for (policy, status, expect) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        let outcome = Outcome::Response { status, headers: &headers };
        assert_eq!(retried(policy.clone(), &outcome), expect, "{status} under {policy:?}");
    }
}

#[test]
fn response_headers() {
    let on_header = RetryPolicy {
        retriable_headers: vec![crate::model::matcher::HeaderMatcher {
            key: crate::model::matcher::HeaderKey::Name(http::HeaderName::from_static("x-retry")),
            matcher: crate::model::matcher::HeaderValueMatcher::Present(true),
            invert: false,
            treat_missing_as_empty: false,
        }],
        ..policy(RetryOn::RETRIABLE_HEADERS, 2)
    };
    let cases = [
        (on_header.clone(), "x-retry", "", true),
        (on_header, "x-other", "", false),
        (policy(istio_default(), 2), "grpc-status", "14", true),
        (policy(istio_default(), 2), "grpc-status", "1", true),
        (policy(istio_default(), 2), "grpc-status", "13", false),
        (policy(istio_default(), 2), "grpc-status", "0", false),
        (policy(RetryOn::GRPC_RESOURCE_EXHAUSTED, 2), "grpc-status", "8", true),
        (policy(RetryOn::ENVOY_RATELIMITED, 2), "x-envoy-ratelimited", "true", true),
        // The server asks for mercy; only that condition may overrule it.
        (policy(RetryOn::SERVER_ERROR.with(RetryOn::RETRIABLE_4XX), 2), "x-envoy-ratelimited", "true", false),
    ];
    for (policy, name, value, expect) in cases {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let outcome = Outcome::Response { status: StatusCode::OK, headers: &headers };
        assert_eq!(retried(policy, &outcome), expect, "{name}: {value}");
    }
}

#[test]
fn resets_that_reached_an_application() {
    let cases = [
        (istio_default(), ResetReason::ConnectionTermination, false),
        (istio_default(), ResetReason::RemoteReset, false),
        (istio_default(), ResetReason::RemoteRefusedStream, true),
        (istio_default(), ResetReason::RemoteConnectionFailure, true),
        (istio_default(), ResetReason::ConnectionTimeout, true),
        (RetryOn::RESET, ResetReason::ConnectionTermination, true),
        (RetryOn::SERVER_ERROR, ResetReason::ProtocolError, true),
        (RetryOn::GATEWAY_ERROR, ResetReason::RemoteReset, true),
        (RetryOn::RESET_BEFORE_REQUEST, ResetReason::RemoteReset, false),
        (RetryOn::RESET.with(RetryOn::SERVER_ERROR), ResetReason::Overflow, false),
    ];
    for (on, reason, expect) in cases {
        assert_eq!(retried(policy(on, 2), &reset(reason)), expect, "{reason:?} under {on:?}");
    }
}

/// Its 504 is for the client; a status list does not see it.
#[test]
fn per_try_timeouts() {
    let listed =
        RetryPolicy { status_codes: vec![StatusCode::GATEWAY_TIMEOUT], ..policy(istio_default(), 2) };
    assert!(!retried(listed, &Outcome::PerTryTimeout));
    for on in [RetryOn::SERVER_ERROR, RetryOn::GATEWAY_ERROR, RetryOn::RESET] {
        assert!(retried(policy(on, 2), &Outcome::PerTryTimeout), "{on:?}");
    }
}

#[test]
fn attempts_run_out() {
    let mut state = RetryState::new(Some(policy(RetryOn::SERVER_ERROR, 3).into()));
    let headers = HeaderMap::new();
    let outcome = Outcome::Response { status: StatusCode::BAD_GATEWAY, headers: &headers };
    let mut dice = Dice::new(1);
    for attempt in 2..=4 {
        assert!(matches!(state.decide(&outcome, &mut dice), RetryDecision::Retry { .. }));
        assert_eq!(state.attempts(), attempt);
    }
    assert_eq!(state.decide(&outcome, &mut dice), RetryDecision::LimitExceeded);
    assert!(state.retried());
    // An outcome nobody retries is an answer, not an exhausted retry.
    let fine = Outcome::Response { status: StatusCode::OK, headers: &headers };
    assert_eq!(state.decide(&fine, &mut dice), RetryDecision::No);
}

/// No byte reached the application: tried elsewhere without any policy, and without a trace when that fails too.
#[test]
fn unreached_attempts_are_repeated_without_a_policy() {
    let mut state = RetryState::new(None);
    let mut dice = Dice::new(1);
    let refused = unreached(ResetReason::ConnectionTermination);
    for _ in 0..UNREACHED_RETRIES_MAX {
        assert!(state.may_retry());
        assert_eq!(state.decide(&refused, &mut dice), RetryDecision::Retry { after: Duration::ZERO });
    }
    assert_eq!(state.decide(&refused, &mut dice), RetryDecision::No);
    assert!(!state.retried() && !state.may_retry());
    for outcome in
        [reset(ResetReason::ConnectionTermination), unreached(ResetReason::Overflow), Outcome::PerTryTimeout]
    {
        assert_eq!(RetryState::new(None).decide(&outcome, &mut dice), RetryDecision::No, "{outcome:?}");
    }
}

/// A connect failure under istiod's default is the policy's: it runs out after two, as in Envoy.
#[test]
fn the_policy_goes_first_where_it_covers() {
    let mut state = RetryState::new(Some(policy(istio_default(), 2).into()));
    let mut dice = Dice::new(1);
    let refused = unreached(ResetReason::RemoteConnectionFailure);
    for _ in 0..2 {
        assert!(matches!(state.decide(&refused, &mut dice), RetryDecision::Retry { .. }));
    }
    assert_eq!(state.decide(&refused, &mut dice), RetryDecision::LimitExceeded);
    assert_eq!(state.attempts(), 3);
}

#[test]
fn back_off_grows_to_its_maximum() {
    let (base, max) = (Duration::from_millis(25), Duration::from_millis(250));
    let longest = |retries| {
        (0..2000).map(|seed| back_off(base, max, retries, &mut Dice::new(seed))).max().unwrap().as_millis()
    };
    for (retries, window) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (60, 250)] {
        let longest = longest(retries);
        assert!((window * 9 / 10..window).contains(&longest), "{retries}: {longest} ms");
    }
}

#[test]
fn retries_have_a_ceiling() {
    let endless = policy(RetryOn::RESET, u32::MAX);
    assert_eq!(allowed(&endless), RETRIES_MAX);
}

#[test]
fn where_not_to_go_again() {
    let mut dice = Dice::new(1);
    let tried = [HostId(1)];
    let mut after = |avoid_previous_hosts, previous_priorities, outcome: &Outcome<'_>| {
        let policy = RetryPolicy { avoid_previous_hosts, previous_priorities, ..policy(istio_default(), 2) };
        let mut state = RetryState::new(Some(policy.into()));
        assert!(matches!(state.decide(outcome, &mut dice), RetryDecision::Retry { .. }));
        let avoid = state.avoid(&tried);
        (avoid.hosts, avoid.priorities_every)
    };
    let refused = reset(ResetReason::RemoteRefusedStream);
    assert_eq!(after(true, None, &refused), (true, None));
    // Consistent hashing keeps its host.
    assert_eq!(after(false, None, &refused), (false, None));
    assert_eq!(after(true, Some(2), &refused), (true, Some(2)));
    // Whatever the policy: elsewhere.
    assert_eq!(after(false, Some(2), &unreached(ResetReason::ConnectionTermination)), (true, None));
}
