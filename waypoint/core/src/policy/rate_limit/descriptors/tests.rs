use super::*;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{
    HeaderMatcher, HeaderValueMatcher, QueryMatcher, QueryValueMatcher, StringMatcher, StringPattern,
};
use crate::model::metadata::DynamicMetadata;
use http::HeaderName;
use std::collections::BTreeMap;

fn entry(key: &str, value: &str) -> FixedEntry {
    FixedEntry { key: key.into(), value: value.into() }
}

fn limit(actions: Vec<Action>) -> RateLimit {
    RateLimit { stage: 0, has_disable_key: false, actions, limit: None, hits: None, told: Told::AsFilter }
}

fn generic(value: &str) -> Action {
    Action::GenericKey(entry("generic_key", value))
}

fn header(name: &'static str, skip_if_absent: bool) -> Action {
    let header = HeaderKey::Name(HeaderName::from_static(name));
    Action::RequestHeader { header, key: "h".into(), skip_if_absent }
}

fn pseudo(header: HeaderKey) -> Action {
    Action::RequestHeader { header, key: "p".into(), skip_if_absent: false }
}

fn query(name: &str, skip_if_absent: bool) -> Action {
    Action::QueryParameter { name: name.into(), key: "q".into(), skip_if_absent }
}

fn exactly(text: &str) -> StringMatcher {
    StringMatcher { pattern: StringPattern::Exact(text.into()), ignore_case: false }
}

fn header_match(value: &str, expect: bool) -> Action {
    let matcher = HeaderMatcher {
        key: HeaderKey::Name(HeaderName::from_static("x-user")),
        matcher: HeaderValueMatcher::String(exactly(value)),
        invert: false,
        treat_missing_as_empty: false,
    };
    Action::HeaderMatch { entry: entry("header_match", "yes"), headers: vec![matcher], expect }
}

fn query_match(value: &str, expect: bool) -> Action {
    let matcher = QueryMatcher { name: "a".into(), matcher: QueryValueMatcher::String(exactly(value)) };
    Action::QueryMatch { entry: entry("query_match", "yes"), parameters: vec![matcher], expect }
}

fn address_match(range: &str, invert: bool) -> Action {
    Action::RemoteAddressMatch { entry: entry("near", "yes"), ranges: vec![range.parse().unwrap()], invert }
}

fn claim(path: &[&str], default: Option<&str>, skip_if_absent: bool) -> Action {
    let source = MetadataKey { filter: "jwt".into(), path: path.iter().map(|key| Box::from(*key)).collect() };
    Action::Metadata { key: "m".into(), source, default: default.map(Into::into), skip_if_absent }
}

fn metadata() -> DynamicMetadata {
    let strange = BTreeMap::from([("requests_per_unit".into(), MetadataValue::Bool(true))]);
    let generous = BTreeMap::from([
        ("requests_per_unit".into(), MetadataValue::Number(42.0)),
        ("unit".into(), MetadataValue::String("HOUR".into())),
    ]);
    let claims = BTreeMap::from([
        ("sub".into(), MetadataValue::String("ann".into())),
        ("empty".into(), MetadataValue::String("".into())),
        ("level".into(), MetadataValue::Number(3.0)),
        ("generous".into(), MetadataValue::Struct(generous)),
        ("strange".into(), MetadataValue::Struct(strange)),
    ]);
    DynamicMetadata { filters: vec![("jwt".into(), MetadataValue::Struct(claims))] }
}

fn sample() -> Sample {
    Sample::get("/a?a=%62&c").header("x-user", "ann").header("x-user", "bob").header("x-empty", "")
}

/// `key=value,…`, or `none`.
fn show(descriptor: Option<Descriptor<'_>>) -> String {
    let Some(descriptor) = descriptor else { return "none".into() };
    let entries = descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value));
    entries.collect::<Vec<_>>().join(",")
}

