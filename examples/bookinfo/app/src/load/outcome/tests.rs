use super::*;

#[test]
fn version_is_read_from_the_body() {
    let check = |body: &str, expect: Option<&str>| {
        assert_eq!(version(body.as_bytes()).as_deref(), expect, "{body}");
    };
    check(r#"{"id":"0","podname":"reviews-v2-6b7c94b7cc-x2x2x"}"#, Some("v2"));
    check(r#"{"podname":"httpbin-6b7c94b7cc-x2x2x"}"#, Some("httpbin-6b7c94b7cc-x2x2x"));
    check(r#"{"id":0}"#, None);
    check(r#"{"id":"echo-v1"}"#, Some("v1"));
    check("<div>Reviews served by: reviews-v3-abc</div>", Some("v3"));
    check("<p>Error fetching product reviews</p>", None);
    check("upstream connect error", None);
}

#[test]
fn percentiles_are_nearest_rank() {
    let ms: Vec<_> = (1..=100).map(Duration::from_millis).collect();
    assert_eq!(percentile(&ms, 0.5), Some(Duration::from_millis(50)));
    assert_eq!(percentile(&ms, 0.99), Some(Duration::from_millis(99)));
    assert_eq!(percentile(&ms, 1.0), Some(Duration::from_millis(100)));
    assert_eq!(percentile(&[], 0.5), None);
}

#[test]
fn outcomes_add_up() {
    let mut a = Outcome::default();
    a.answered(StatusCode::OK, br#"{"podname":"reviews-v1-x"}"#, Duration::from_millis(2));
    let mut b = Outcome::default();
    b.answered(StatusCode::SERVICE_UNAVAILABLE, b"", Duration::from_millis(4));
    b.failed("connect: refused".to_owned());
    a.merge(b);
    a.seconds = 1.0;
    assert_eq!(
        a.to_json(),
        json!({"requests": 3, "failed": 2, "status": {"200": 1, "503": 1}, "body": {"v1": 1},
            "latency_ms": {"p50": 2.0, "p99": 4.0, "max": 4.0}, "seconds": 1.0, "errors": {"connect: refused": 1}})
    );
}
