use super::*;
use crate::translate::pb::{core, local_ratelimit as pb, protobuf, types};
use crate::translate::tests::{outcome, seconds};

fn bucket(millis: i32, per_fill: Option<u32>) -> Option<types::TokenBucket> {
    Some(types::TokenBucket {
        max_tokens: 4,
        tokens_per_fill: per_fill.map(|value| protobuf::UInt32Value { value }),
        fill_interval: Some(protobuf::Duration { seconds: 0, nanos: millis * 1_000_000 }),
    })
}

fn with(change: impl FnOnce(&mut pb::LocalRateLimit)) -> pb::LocalRateLimit {
    let mut limit = pb::LocalRateLimit {
        stat_prefix: "limit".into(),
        token_bucket: bucket(50, None),
        ..Default::default()
    };
    change(&mut limit);
    limit
}

#[test]
fn honoured_or_refused_by_name() {
    let cases = [
        (with(|_| {}), "ok"),
        (with(|limit| limit.token_bucket = None), "ok"),
        (
            with(|limit| limit.token_bucket = bucket(49, None)),
            "invalid token_bucket: fill_interval below 50 ms",
        ),
        (
            with(|limit| limit.token_bucket = Some(types::TokenBucket::default())),
            "invalid token_bucket: fill_interval below 50 ms",
        ),
        (
            with(|limit| limit.token_bucket = bucket(50, Some(0))),
            "invalid token_bucket: tokens_per_fill is 0",
        ),
        (
            with(|limit| {
                let bucket = limit.token_bucket.as_mut().unwrap();
                (bucket.max_tokens, bucket.fill_interval) = (u32::MAX, seconds(60));
            }),
            "unsupported unsupported_rate_limit{more than a century to fill}",
        ),
        (with(|limit| limit.stage = 1), "ok"),
        (
            with(|limit| limit.descriptors = vec![Default::default()]),
            "unsupported unsupported_field{LocalRateLimit#8}",
        ),
        (
            with(|limit| limit.local_rate_limit_per_downstream_connection = true),
            "unsupported unsupported_field{LocalRateLimit#11}",
        ),
        (
            with(|limit| limit.local_cluster_rate_limit = Some(Default::default())),
            "unsupported unsupported_field{LocalRateLimit#16}",
        ),
        (
            with(|limit| limit.enable_x_ratelimit_headers = 1),
            "unsupported unsupported_field{LocalRateLimit#12}",
        ),
        (
            with(|limit| limit.enable_retry_after_header = true),
            "unsupported unsupported_field{LocalRateLimit#19}",
        ),
    ];
    for (limit, expect) in cases {
        let shown = format!("{limit:?}");
        assert_eq!(outcome(config(limit)), expect, "{shown}");
    }
}

#[test]
fn an_unset_fraction_is_nobody() {
    let limit = config(with(|_| {})).unwrap();
    assert_eq!((limit.enabled.numerator, limit.enforced.numerator), (0, 0));
    let percent = types::FractionalPercent { numerator: 7, denominator: 0 };
    let enabled = core::RuntimeFractionalPercent { default_value: Some(percent), runtime_key: "key".into() };
    let limit = config(with(|limit| limit.filter_enabled = Some(enabled))).unwrap();
    assert_eq!(limit.enabled, Fraction { numerator: 7, denominator: 100 });
}

#[test]
fn a_status_that_is_no_error_becomes_429() {
    for (code, expect) in [(503, 503), (200, 429), (429, 429)] {
        let limit = config(with(|limit| limit.status = Some(types::HttpStatus { code }))).unwrap();
        assert_eq!(limit.status, expect);
    }
    assert_eq!(
        outcome(config(with(|limit| limit.status = Some(types::HttpStatus { code: 42 })))),
        "invalid status: bad status 42"
    );
}

#[test]
fn tokens_outlive_a_change_that_leaves_the_rate() {
    let filters = |max_tokens: &[u32]| -> Vec<HttpFilter> {
        let limits = max_tokens.iter().map(|max_tokens| {
            let mut limit = config(with(|_| {})).unwrap();
            limit.bucket.as_mut().unwrap().rate.max = *max_tokens;
            HttpFilter::LocalRateLimit(Arc::new(limit))
        });
        [HttpFilter::Cors].into_iter().chain(limits).collect()
    };
    let cells = |filters: &[HttpFilter]| -> Vec<Arc<crate::model::rate_limit::Tokens>> {
        filters.iter().filter_map(bucket_of).map(|bucket| bucket.tokens.clone()).collect()
    };
    let before = filters(&[1, 2]);
    let mut after = filters(&[1, 3, 4]);
    carry_over(&mut after, &before);
    let (before, after) = (cells(&before), cells(&after));
    let same: Vec<bool> =
        before.iter().zip(&after).map(|(before, after)| Arc::ptr_eq(before, after)).collect();
    assert_eq!(same, [true, false]);
}
