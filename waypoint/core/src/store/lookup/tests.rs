use super::*;
use crate::model::Refusal;
use crate::model::listener::{ChainBody, InspectedPorts, Inspectors};
use std::collections::HashMap;

fn leaf(name: &str) -> ChainMatcher {
    ChainMatcher::Chain(name.into())
}

fn ports(entries: &[(u16, &str)]) -> ChainMatcher {
    let ports = entries.iter().map(|(port, name)| (*port, leaf(name))).collect();
    ChainMatcher::DestinationPort { ports, on_no_match: None }
}

fn sniffed_tree() -> ChainMatcher {
    ChainMatcher::ApplicationProtocol {
        protocols: vec![
            (ApplicationProtocol::Http11, leaf("http")),
            (ApplicationProtocol::H2c, leaf("http")),
        ],
        on_no_match: Some(Box::new(leaf("tcp"))),
    }
}

fn listener(table: IpTable, inspectors: Inspectors) -> MainInternal {
    let body = || ChainBody::Refused(Refusal::new("test", "body"));
    let names = ["web", "http", "tcp", "wide", "narrow"];
    let chains = names.iter().map(|name| {
        let name: Arc<str> = (*name).into();
        (name.clone(), Arc::new(FilterChain { name, content_hash: 0, extensions: Vec::new(), body: body() }))
    });
    let chains = chains.collect::<HashMap<_, _>>();
    MainInternal {
        matcher: Some(ChainMatcher::DestinationIp(Box::new(table))),
        chains,
        inspectors,
        access_logs: Vec::new(),
    }
}

fn inspect_all_but(port: u32) -> Inspectors {
    Inspectors { http: Some(InspectedPorts { disabled: vec![(port, port + 1)] }), tls: None }
}

fn example() -> MainInternal {
    let vip = ChainMatcher::DestinationPort {
        ports: [
            (80, leaf("web")),
            (7000, sniffed_tree()),
            (7001, sniffed_tree()),
            (9, leaf("no such chain")),
        ]
        .into(),
        on_no_match: None,
    };
    let table = IpTable {
        hosts: [("10.96.0.1".parse().unwrap(), Arc::new(vip))].into(),
        prefixes: vec![
            ("10.96.0.0/16".parse().unwrap(), Arc::new(ports(&[(443, "narrow")]))),
            ("10.0.0.0/8".parse().unwrap(), Arc::new(ports(&[(443, "wide"), (444, "wide")]))),
        ],
        on_no_match: None,
    };
    listener(table, inspect_all_but(7001))
}

fn find(authority: &str, sniffed: Sniffed) -> String {
    let target = Target { address: authority.parse().ok(), authority };
    match chain(&example(), &target, sniffed) {
        ChainDecision::Chain(chain) => chain.name.to_string(),
        ChainDecision::NeedProtocol { http, tls } => format!("sniff http={http} tls={tls}"),
        ChainDecision::None => "none".into(),
    }
}

#[test]
fn table() {
    use Sniffed::{NotYet, Protocol, Unknown};
    let cases = [
        ("10.96.0.1:80", NotYet, "web"),
        ("[::ffff:10.96.0.1]:80", NotYet, "web"),
        ("10.96.0.1:81", NotYet, "none"),
        ("10.96.0.1:9", NotYet, "none"),
        ("10.96.0.1:7000", NotYet, "sniff http=true tls=false"),
        ("10.96.0.1:7000", Protocol(ApplicationProtocol::H2c), "http"),
        ("10.96.0.1:7000", Protocol(ApplicationProtocol::Tls), "tcp"),
        ("10.96.0.1:7000", Unknown, "tcp"),
        // No inspector on this port: as if nothing had been found, at once.
        ("10.96.0.1:7001", NotYet, "tcp"),
        ("10.96.9.9:443", NotYet, "narrow"),
        ("10.96.9.9:444", NotYet, "wide"),
        ("10.96.0.1:443", NotYet, "narrow"),
        ("10.1.1.1:443", NotYet, "wide"),
        ("192.0.2.1:443", NotYet, "none"),
        ("reviews:9080", NotYet, "none"),
    ];
    for (authority, sniffed, expect) in cases {
        assert_eq!(find(authority, sniffed), expect, "{authority} {sniffed:?}");
    }
}

#[test]
fn authorities_are_matched_as_text() {
    let inner = ChainMatcher::ConnectAuthority {
        authorities: [("api.shop:8080".into(), leaf("web"))].into(),
        on_no_match: Some(Box::new(leaf("tcp"))),
    };
    let listener = MainInternal { matcher: Some(inner), ..example() };
    for (authority, expect) in [("api.shop:8080", "web"), ("other:1", "tcp")] {
        let decision = chain(&listener, &Target { address: None, authority }, Sniffed::NotYet);
        assert!(
            matches!(&decision, ChainDecision::Chain(chain) if &*chain.name == expect),
            "{authority}: {decision:?}"
        );
    }
}
