use super::*;
use crate::translate::pb::{core, protobuf, xds_core};
use crate::translate::tests::{outcome, pack};
use pb::rate_limit::action::{self as actions, ActionSpecifier as Kind};

fn generic() -> Kind {
    Kind::GenericKey(actions::GenericKey { descriptor_value: "a".into(), ..Default::default() })
}

fn with(kind: Kind) -> pb::RateLimit {
    let action = pb::rate_limit::Action { action_specifier: Some(kind) };
    pb::RateLimit { actions: vec![action], ..Default::default() }
}

fn changed(change: impl FnOnce(&mut pb::RateLimit)) -> pb::RateLimit {
    let mut limit = with(generic());
    change(&mut limit);
    limit
}

fn number(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

fn header(name: &str, key: &str) -> Kind {
    Kind::RequestHeaders(actions::RequestHeaders {
        header_name: name.into(),
        descriptor_key: key.into(),
        skip_if_absent: false,
    })
}

fn metadata(source: i32, segment: pb_metadata::metadata_key::path_segment::Segment) -> Kind {
    let segment = pb_metadata::metadata_key::PathSegment { segment: Some(segment) };
    Kind::Metadata(actions::MetaData {
        descriptor_key: "m".into(),
        metadata_key: Some(pb_metadata::MetadataKey { key: "jwt".into(), path: vec![segment] }),
        source,
        ..Default::default()
    })
}

fn address_match(value: &str, matcher: bool) -> Kind {
    let range = xds_core::CidrRange { address_prefix: "10.0.0.0".into(), prefix_len: number(8) };
    let matcher = matcher.then(|| pb_matcher::AddressMatcher { ranges: vec![range], invert_match: true });
    Kind::RemoteAddressMatch(actions::RemoteAddressMatch {
        descriptor_value: value.into(),
        address_matcher: matcher,
        ..Default::default()
    })
}

fn header_match(headers: Vec<pb::HeaderMatcher>) -> Kind {
    Kind::HeaderValueMatch(actions::HeaderValueMatch {
        descriptor_value: "%REQ(:path)%".into(),
        default_value: "d".into(),
        headers,
        ..Default::default()
    })
}

#[test]
fn actions_are_honoured_or_refused_by_name() {
    use pb_metadata::metadata_key::path_segment::Segment::{Index, Key};
    let present = pb::HeaderMatcher {
        name: "x".into(),
        header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    };
    let masked = |v4| {
        Kind::MaskedRemoteAddress(actions::MaskedRemoteAddress {
            v4_prefix_mask_len: number(v4),
            v6_prefix_mask_len: None,
        })
    };
    let config = Some(pack(&core::Node::default()));
    let extension = core::TypedExtensionConfig { name: "expr".into(), typed_config: config };
    let cases = [
        (generic(), "ok"),
        (Kind::SourceCluster(Default::default()), "ok"),
        (Kind::DestinationCluster(Default::default()), "ok"),
        (Kind::RemoteAddress(Default::default()), "ok"),
        (header("x-user", "user"), "ok"),
        (header(":path", "path"), "ok"),
        (header("x-user", ""), "invalid rate_limits[0].actions[0]: no descriptor_key"),
        (header("x user", "user"), "invalid rate_limits[0].actions[0]: bad header name \"x user\""),
        (masked(24), "ok"),
        (masked(33), "invalid rate_limits[0].actions[0]: prefix length out of range"),
        (metadata(0, Key("sub".into())), "ok"),
        (metadata(0, Index(0)), "unsupported unsupported_rate_limit{metadata path}"),
        (metadata(1, Key("sub".into())), "unsupported unsupported_rate_limit{metadata of ROUTE_ENTRY}"),
        (address_match("near", true), "ok"),
        (address_match("near", false), "invalid rate_limits[0].actions[0]: no address_matcher"),
        (
            address_match("%REQ(x)%", true),
            "unsupported unsupported_rate_limit{format in remote_address_match}",
        ),
        (header_match(vec![present]), "ok"),
        (header_match(vec![]), "invalid rate_limits[0].actions[0]: no headers"),
        (
            Kind::QueryParameterValueMatch(actions::QueryParameterValueMatch {
                descriptor_value: "a".into(),
                ..Default::default()
            }),
            "invalid rate_limits[0].actions[0]: no query_parameters",
        ),
        (Kind::GenericKey(Default::default()), "invalid rate_limits[0].actions[0]: no descriptor_value"),
        (Kind::Extension(extension), "unsupported unsupported_rate_limit{envoy.config.core.v3.Node}"),
    ];
    for (kind, expect) in cases {
        let shown = format!("{kind:?}");
        assert_eq!(outcome(limits(vec![with(kind)], Place::Route)), expect, "{shown}");
    }
    let unknown = pb::RateLimit { actions: vec![Default::default()], ..Default::default() };
    assert_eq!(outcome(limits(vec![unknown], Place::Route)), "unsupported unsupported_rate_limit{action}");
}

#[test]
fn where_an_entry_stands_decides() {
    use Place::{Global, Local, Route};
    let hits = |value| pb::rate_limit::HitsAddend {
        number: Some(protobuf::UInt64Value { value }),
        ..Default::default()
    };
    let add = |hits| changed(|limit| limit.hits_addend = Some(hits));
    let fixed = pb::rate_limit::r#override::OverrideSpecifier::RateLimit(Default::default());
    let limit_override = changed(|limit| {
        limit.limit = Some(pb::rate_limit::Override { override_specifier: Some(fixed) });
    });
    let stage = |stage| changed(|limit| limit.stage = number(stage));
    let of_routes = "invalid rate_limits[0]: stage and disable_key are for routes";
    let cases = [
        (stage(10), Route, "ok"),
        (stage(11), Route, "invalid rate_limits[0].stage: stage 11 is above 10"),
        (stage(0), Local, of_routes),
        (stage(0), Global, of_routes),
        (changed(|limit| limit.disable_key = "key".into()), Route, "ok"),
        (changed(|limit| limit.disable_key = "key".into()), Global, of_routes),
        (add(hits(3)), Local, "ok"),
        (add(hits(3)), Global, "ok"),
        (add(hits(3)), Route, "unsupported unsupported_rate_limit{hits_addend of a route}"),
        (
            add(hits(1_000_000_001)),
            Local,
            "invalid rate_limits[0].hits_addend: 1000000001 is above 1000000000",
        ),
        (
            add(pb::rate_limit::HitsAddend { is_negative_hits: true, ..hits(3) }),
            Local,
            "unsupported unsupported_field{HitsAddend#3}",
        ),
        (
            add(pb::rate_limit::HitsAddend { format: "%REQ(x)%".into(), ..Default::default() }),
            Global,
            "unsupported unsupported_field{HitsAddend#2}",
        ),
        (add(Default::default()), Global, "invalid rate_limits[0].hits_addend: neither number nor format"),
        (limit_override.clone(), Route, "ok"),
        (limit_override.clone(), Global, "ok"),
        (limit_override, Local, "invalid rate_limits[0].limit: local limits take no override"),
        (
            changed(|limit| limit.apply_on_stream_done = true),
            Global,
            "unsupported unsupported_field{RateLimit#6}",
        ),
        (changed(|limit| limit.x_ratelimit_option = 2), Local, "ok"),
        (changed(|limit| limit.actions.clear()), Route, "invalid rate_limits[0]: no actions"),
    ];
    for (limit, place, expect) in cases {
        let shown = format!("{limit:?} {place:?}");
        assert_eq!(outcome(limits(vec![limit], place)), expect, "{shown}");
    }
}

#[test]
fn names_and_values_as_envoy_has_them() {
    let action = |kind| limits(vec![with(kind)], Place::Route).unwrap().remove(0).actions.remove(0);
    let Action::GenericKey(entry) = action(generic()) else { panic!("a generic key") };
    assert_eq!((&*entry.key, &*entry.value), ("generic_key", "a"));
    let Action::RemoteAddressMatch { entry, invert, .. } = action(address_match("near", true)) else {
        panic!("an address")
    };
    assert_eq!((&*entry.key, invert), ("remote_address_match", true));
    // No format: Envoy takes it as it stands.
    let matcher = pb::HeaderMatcher {
        name: "x".into(),
        header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    };
    let Action::HeaderMatch { entry, expect, .. } = action(header_match(vec![matcher])) else {
        panic!("headers")
    };
    assert_eq!((&*entry.key, &*entry.value, expect), ("header_match", "%REQ(:path)%", true));
}
