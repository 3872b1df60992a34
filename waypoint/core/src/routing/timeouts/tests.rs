use super::*;
use crate::matching::view::sample::Sample;
use crate::model::route::RetryOn;
use crate::routing::plan::sample::forward;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the route says, what a gRPC client says, and the total, per-try and expected times in milliseconds.
#[test]
fn table() {
    type Row = (
        Option<u64>,
        Option<u64>,
        Option<u64>,
        Option<&'static str>,
        (Option<u64>, Option<u64>, Option<u64>),
    );
    let rows: &[Row] = &[
        // timeout, max gRPC, per try, grpc-timeout
        (None, None, None, None, (None, None, None)),
        (Some(0), None, None, None, (None, None, None)),
        (Some(500), None, None, None, (Some(500), None, Some(500))),
        (Some(500), None, Some(200), None, (Some(500), Some(200), Some(200))),
        (Some(500), None, Some(500), None, (Some(500), None, Some(500))),
        (Some(500), None, Some(900), None, (Some(500), None, Some(500))),
        (None, None, Some(200), None, (None, Some(200), Some(200))),
        // gRPC: the client's deadline, up to the maximum; zero limits nothing.
        (Some(500), None, None, Some("100m"), (Some(500), None, Some(500))),
        (Some(500), Some(1000), None, Some("100m"), (Some(100), None, Some(100))),
        (Some(500), Some(1000), None, Some("5S"), (Some(1000), None, Some(1000))),
        (Some(500), Some(1000), None, Some(""), (Some(1000), None, Some(1000))),
        (Some(500), Some(0), None, Some("5S"), (Some(5000), None, Some(5000))),
        (Some(500), Some(0), None, Some("x"), (None, None, None)),
        (Some(500), Some(0), None, Some("123456789m"), (None, None, None)),
        (Some(500), Some(0), None, Some("2M"), (Some(120_000), None, Some(120_000))),
        (Some(500), Some(0), None, Some("0m"), (None, None, None)),
        (Some(500), Some(1000), None, Some("0S"), (Some(1000), None, Some(1000))),
        (Some(500), Some(1000), Some(50), Some("100m"), (Some(100), Some(50), Some(50))),
    ];
    for (timeout, max_grpc, per_try, grpc, expect) in rows {
        let mut forward = forward();
        forward.timeout = timeout.map(ms);
        forward.max_grpc_timeout = max_grpc.map(ms);
        if let Some(per_try) = per_try {
            let mut retry = crate::routing::retry::sample::policy(RetryOn::SERVER_ERROR, 2);
            retry.per_try_timeout = Some(ms(*per_try));
            forward.retry = Some(retry.into());
        }
        let mut sample = Sample::get("/");
        if let Some(grpc) = grpc {
            sample = sample.header("content-type", "application/grpc").header("grpc-timeout", grpc);
        }
        let have = timeouts(&forward, &sample.view());
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let row = (timeout, max_grpc, per_try, grpc);
        assert_eq!((millis(have.request), millis(have.per_try), millis(have.expected)), *expect, "{row:?}");
        assert_eq!(
            have.grpc_timeout.is_some(),
            max_grpc.is_some() && grpc.is_some() && expect.2.is_some(),
            "{row:?}"
        );
    }
}

/// Any client can write these, so none is obeyed.
#[test]
fn control_headers_of_clients_change_nothing() {
    let sample = Sample::get("/")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-envoy-upstream-rq-timeout-ms", "50")
        .header("x-envoy-upstream-rq-per-try-timeout-ms", "10");
    assert_eq!(timeouts(&forward(), &sample.view()), Timeouts::default());
}

#[test]
fn grpc_timeouts_are_written_as_they_are_read() {
    for (timeout, text) in [
        (ms(1), "1m"),
        (Duration::from_nanos(5), "1m"),
        (ms(99_999_999), "99999999m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::from_secs(99_999_999 * 60), "99999999M"),
    ] {
        assert_eq!(format_grpc_timeout(timeout), text);
    }
    for text in ["1H", "1M", "1S", "1m", "1u", "1n", "0m"] {
        assert!(parse_grpc_timeout(&HeaderValue::from_static(text)).is_some(), "{text}");
    }
    for text in ["", "m", "1", "1x", "-1m", "+1m", "1.5S", " 1S"] {
        assert_eq!(parse_grpc_timeout(&HeaderValue::from_static(text)), None, "{text}");
    }
}
