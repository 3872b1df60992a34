use super::*;
use crate::translate::pb::network_inputs;
use crate::translate::tests::{outcome, pack};
use pb::matcher::on_match::OnMatch as Next;

fn to_chain(name: &str) -> pb::matcher::OnMatch {
    let value = protobuf::StringValue { value: name.into() };
    let action = xds_core::TypedExtensionConfig { name: name.into(), typed_config: Some(pack(&value)) };
    pb::matcher::OnMatch { keep_matching: false, on_match: Some(Next::Action(action)) }
}

fn to_matcher(matcher: pb::Matcher) -> pb::matcher::OnMatch {
    pb::matcher::OnMatch { keep_matching: false, on_match: Some(Next::Matcher(Box::new(matcher))) }
}

fn tree_of<M: prost::Message + prost::Name>(
    input: &M,
    kind: pb::matcher::matcher_tree::TreeType,
) -> pb::Matcher {
    let input = xds_core::TypedExtensionConfig { name: "i".into(), typed_config: Some(pack(input)) };
    let tree = pb::matcher::MatcherTree { input: Some(input), tree_type: Some(kind) };
    pb::Matcher { matcher_type: Some(pb::matcher::MatcherType::MatcherTree(tree)), on_no_match: None }
}

fn map(entries: Vec<(&str, pb::matcher::OnMatch)>) -> pb::matcher::matcher_tree::TreeType {
    let map = entries.into_iter().map(|(key, next)| (key.to_owned(), next)).collect();
    pb::matcher::matcher_tree::TreeType::ExactMatchMap(MatchMap { map })
}

fn ips_of(entries: Vec<(&str, u32, pb::matcher::OnMatch)>) -> pb::Matcher {
    let range_matchers = entries.into_iter().map(|(prefix, length, next)| super::super::pb::IpRangeMatcher {
        ranges: vec![xds_core::CidrRange {
            address_prefix: prefix.into(),
            prefix_len: Some(protobuf::UInt32Value { value: length }),
        }],
        on_match: Some(next),
        exclusive: false,
    });
    let matcher = IpMatcher { range_matchers: range_matchers.collect() };
    let custom = xds_core::TypedExtensionConfig { name: "ip".into(), typed_config: Some(pack(&matcher)) };
    tree_of(&network_inputs::DestinationIpInput {}, pb::matcher::matcher_tree::TreeType::CustomMatch(custom))
}

fn translated(matcher: &pb::Matcher) -> (Result<ChainMatcher>, Vec<FilterChain>) {
    let mut refused = Vec::new();
    let result = tree(matcher, &mut refused);
    (result, refused)
}

#[test]
fn addresses_ports_and_protocols() {
    let protocols = tree_of(
        &network_inputs::ApplicationProtocolInput {},
        map(vec![("'h2c'", to_chain("http")), ("'http/1.1'", to_chain("http"))]),
    );
    let protocols = pb::Matcher { on_no_match: Some(Box::new(to_chain("tcp"))), ..protocols };
    let ports = tree_of(
        &network_inputs::DestinationPortInput {},
        map(vec![("80", to_chain("web")), ("7000", to_matcher(protocols))]),
    );
    let matcher = ips_of(vec![
        ("10.0.0.0", 8, to_chain("wide")),
        ("10.1.0.0", 16, to_chain("narrow")),
        ("10.96.0.1", 32, to_matcher(ports)),
        ("10.96.0.1", 32, to_chain("never")),
    ]);
    let (result, refused) = translated(&matcher);
    assert!(refused.is_empty());
    let ChainMatcher::DestinationIp(table) = result.unwrap() else { panic!("no address table") };
    let lengths: Vec<u8> = table.prefixes.iter().map(|(net, _)| net.prefix_len()).collect();
    assert_eq!(lengths, [16, 8], "longest first");
    let ChainMatcher::DestinationPort { ports, on_no_match: None } =
        &*table.hosts[&"10.96.0.1".parse().unwrap()]
    else {
        panic!("of equal prefixes the first configured counts: {table:?}");
    };
    assert!(matches!(&ports[&80], ChainMatcher::Chain(name) if &**name == "web"));
    let ChainMatcher::ApplicationProtocol { protocols, on_no_match: Some(_) } = &ports[&7000] else {
        panic!("{ports:?}")
    };
    let kinds: Vec<ApplicationProtocol> = protocols.iter().map(|(protocol, _)| *protocol).collect();
    assert_eq!(kinds, [ApplicationProtocol::H2c, ApplicationProtocol::Http11]);
}

/// What cannot be followed refuses, instead of falling through to what its author kept apart.
#[test]
fn a_branch_not_understood_leads_to_a_refusal() {
    let source = network_inputs::FilterStateInput { key: "io.istio.source".into(), ..Default::default() };
    let unknown = tree_of(&source, map(vec![("gateway", to_chain("a"))]));
    let matcher = ips_of(vec![("10.0.0.1", 32, to_matcher(unknown)), ("10.0.0.2", 32, to_chain("fine"))]);
    let (result, refused) = translated(&matcher);
    let ChainMatcher::DestinationIp(table) = result.unwrap() else { panic!("no address table") };
    let ChainMatcher::Chain(leaf) = &*table.hosts[&"10.0.0.1".parse().unwrap()] else { panic!("{table:?}") };
    assert_eq!(&**leaf, "unsupported_matcher{FilterStateInput}");
    assert!(
        matches!(&refused[0], chain if chain.name == *leaf && matches!(chain.body, ChainBody::Refused(_)))
    );
}

/// Protobuf maps come in any order: of two faults the same one is told each time.
#[test]
fn two_faults_end_the_same_way_each_time() {
    let nothing = pb::matcher::OnMatch { keep_matching: false, on_match: None };
    let kept = pb::matcher::OnMatch { keep_matching: true, ..to_chain("a") };
    let outcome = || {
        let entries = vec![("1", nothing.clone()), ("2", kept.clone()), ("3", to_chain("a"))];
        let (result, refused) = translated(&tree_of(&network_inputs::DestinationPortInput {}, map(entries)));
        format!("{result:?} {}", refused.len())
    };
    let first = outcome();
    assert!((0..50).all(|_| outcome() == first), "{first}");
}

#[test]
fn rejections() {
    let port = tree_of(&network_inputs::DestinationPortInput {}, map(vec![("http", to_chain("a"))]));
    let nothing = pb::matcher::OnMatch { keep_matching: false, on_match: None };
    let cases = [
        (port, "invalid : bad port \"http\""),
        (
            ips_of(vec![("nowhere", 32, to_chain("a"))]),
            "invalid custom_match.range_matchers[0]: bad address \"nowhere\"",
        ),
        (
            ips_of(vec![("10.0.0.1", 64, to_chain("a"))]),
            "invalid custom_match.range_matchers[0]: bad prefix length 10.0.0.1/64",
        ),
        (
            ips_of(vec![("10.0.0.1", 32, nothing)]),
            "invalid custom_match.range_matchers[0]: neither matcher nor action",
        ),
    ];
    for (matcher, expect) in cases {
        assert_eq!(outcome(translated(&matcher).0), expect);
    }
}
