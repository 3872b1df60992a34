use super::*;
use crate::proto::envoy::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use crate::proto::envoy::google::protobuf::ListValue;

const LIMIT: &str = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(list) => Kind::ListValue(ListValue { values: list.iter().map(value).collect() }),
        Json::Object(_) => Kind::StructValue(content(json)),
    };
    Value { kind: Some(kind) }
}

fn content(json: &Json) -> Struct {
    let fields = json.as_object().unwrap().iter().map(|(name, json)| (name.clone(), value(json)));
    Struct { fields: fields.collect() }
}

#[test]
fn as_a_user_writes_it() {
    let json = serde_json::json!({
        "stat_prefix": "limit",
        "tokenBucket": {"max_tokens": 4, "tokens_per_fill": 2, "fill_interval": "1.5s"},
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "response_headers_to_add": [{"append_action": "ADD_IF_ABSENT", "header": {"key": "x-a", "value": "b"}}],
        "local_rate_limit_per_downstream_connection": true,
    });
    let bytes = message(LIMIT, content(&json)).unwrap().unwrap();
    let limit = LocalRateLimit::decode(&*bytes).unwrap();
    let bucket = limit.token_bucket.unwrap();
    assert_eq!((bucket.max_tokens, bucket.tokens_per_fill.map(|tokens| tokens.value)), (4, Some(2)));
    assert_eq!(
        bucket.fill_interval.map(|interval| (interval.seconds, interval.nanos)),
        Some((1, 500_000_000))
    );
    assert_eq!(limit.filter_enabled.unwrap().default_value.unwrap().numerator, 100);
    assert!(limit.local_rate_limit_per_downstream_connection);
    assert_eq!(limit.response_headers_to_add[0].append_action, 1);
}

#[test]
fn what_is_no_such_message_is_an_error() {
    for json in [
        serde_json::json!({"stat_prefixes": "limit"}),
        serde_json::json!({"stat_prefix": 1}),
        serde_json::json!({"stage": 1.5}),
        serde_json::json!({"stage": -1}),
        serde_json::json!({"filter_enabled": {"default_value": {"denominator": "SOME"}}}),
    ] {
        assert!(message(LIMIT, content(&json)).is_err(), "{json}");
    }
}

#[test]
fn an_unknown_type_is_none() {
    let known = message("type.googleapis.com/example.v1.Unknown", Struct::default());
    assert!(matches!(known, Ok(None)), "{known:?}");
}
