use super::*;
use crate::translate::tests::pack;
use prost::Message;

fn resource(plugin: wasm::PluginConfig) -> Vec<u8> {
    let wasm = http_wasm::Wasm { config: Some(plugin) };
    core::TypedExtensionConfig { name: "x".into(), typed_config: Some(pack(&wasm)) }.encode_to_vec()
}

#[test]
fn failure_policies() {
    let with = |policy: wasm::FailurePolicy, fail_open| {
        resource(wasm::PluginConfig { failure_policy: policy as i32, fail_open, ..Default::default() })
    };
    let other =
        core::TypedExtensionConfig { name: "x".into(), typed_config: Some(pack(&core::Node::default())) };
    let cases = [
        (with(wasm::FailurePolicy::FailOpen, false), FailurePolicy::Open),
        (with(wasm::FailurePolicy::FailClosed, false), FailurePolicy::Closed),
        (with(wasm::FailurePolicy::FailReload, false), FailurePolicy::Closed),
        (with(wasm::FailurePolicy::Unspecified, false), FailurePolicy::Closed),
        (with(wasm::FailurePolicy::Unspecified, true), FailurePolicy::Open),
        (with(wasm::FailurePolicy::FailClosed, true), FailurePolicy::Closed),
        (other.encode_to_vec(), FailurePolicy::Closed),
    ];
    for (bytes, expect) in cases {
        assert_eq!(translate("x", &bytes).unwrap().value, expect);
    }
}

#[test]
fn rejections() {
    let empty = core::TypedExtensionConfig { name: "x".into(), typed_config: None };
    let rejection = translate("x", &empty.encode_to_vec()).unwrap_err();
    assert_eq!(
        (rejection.name.as_str(), rejection.reason.as_str()),
        ("x", "extension without configuration")
    );
}
