//! What the tables of the rooms share, and the tests of `wire`.

use super::pb::{core, hcm, protobuf, route};
use super::problem::{Problem, Result, Warnings};
use super::wire;
use prost::{Message, Name};

pub(super) fn pack<M: Message + Name>(message: &M) -> protobuf::Any {
    protobuf::Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// `ok`, `invalid PATH: REASON` or `unsupported KIND{WHAT}`.
pub(super) fn outcome<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(Problem::Invalid { path, reason }) => format!("invalid {path}: {reason}"),
        Err(Problem::Unsupported { kind, what }) => format!("unsupported {kind}{{{what}}}"),
    }
}

pub(super) fn seconds(seconds: i64) -> Option<protobuf::Duration> {
    Some(protobuf::Duration { seconds, nanos: 0 })
}

#[test]
fn a_cut_message_keeps_the_rest_and_the_parts() {
    let config = route::RouteConfiguration {
        name: "name".into(),
        virtual_hosts: vec![
            route::VirtualHost { name: "a".into(), ..Default::default() },
            route::VirtualHost { name: "b".into(), ..Default::default() },
        ],
        internal_only_headers: vec!["x".into()],
        ..Default::default()
    };
    let bytes = config.encode_to_vec();
    let cut = wire::cut(&bytes, 2).unwrap();
    let parts: Vec<String> =
        cut.parts.iter().map(|part| route::VirtualHost::decode(*part).unwrap().name).collect();
    assert_eq!(parts, ["a", "b"]);
    let rest = route::RouteConfiguration::decode(cut.rest.as_slice()).unwrap();
    assert_eq!(rest, route::RouteConfiguration { virtual_hosts: Vec::new(), ..config });
}

#[test]
fn truncated_messages_are_invalid() {
    let config = route::RouteConfiguration {
        virtual_hosts: vec![route::VirtualHost { name: "abc".into(), ..Default::default() }],
        ..Default::default()
    };
    let bytes = config.encode_to_vec();
    for end in 1..bytes.len() {
        assert!(wire::cut(&bytes[..end], 2).is_err(), "{end} of {}", bytes.len());
    }
}

#[test]
fn what_nobody_took_is_named() {
    let rest = core::HttpProtocolOptions { max_stream_duration: seconds(1), ..Default::default() };
    assert_eq!(outcome(wire::nothing_left(&rest)), "unsupported unsupported_field{HttpProtocolOptions#4}");
    assert_eq!(outcome(wire::nothing_left(&core::HttpProtocolOptions::default())), "ok");
}

#[test]
fn fields_of_a_newer_envoy_are_warned_about() {
    let mut bytes = hcm::Rds::default().encode_to_vec();
    prost::encoding::string::encode(999, &"new".to_owned(), &mut bytes);
    let mut warnings = Warnings::default();
    wire::decode::<hcm::Rds>(&bytes, &mut warnings).unwrap();
    assert_eq!(warnings.into_list()[0].text, "Rds has fields this version does not know");
}

#[test]
fn only_the_expected_type_is_unpacked() {
    let any = pack(&core::Locality::default());
    let mut warnings = Warnings::default();
    assert_eq!(outcome(wire::unpack::<core::Locality>(&any, &mut warnings)), "ok");
    let wrong = wire::unpack::<core::Node>(&any, &mut warnings);
    assert_eq!(outcome(wrong), "unsupported unsupported_type{envoy.config.core.v3.Locality}");
    let broken = protobuf::Any { type_url: core::Locality::type_url(), value: vec![0xff] };
    assert!(outcome(wire::unpack::<core::Locality>(&broken, &mut warnings)).starts_with("invalid"));
}