fn with_subject<T>(connect: bool, run: impl FnOnce(&Subject<'_>) -> T) -> T {
    let (sample, metadata) = (sample(), metadata());
    let network = NetworkView { metadata: &metadata, ..sample.network() };
    let view = RequestView { connection: network, ..sample.view() };
    run(&Subject {
        network,
        request: (!connect).then_some(view),
        route: None,
        destination: (!connect).then_some("c"),
        service_cluster: "waypoint.shop",
    })
}

#[test]
fn what_actions_add() {
    let cases = [
        (vec![Action::SourceCluster], "source_cluster=waypoint.shop"),
        (vec![Action::DestinationCluster], "destination_cluster=c"),
        (vec![generic("a"), generic("b")], "generic_key=a,generic_key=b"),
        (vec![header("x-user", false)], "h=ann"),
        (vec![header("x-empty", false)], "h="),
        (vec![header("x-absent", false)], "none"),
        (vec![header("x-absent", true)], ""),
        (vec![generic("a"), header("x-absent", true), generic("b")], "generic_key=a,generic_key=b"),
        (vec![generic("a"), header("x-absent", false), generic("b")], "none"),
        (vec![pseudo(HeaderKey::Path), pseudo(HeaderKey::Method)], "p=/a?a=%62&c,p=GET"),
        (vec![pseudo(HeaderKey::Authority), pseudo(HeaderKey::Scheme)], "p=shop:80,p=http"),
        (vec![header("host", false)], "h=shop:80"),
        (vec![query("a", false)], "q=b"),
        (vec![query("c", false)], "q="),
        (vec![query("d", false)], "none"),
        (vec![query("d", true)], ""),
        (vec![Action::RemoteAddress], "remote_address=10.244.3.12"),
        (vec![Action::MaskedRemoteAddress { v4: 16, v6: 64 }], "masked_remote_address=10.244.0.0/16"),
        (vec![address_match("10.0.0.0/8", false)], "near=yes"),
        (vec![address_match("10.0.0.0/8", true)], "none"),
        (vec![address_match("192.0.2.0/24", true)], "near=yes"),
        (vec![header_match("ann", true)], "header_match=yes"),
        (vec![header_match("cid", true)], "none"),
        (vec![header_match("cid", false)], "header_match=yes"),
        (vec![header_match("ann", false)], "none"),
        (vec![query_match("b", true)], "query_match=yes"),
        (vec![query_match("%62", true)], "none"),
        (vec![query_match("x", false)], "query_match=yes"),
        (vec![claim(&["sub"], None, false)], "m=ann"),
        (vec![claim(&["level"], None, false)], "none"),
        (vec![claim(&["level"], Some("low"), false)], "m=low"),
        (vec![claim(&["empty"], None, true)], ""),
    ];
    for (actions, expect) in cases {
        let limit = limit(actions);
        let got = with_subject(false, |subject| show(descriptor(&limit, subject)));
        assert_eq!(got, expect, "{limit:?}");
    }
}

#[test]
fn a_connect_has_an_address_and_no_headers() {
    let cases = [
        (
            vec![Action::SourceCluster, Action::RemoteAddress],
            "source_cluster=waypoint.shop,remote_address=10.244.3.12",
        ),
        (vec![generic("a")], "generic_key=a"),
        (vec![Action::DestinationCluster], "none"),
        (vec![header("x-user", false)], "none"),
        (vec![pseudo(HeaderKey::Path)], "none"),
        (vec![query("a", false)], "none"),
        (vec![header_match("ann", true)], "none"),
        (vec![header_match("ann", false)], "none"),
        (vec![query_match("b", false)], "none"),
    ];
    for (actions, expect) in cases {
        let limit = limit(actions);
        let got = with_subject(true, |subject| show(descriptor(&limit, subject)));
        assert_eq!(got, expect, "{limit:?}");
    }
}

#[test]
fn limits_instead_of_the_services() {
    let fixed = RateOverride { requests: 7, unit: Unit::Minute };
    let of =
        |key: &str| LimitOverride::Metadata(MetadataKey { filter: "jwt".into(), path: [key.into()].into() });
    let cases = [
        (LimitOverride::Fixed(fixed), Some(fixed)),
        (of("generous"), Some(RateOverride { requests: 42, unit: Unit::Hour })),
        (of("strange"), None),
        (of("sub"), None),
        (of("absent"), None),
    ];
    for (limit_override, expect) in cases {
        let limit = RateLimit { limit: Some(limit_override), hits: Some(3), ..limit(vec![generic("a")]) };
        let got = with_subject(false, |subject| descriptor(&limit, subject).map(|one| (one.limit, one.hits)));
        assert_eq!(got, Some((expect, Some(3))), "{limit:?}");
    }
}

fn route(own: &[(&str, u32)], virtual_host: &[(&str, u32)], include_virtual_host: bool) -> RouteLimits {
    let list = |list: &[(&str, u32)]| -> Vec<RateLimit> {
        list.iter().map(|(value, stage)| RateLimit { stage: *stage, ..limit(vec![generic(value)]) }).collect()
    };
    RouteLimits {
        rate_limits: list(own),
        virtual_host: list(virtual_host).into(),
        include_virtual_host,
        ..RouteLimits::default()
    }
}

/// The values of generic keys, joined.
fn values(descriptors: &[Descriptor<'_>]) -> String {
    let values = descriptors.iter().flat_map(|descriptor| descriptor.entries.iter());
    values.map(|entry| &*entry.value).collect::<Vec<_>>().join(" ")
}

#[test]
fn whose_entries_count() {
    use VirtualHostLimits::{Ignore, Include, Override};
    let cases = [
        (route(&[("r", 0)], &[("v", 0)], false), Override, 0, "r"),
        (route(&[], &[("v", 0)], false), Override, 0, "v"),
        (route(&[("r", 0)], &[("v", 0)], false), Include, 0, "r v"),
        (route(&[], &[("v", 0)], false), Ignore, 0, ""),
        (route(&[("r", 0)], &[("v", 0)], true), Ignore, 0, "r v"),
        (route(&[("r", 0), ("s", 1)], &[("v", 1)], false), Include, 1, "s v"),
        // Entries of another stage override, too.
        (route(&[("s", 1)], &[("v", 0)], false), Override, 0, ""),
    ];
    for (route, option, stage, expect) in cases {
        let got = with_subject(false, |subject| values(&of(of_route(Some(&route), stage, option), subject)));
        assert_eq!(got, expect, "{option:?} {stage} {route:?}");
    }
}
