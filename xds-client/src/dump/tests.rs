use super::*;
use crate::proto::envoy::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter::ConfigType};
use crate::proto::envoy::google::protobuf::{Any, StringValue};
use prost::Message;

fn listener_with(any: Any) -> Vec<u8> {
    let filter = Filter { name: "f".into(), config_type: Some(ConfigType::TypedConfig(any)) };
    Listener {
        name: "main_internal".into(),
        filter_chains: vec![FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    }
    .encode_to_vec()
}

fn check(any: Any, expected: &str) {
    let json = message_to_json(crate::type_url::LISTENER, &listener_with(any)).expect("prints");
    assert_eq!(json["filter_chains"][0]["filters"][0]["typed_config"].to_string(), expected);
    assert_eq!(json["@type"], crate::type_url::LISTENER);
    assert_eq!(json["name"], "main_internal");
}

#[test]
fn nested_messages_are_expanded_under_their_own_names() {
    let value = StringValue { value: "x".into() }.encode_to_vec();
    check(
        Any { type_url: "type.googleapis.com/google.protobuf.StringValue".into(), value },
        r#"{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"x"}"#,
    );
}

#[test]
fn an_unknown_nested_type_does_not_spoil_the_dump() {
    check(
        Any { type_url: "type.googleapis.com/example.unknown.v1.Config".into(), value: vec![10, 1, 65] },
        r#"{"@type":"type.googleapis.com/example.unknown.v1.Config"}"#,
    );
}

#[test]
fn istio_types_print_too() {
    let workload = crate::proto::workload::Workload { uid: "u".into(), ..Default::default() };
    let json = message_to_json(crate::type_url::WORKLOAD, &workload.encode_to_vec()).expect("prints");
    assert_eq!(json["uid"], "u");
}
