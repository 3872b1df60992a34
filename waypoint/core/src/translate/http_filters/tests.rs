use super::*;
use crate::translate::ecds::{Extensions, FailurePolicy};
use crate::translate::pb::{TypedStruct, cors, fault, protobuf, router};
use crate::translate::tests::{outcome, pack};

fn typed_filter<M: prost::Message + prost::Name>(name: &str, config: &M) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.into(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack(config))),
        ..Default::default()
    }
}

fn discovered(name: &str) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.into(),
        config_type: Some(hcm::http_filter::ConfigType::ConfigDiscovery(Default::default())),
        ..Default::default()
    }
}

/// The filter under test, then a router.
fn run(filter: hcm::HttpFilter, extensions: &Extensions, warnings: &mut Warnings) -> (String, Vec<Arc<str>>) {
    let mut asked = Asked::new(extensions);
    let list = vec![filter, typed_filter("envoy.filters.http.router", &router::Router::default())];
    let result = filters(list, &mut asked, warnings);
    let text = match &result {
        Ok(filters) => format!("{} filters", filters.len()),
        Err(_) => outcome(result),
    };
    (text, asked.names)
}

fn struct_of(type_url: &str) -> TypedStruct {
    TypedStruct { type_url: format!("type.googleapis.com/{type_url}"), value: None }
}

const LOCAL_RATE_LIMIT: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

fn with_field(mut content: TypedStruct, name: &str) -> TypedStruct {
    let value = protobuf::Value { kind: Some(protobuf::value::Kind::BoolValue(true)) };
    content.value.get_or_insert_default().fields.insert(name.into(), value);
    content
}

#[test]
fn filters_are_known_by_type_not_by_name() {
    let identity = |value: &str| header_mutation::HeaderMutation {
        mutations: Some(header_mutation::Mutations {
            request_mutations: vec![mutation_rules::HeaderMutation {
                action: Some(mutation_rules::header_mutation::Action::Append(core::HeaderValueOption {
                    header: Some(core::HeaderValue {
                        key: "x-forwarded-client-cert".into(),
                        value: value.into(),
                        ..Default::default()
                    }),
                    append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd
                        as i32,
                    ..Default::default()
                })),
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let cases = [
        (typed_filter("any.name", &cors::Cors::default()), "2 filters"),
        (typed_filter("fault", &fault::HttpFault::default()), "2 filters"),
        (
            typed_filter("fault", &fault::HttpFault { upstream_cluster: "c".into(), ..Default::default() }),
            "unsupported unsupported_field{HTTPFault#3}",
        ),
        (typed_filter("xfcc", &identity(IDENTITY_VALUE)), "2 filters"),
        (typed_filter("xfcc", &identity("forged")), "unsupported unsupported_filter{xfcc}"),
        (typed_filter("peers", &struct_of("io.istio.http.peer_metadata.Config")), "1 filters"),
        (
            typed_filter("custom", &struct_of("example.unknown.v1.Config")),
            "unsupported unsupported_filter{custom}",
        ),
        // A type we know, written as a struct.
        (typed_filter("limit", &struct_of(LOCAL_RATE_LIMIT)), "2 filters"),
        (
            typed_filter("limit", &with_field(struct_of(LOCAL_RATE_LIMIT), "stat_prefix")),
            "unsupported unsupported_type{LocalRateLimit:invalid type: boolean `true`, expected a string}",
        ),
        (typed_filter("jwt", &core::Node::default()), "unsupported unsupported_filter{jwt}"),
        (
            hcm::HttpFilter { name: "empty".into(), ..Default::default() },
            "unsupported unsupported_filter{empty}",
        ),
    ];
    for (filter, expect) in cases {
        assert_eq!(run(filter, &Extensions::default(), &mut Warnings::default()).0, expect);
    }
}

#[test]
fn optional_and_disabled_filters_are_left_out() {
    let unknown = typed_filter("jwt", &core::Node::default());
    let mut warnings = Warnings::default();
    let optional = hcm::HttpFilter { is_optional: true, ..unknown.clone() };
    assert_eq!(run(optional, &Extensions::default(), &mut warnings).0, "1 filters");
    assert_eq!(warnings.into_list()[0].text, "optional filter jwt is skipped");
    let disabled = hcm::HttpFilter { disabled: true, ..unknown };
    assert_eq!(run(disabled, &Extensions::default(), &mut Warnings::default()).0, "1 filters");
}

#[test]
fn extensions_fail_as_their_author_wants() {
    let with = |policy| Extensions { policies: [("wasm".into(), policy)].into() };
    let cases = [
        (Extensions::default(), "unsupported unsupported_filter{wasm}"),
        (with(FailurePolicy::Closed), "unsupported unsupported_filter{wasm}"),
        (with(FailurePolicy::Open), "1 filters"),
    ];
    for (extensions, expect) in cases {
        let (got, asked) = run(discovered("wasm"), &extensions, &mut Warnings::default());
        assert_eq!((got.as_str(), asked), (expect, vec!["wasm".into()]));
    }
}

#[test]
fn a_broken_configuration_is_a_rejection() {
    let any = protobuf::Any { value: vec![0xff], ..pack(&router::Router::default()) };
    let config_type = Some(hcm::http_filter::ConfigType::TypedConfig(any));
    let filter = hcm::HttpFilter { name: "r".into(), config_type, ..Default::default() };
    let (got, _) = run(filter, &Extensions::default(), &mut Warnings::default());
    assert!(got.starts_with("invalid http_filters[0]: Router: "), "{got}");
}
