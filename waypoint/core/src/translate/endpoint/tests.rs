use super::*;
use crate::translate::pb::core::{
    self, address::Address as Kind, envoy_internal_address::AddressNameSpecifier,
};
use crate::translate::pb::protobuf;
use prost::Message;

fn text(value: &str) -> protobuf::Value {
    protobuf::Value { kind: Some(protobuf::value::Kind::StringValue(value.into())) }
}

fn fields(pairs: Vec<(&str, protobuf::Value)>) -> protobuf::Struct {
    protobuf::Struct { fields: pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

fn metadata(filters: Vec<(&str, protobuf::Struct)>) -> Option<core::Metadata> {
    let filter_metadata = filters.into_iter().map(|(name, fields)| (name.to_owned(), fields)).collect();
    Some(core::Metadata { filter_metadata, ..Default::default() })
}

fn internal_address(listener: &str, id: &str) -> Kind {
    Kind::EnvoyInternalAddress(core::EnvoyInternalAddress {
        endpoint_id: id.into(),
        address_name_specifier: Some(AddressNameSpecifier::ServerListenerName(listener.into())),
    })
}

fn socket(host: &str, port: u32) -> Kind {
    Kind::SocketAddress(core::SocketAddress {
        address: host.into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
        ..Default::default()
    })
}

fn lb(address: Kind, metadata: Option<core::Metadata>) -> pb::LbEndpoint {
    let endpoint =
        pb::Endpoint { address: Some(core::Address { address: Some(address) }), ..Default::default() };
    pb::LbEndpoint {
        host_identifier: Some(pb::lb_endpoint::HostIdentifier::Endpoint(endpoint)),
        metadata,
        ..Default::default()
    }
}

fn run(endpoints: Vec<pb::LbEndpoint>) -> std::result::Result<Translated<Assignment>, Rejection> {
    let group = pb::LocalityLbEndpoints { lb_endpoints: endpoints, ..Default::default() };
    let assignment =
        pb::ClusterLoadAssignment { cluster_name: "c".into(), endpoints: vec![group], ..Default::default() };
    translate("c", &assignment.encode_to_vec())
}

fn address_of(endpoint: pb::LbEndpoint) -> EndpointAddress {
    run(vec![endpoint]).unwrap().value.groups[0].endpoints[0].address.clone()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn addresses() {
    let local = |local: &str| (ORIGINAL_DST, fields(vec![("local", text(local))]));
    let double =
        protobuf::value::Kind::StructValue(fields(vec![("hbone_target_address", text("svc.example:80"))]));
    let double = ("istio", fields(vec![("double_hbone", protobuf::Value { kind: Some(double) })]));
    let waypoint =
        (ORIGINAL_DST, fields(vec![("local", text("10.0.0.1:80")), ("waypoint", text("10.9.9.9:15008"))]));
    let cases = [
        (
            lb(
                internal_address("connect_originate", "10.0.0.1:9080"),
                metadata(vec![local("10.0.0.1:9080")]),
            ),
            EndpointAddress::Hbone { target: at("10.0.0.1:9080"), tunnel: at("10.0.0.1:15008") },
        ),
        (
            lb(internal_address("connect_originate", "[fd00::1]:80"), None),
            EndpointAddress::Hbone { target: at("[fd00::1]:80"), tunnel: at("[fd00::1]:15008") },
        ),
        (
            lb(internal_address("connect_originate", "10.0.0.1:80"), metadata(vec![waypoint])),
            EndpointAddress::Hbone { target: at("10.0.0.1:80"), tunnel: at("10.9.9.9:15008") },
        ),
        (
            lb(
                internal_address("inner_connect_originate", "198.51.100.2:15008"),
                metadata(vec![local("198.51.100.2:15008"), double]),
            ),
            EndpointAddress::DoubleHbone {
                gateway: at("198.51.100.2:15008"),
                target: "svc.example:80".into(),
            },
        ),
        (
            lb(socket("192.0.2.1", 443), None),
            EndpointAddress::Direct { address: at("192.0.2.1:443"), additional: vec![] },
        ),
        (
            lb(socket("api.example.net", 443), None),
            EndpointAddress::Host { name: "api.example.net".into(), port: 443 },
        ),
    ];
    for (endpoint, expect) in cases {
        assert_eq!(address_of(endpoint), expect);
    }
}

#[test]
fn weights_health_and_metadata() {
    let matched = ("envoy.transport_socket_match", fields(vec![("tunnel", text("http"))]));
    let istio = ("istio", fields(vec![("workload", text("a;b;c;v1;K"))]));
    let endpoint = pb::LbEndpoint {
        health_status: core::HealthStatus::Unhealthy as i32,
        load_balancing_weight: Some(protobuf::UInt32Value { value: 7 }),
        ..lb(socket("192.0.2.1", 80), metadata(vec![matched, istio]))
    };
    let assignment = run(vec![endpoint, lb(socket("192.0.2.2", 80), None)]).unwrap().value;
    let endpoints = &assignment.groups[0].endpoints;
    assert_eq!((endpoints[0].health, endpoints[0].weight), (Health::Unhealthy, 7));
    assert_eq!(endpoints[0].workload.as_deref(), Some("a;b;c;v1;K"));
    assert_eq!(endpoints[0].transport_match, [("tunnel".into(), "http".into())]);
    assert_eq!((endpoints[1].health, endpoints[1].weight), (Health::Healthy, 1));
}

#[test]
fn groups_are_in_priority_order() {
    let group = |priority, zone: &str| pb::LocalityLbEndpoints {
        priority,
        locality: Some(core::Locality { zone: zone.into(), ..Default::default() }),
        ..Default::default()
    };
    let endpoints = vec![group(1, "b"), group(0, "a"), group(1, "c")];
    let assignment = pb::ClusterLoadAssignment { endpoints, ..Default::default() };
    let assignment = translate("c", &assignment.encode_to_vec()).unwrap().value;
    let zones: Vec<&str> = assignment.groups.iter().map(|group| &*group.locality.zone).collect();
    assert_eq!(zones, ["a", "b", "c"]);
}

#[test]
fn endpoints_that_cannot_be_honoured_are_left_out() {
    let pipe = Kind::Pipe(core::Pipe { path: "/x".into(), mode: 0 });
    let got = run(vec![
        lb(pipe, None),
        lb(internal_address("forward_inner_connect", ""), None),
        lb(socket("192.0.2.1", 80), None),
    ])
    .unwrap();
    assert_eq!(got.value.groups[0].endpoints.len(), 1);
    let texts: Vec<&str> = got.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "endpoint left out: unsupported_address{/x}",
            "endpoint left out: unsupported_address{forward_inner_connect}"
        ]
    );
}

#[test]
fn rejections() {
    let cases = [
        (lb(socket("192.0.2.1", 70_000), None), "bad port 70000"),
        (lb(internal_address("connect_originate", "nonsense"), None), "bad address \"nonsense\""),
        (lb(internal_address("inner_connect_originate", "192.0.2.1:1"), None), "no hbone_target_address"),
    ];
    for (endpoint, expect) in cases {
        let rejection = run(vec![endpoint]).unwrap_err();
        assert_eq!(rejection.reason, expect);
        assert_eq!(rejection.path, "endpoints[0].lb_endpoints[0].endpoint.address");
    }
}
