use super::*;
use crate::translate::pb::{core, http_wasm, tcp_proxy, types};
use crate::translate::tests::pack;
use pb::listener_filter_chain_match_predicate::{MatchSet, Rule};
use prost::Message;

fn chain_to(name: &str, cluster: &str) -> pb::FilterChain {
    let proxy = tcp_proxy::TcpProxy {
        cluster_specifier: Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let config_type = Some(pb::filter::ConfigType::TypedConfig(pack(&proxy)));
    let filters = vec![pb::Filter { name: "envoy.filters.network.tcp_proxy".into(), config_type }];
    pb::FilterChain { name: name.into(), filters, ..Default::default() }
}

fn listener_of(chains: Vec<pb::FilterChain>) -> pb::Listener {
    pb::Listener { name: "main_internal".into(), filter_chains: chains, ..Default::default() }
}

fn main_of(
    listener: &pb::Listener,
    extensions: &Extensions,
    previous: Option<Previous<'_>>,
) -> Arc<MainInternal> {
    match translate("main_internal", &listener.encode_to_vec(), extensions, previous).unwrap().value {
        Listener::MainInternal(listener) => listener,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unchanged_chains_are_carried_over() {
    let none = Extensions::default();
    let first = main_of(&listener_of(vec![chain_to("a", "1"), chain_to("b", "1")]), &none, None);
    let previous = Some(Previous { listener: &first, extensions_changed: false });
    let second = main_of(&listener_of(vec![chain_to("a", "1"), chain_to("b", "2")]), &none, previous);
    assert!(Arc::ptr_eq(&first.chains["a"], &second.chains["a"]));
    assert!(!Arc::ptr_eq(&first.chains["b"], &second.chains["b"]));
}

#[test]
fn chains_follow_their_extensions() {
    let mut with_wasm = chain_to("a", "1");
    let discovery = pb::filter::ConfigType::ConfigDiscovery(Default::default());
    with_wasm.filters.insert(0, pb::Filter { name: "wasm".into(), config_type: Some(discovery) });
    let listener = listener_of(vec![with_wasm, chain_to("b", "1")]);
    let missing = main_of(&listener, &Extensions::default(), None);
    assert!(matches!(missing.chains["a"].body, ChainBody::Refused(_)), "blocked until it arrives");
    assert_eq!(missing.chains["a"].extensions, ["wasm".into()]);
    let open = Extensions { policies: [("wasm".into(), crate::translate::ecds::FailurePolicy::Open)].into() };
    let previous = Some(Previous { listener: &missing, extensions_changed: true });
    let arrived = main_of(&listener, &open, previous);
    assert!(matches!(arrived.chains["a"].body, ChainBody::Tcp(_)));
    assert!(Arc::ptr_eq(&missing.chains["b"], &arrived.chains["b"]));
}

#[test]
fn a_listener_filter_not_understood_refuses_all_chains_and_heals() {
    let mut listener = listener_of(vec![chain_to("a", "1")]);
    let config_type = Some(pb::listener_filter::ConfigType::TypedConfig(pack(&http_wasm::Wasm::default())));
    listener.listener_filters =
        vec![pb::ListenerFilter { name: "odd".into(), config_type, ..Default::default() }];
    let bad = main_of(&listener, &Extensions::default(), None);
    let ChainBody::Refused(refusal) = &bad.chains["a"].body else { panic!("{bad:?}") };
    assert_eq!(&*refusal.details, "unsupported_listener_filter{odd}");
    listener.listener_filters.clear();
    let previous = Some(Previous { listener: &bad, extensions_changed: false });
    let good = main_of(&listener, &Extensions::default(), previous);
    assert!(matches!(good.chains["a"].body, ChainBody::Tcp(_)), "the refused body is not carried over");
}

#[test]
fn one_bad_chain_does_not_stop_the_others() {
    let mut odd = chain_to("odd", "1");
    odd.filter_chain_match = Some(Default::default());
    odd.filter_chain_match.as_mut().unwrap().server_names = vec!["x".into()];
    let listener = main_of(&listener_of(vec![odd, chain_to("b", "1")]), &Extensions::default(), None);
    let ChainBody::Refused(refusal) = &listener.chains["odd"].body else { panic!("{listener:?}") };
    assert_eq!(&*refusal.details, "unsupported_field{FilterChain#1}");
    assert!(matches!(listener.chains["b"].body, ChainBody::Tcp(_)));
}

#[test]
fn rejections_say_where() {
    let rejected = |listener: &pb::Listener| {
        let result = translate("main_internal", &listener.encode_to_vec(), &Extensions::default(), None);
        let rejection = result.unwrap_err();
        (rejection.path, rejection.reason)
    };
    let twins = listener_of(vec![chain_to("a", "1"), chain_to("a", "2")]);
    assert_eq!(rejected(&twins), ("filter_chains[1]".to_owned(), "two chains are named a".to_owned()));
    let empty = listener_of(vec![pb::FilterChain { name: "a".into(), ..Default::default() }]);
    let expect = ("filter_chains[0]".to_owned(), "filter chain without a terminal filter".to_owned());
    assert_eq!(rejected(&empty), expect);
    let garbage = translate("main_internal", &[0xff; 4], &Extensions::default(), None).unwrap_err();
    assert_eq!((garbage.name.as_str(), garbage.type_url.as_str()), ("main_internal", LISTENER));
}

#[test]
fn inspected_ports() {
    let ports = |start: i32, end: i32| Rule::DestinationPortRange(types::Int32Range { start, end });
    let predicate = |rule: Rule| pb::ListenerFilterChainMatchPredicate { rule: Some(rule) };
    let both =
        Rule::OrMatch(MatchSet { rules: vec![predicate(ports(80, 81)), predicate(ports(9080, 9082))] });
    let cases = [
        (None, Some(vec![])),
        (Some(predicate(ports(80, 81))), Some(vec![(80, 81)])),
        (Some(predicate(both)), Some(vec![(80, 81), (9080, 9082)])),
        (Some(predicate(Rule::AnyMatch(true))), None),
    ];
    for (disabled, expect) in cases {
        let got = inspected(disabled.as_ref()).unwrap().map(|ports| ports.disabled);
        assert_eq!(got, expect);
    }
    let not = Rule::NotMatch(Box::new(predicate(ports(80, 81))));
    assert!(inspected(Some(&predicate(not))).is_err());
}

#[test]
fn hops_inside_envoy_are_not_kept() {
    for name in ["connect_originate", "something_else"] {
        let listener = pb::Listener {
            name: name.into(),
            metadata: Some(core::Metadata::default()),
            ..Default::default()
        };
        let got = translate(name, &listener.encode_to_vec(), &Extensions::default(), None).unwrap();
        assert!(matches!(got.value, Listener::Internal));
        assert_eq!(got.warnings.is_empty(), name == "connect_originate");
    }
}
