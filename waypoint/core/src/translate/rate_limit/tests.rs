use super::*;
use crate::translate::pb::{common_ratelimit as common, core, local_ratelimit as pb, protobuf, types};
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
        (with(|limit| limit.local_rate_limit_per_downstream_connection = true), "ok"),
        (
            with(|limit| limit.local_cluster_rate_limit = Some(Default::default())),
            "unsupported unsupported_field{LocalRateLimit#16}",
        ),
        (with(|limit| limit.enable_x_ratelimit_headers = 1), "ok"),
        (
            with(|limit| limit.enable_x_ratelimit_headers = 2),
            "unsupported unsupported_value{enable_x_ratelimit_headers=2}",
        ),
        (with(|limit| limit.enable_retry_after_header = true), "ok"),
    ];
    for (limit, expect) in cases {
        let shown = format!("{limit:?}");
        assert_eq!(outcome(config("limit", limit)), expect, "{shown}");
    }
}

#[test]
fn an_unset_fraction_is_nobody() {
    let limit = config("limit", with(|_| {})).unwrap();
    assert_eq!((limit.enabled.numerator, limit.enforced.numerator), (0, 0));
    let percent = types::FractionalPercent { numerator: 7, denominator: 0 };
    let enabled = core::RuntimeFractionalPercent { default_value: Some(percent), runtime_key: "key".into() };
    let limit = config("limit", with(|limit| limit.filter_enabled = Some(enabled))).unwrap();
    assert_eq!(limit.enabled, Fraction { numerator: 7, denominator: 100 });
}

#[test]
fn a_status_that_is_no_error_becomes_429() {
    for (code, expect) in [(503, 503), (200, 429), (429, 429)] {
        let limit = config("limit", with(|limit| limit.status = Some(types::HttpStatus { code }))).unwrap();
        assert_eq!(limit.status, expect);
    }
    assert_eq!(
        outcome(config("limit", with(|limit| limit.status = Some(types::HttpStatus { code: 42 })))),
        "invalid status: bad status 42"
    );
}

fn descriptor(entries: &[(&str, &str)]) -> common::LocalRateLimitDescriptor {
    let entries = entries.iter().map(|(key, value)| common::rate_limit_descriptor::Entry {
        key: (*key).into(),
        value: (*value).into(),
    });
    common::LocalRateLimitDescriptor {
        entries: entries.collect(),
        token_bucket: bucket(50, None),
        shadow_mode: false,
    }
}

fn with_descriptors(
    list: &[&[(&str, &str)]],
    change: impl FnOnce(&mut pb::LocalRateLimit),
) -> pb::LocalRateLimit {
    with(|limit| {
        limit.descriptors = list.iter().map(|entries| descriptor(entries)).collect();
        change(limit);
    })
}

#[test]
fn descriptors_are_honoured_or_refused() {
    let ann: &[(&str, &str)] = &[("user", "ann")];
    let any: &[(&str, &str)] = &[("user", "")];
    let max = |value| Some(protobuf::UInt32Value { value });
    let cases = [
        (with_descriptors(&[ann, any, &[("user", "ann"), ("path", "")]], |_| {}), "ok"),
        (with_descriptors(&[&[]], |_| {}), "invalid descriptors[0]: no entries"),
        (with_descriptors(&[any, ann, ann], |_| {}), "invalid descriptors[2]: twice the same entries"),
        (
            with_descriptors(&[ann], |limit| limit.descriptors[0].token_bucket = None),
            "invalid descriptors[0]: no token_bucket",
        ),
        (
            with_descriptors(&[ann], |limit| limit.descriptors[0].token_bucket = bucket(49, None)),
            "invalid descriptors[0].token_bucket: fill_interval below 50 ms",
        ),
        (
            with_descriptors(&[any], |limit| limit.local_rate_limit_per_downstream_connection = true),
            "unsupported unsupported_rate_limit{descriptors of any value per connection}",
        ),
        (with_descriptors(&[ann], |limit| limit.local_rate_limit_per_downstream_connection = true), "ok"),
        (
            with_descriptors(&[any], |limit| limit.max_dynamic_descriptors = max(0)),
            "invalid : max_dynamic_descriptors is 0",
        ),
        (
            with_descriptors(&[any], |limit| limit.max_dynamic_descriptors = max(u32::MAX)),
            "unsupported unsupported_rate_limit{max_dynamic_descriptors=4294967295}",
        ),
        (with_descriptors(&[ann], |limit| limit.max_dynamic_descriptors = max(u32::MAX)), "ok"),
        (with_descriptors(&[ann], |limit| limit.stage = 11), "invalid stage: stage 11 is above 10"),
        (
            with_descriptors(&[ann], |limit| limit.vh_rate_limits = 3),
            "unsupported unsupported_value{vh_rate_limits=3}",
        ),
        (
            with_descriptors(&[ann], |limit| limit.rate_limits = vec![Default::default()]),
            "invalid rate_limits[0]: no actions",
        ),
    ];
    for (limit, expect) in cases {
        let shown = format!("{limit:?}");
        assert_eq!(outcome(config("limit", limit)), expect, "{shown}");
    }
}

#[test]
fn an_empty_value_is_any() {
    let limit = with_descriptors(&[&[("user", "ann"), ("path", "")]], |limit| {
        limit.max_dynamic_descriptors = Some(protobuf::UInt32Value { value: 7 });
        limit.descriptors[0].shadow_mode = true;
    });
    let limit = config("limit", limit).unwrap();
    let one = &limit.descriptors[0];
    assert_eq!(one.entries, [("user".into(), Some("ann".into())), ("path".into(), None)]);
    assert!(one.shadow && limit.always_consume_default);
    let DescriptorTokens::PerValues(seen) = &one.tokens else { panic!("{one:?}") };
    assert_eq!(seen.seen.lock().unwrap().cap().get(), 7);
}

#[test]
fn what_a_connect_cannot_do() {
    let header = core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: "x-a".into(),
            value: "%REQ(:path)%".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let cases = [
        (with_descriptors(&[&[("user", "")]], |_| {}), "ok"),
        (
            with(|limit| limit.local_rate_limit_per_downstream_connection = true),
            "unsupported unsupported_rate_limit{CONNECT per connection}",
        ),
        (
            with(|limit| limit.response_headers_to_add = vec![header]),
            "unsupported unsupported_rate_limit{x-a}",
        ),
    ];
    for (limit, expect) in cases {
        assert_eq!(outcome(constant(&config("limit", limit).unwrap())), expect);
    }
}
