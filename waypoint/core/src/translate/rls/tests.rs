use super::*;
use crate::model::descriptor::Told;
use crate::policy::rate_limit::descriptors::Entry;
use rls::rate_limit_response as response;
use std::time::Duration;

#[test]
fn what_is_asked() {
    let entry = |key, value: &'static str| Entry { key, value: value.into() };
    let descriptors = [
        Descriptor {
            entries: vec![entry("path", "/a"), entry("user", "")],
            limit: Some(RateOverride { requests: 7, unit: Unit::Minute }),
            hits: Some(3),
            told: Told::AsFilter,
        },
        Descriptor { entries: vec![], limit: None, hits: None, told: Told::Never },
    ];
    let asked = rls::RateLimitRequest::decode(&*encode("shop", &descriptors)).unwrap();
    assert_eq!((asked.domain.as_str(), asked.hits_addend, asked.descriptors.len()), ("shop", 0, 2));
    let first = &asked.descriptors[0];
    let entries: Vec<_> = first.entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
    assert_eq!(entries, [("path", "/a"), ("user", "")]);
    let limit = first.limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit), (7, types::RateLimitUnit::Minute as i32));
    assert_eq!(first.hits_addend.map(|hits| hits.value), Some(3));
    assert_eq!(asked.descriptors[1], pb::RateLimitDescriptor::default());
}

fn response(code: response::Code) -> rls::RateLimitResponse {
    rls::RateLimitResponse { overall_code: code as i32, ..Default::default() }
}

fn with_header(key: &str, value: &str) -> Vec<core::HeaderValue> {
    vec![core::HeaderValue { key: key.into(), value: value.into(), ..Default::default() }]
}

#[test]
fn only_an_answer_that_can_be_carried_out_is_one() {
    use response::Code::{Ok, OverLimit, Unknown};
    let request = |key, value| rls::RateLimitResponse {
        request_headers_to_add: with_header(key, value),
        ..response(Ok)
    };
    let cases = [
        (response(Ok), Some(false)),
        (response(OverLimit), Some(true)),
        (response(Unknown), None),
        (rls::RateLimitResponse { overall_code: 9, ..Default::default() }, None),
        (request("x-a", "1"), Some(false)),
        (request(":path", "/other"), None),
        (request("Host", "other"), None),
        (request("x-a", "1\n"), None),
    ];
    for (response, expect) in cases {
        let answer = decode(&response.encode_to_vec());
        assert_eq!(answer.map(|answer| answer.over_limit), expect, "{response:?}");
    }
    assert_eq!(decode(&[0xff]), None);
}

#[test]
fn all_of_an_answer_is_read() {
    let limit = response::RateLimit {
        name: "per-ip".into(),
        requests_per_unit: 10,
        unit: response::rate_limit::Unit::Week as i32,
    };
    let status = response::DescriptorStatus {
        code: response::Code::OverLimit as i32,
        current_limit: Some(limit),
        limit_remaining: 4,
        duration_until_reset: Some(protobuf::Duration { seconds: 5, nanos: 0 }),
        ..Default::default()
    };
    let said = rls::RateLimitResponse {
        statuses: vec![status, Default::default()],
        response_headers_to_add: with_header("x-limited", "yes"),
        raw_body: b"too many".to_vec(),
        dynamic_metadata: Some(protobuf::Struct::default()),
        ..response(response::Code::OverLimit)
    };
    let answer = decode(&said.encode_to_vec()).unwrap();
    let limit = CurrentLimit { name: "per-ip".into(), requests: 10, unit: Unit::Week };
    let first =
        Status { over_limit: true, limit: Some(limit), remaining: 4, until_reset: Duration::from_secs(5) };
    let second = Status { over_limit: false, limit: None, remaining: 0, until_reset: Duration::ZERO };
    assert_eq!(answer.statuses, [first, second]);
    assert_eq!((&*answer.body, answer.response[0].name.as_str()), (&b"too many"[..], "x-limited"));
    assert!(answer.metadata.is_some());
}
