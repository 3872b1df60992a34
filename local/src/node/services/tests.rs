use std::net::Ipv4Addr;

use super::{Protocol, ServiceVip, table};
use crate::limits::PODS_MAX;
use crate::node::nft::batch;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

fn vip(port: u16, protocol: Protocol, endpoints: &[&str]) -> ServiceVip {
    ServiceVip { vip: VIP, port, protocol, endpoints: endpoints.iter().map(|e| e.parse().unwrap()).collect() }
}

/// `chain: rule` per line.
fn text(services: &[ServiceVip], chain: &str) -> Vec<String> {
    let table = table(services);
    let chain = table.chains.iter().find(|c| c.name == chain).expect("the chain");
    chain.rules.iter().map(ToString::to_string).collect()
}

#[test]
fn endpoints_get_equal_shares() {
    let check = |endpoints: &[&str], expect: &[&str]| {
        assert_eq!(text(&[vip(80, Protocol::Tcp, endpoints)], "services"), expect);
    };
    check(&[], &[]);
    check(&["10.0.0.1:8080"], &["ip daddr 10.96.0.10 tcp dport 80 goto tcp-10.0.0.1-8080"]);
    check(
        &["10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"],
        &[
            "ip daddr 10.96.0.10 tcp dport 80 numgen random mod 3 0 goto tcp-10.0.0.1-1",
            "ip daddr 10.96.0.10 tcp dport 80 numgen random mod 2 0 goto tcp-10.0.0.2-2",
            "ip daddr 10.96.0.10 tcp dport 80 goto tcp-10.0.0.3-3",
        ],
    );
}

#[test]
fn an_endpoint_of_two_services_has_one_chain() {
    let services = [vip(80, Protocol::Tcp, &["10.0.0.1:8080"]), vip(81, Protocol::Tcp, &["10.0.0.1:8080"])];
    let chains = table(&services).chains.iter().filter(|c| c.name == "tcp-10.0.0.1-8080").count();
    assert_eq!(chains, 1);
}

#[test]
fn chains_stand_before_those_that_lead_to_them() {
    let table = table(&[vip(80, Protocol::Tcp, &["10.0.0.1:1"]), vip(53, Protocol::Udp, &["10.0.0.1:1"])]);
    let names: Vec<_> = table.chains.iter().map(|c| c.name.as_str()).collect();
    for (at, chain) in table.chains.iter().enumerate() {
        for rule in &chain.rules {
            let said = rule.to_string();
            if let Some((_, to)) = said.split_once("goto ").or_else(|| said.split_once("jump ")) {
                assert!(names[..at].contains(&to), "{} leads to {to}", chain.name);
            }
        }
    }
}

#[test]
fn no_endpoints_are_refused_in_the_protocols_way() {
    let services =
        [vip(80, Protocol::Tcp, &[]), vip(53, Protocol::Udp, &[]), vip(81, Protocol::Tcp, &["10.0.0.1:1"])];
    let expect =
        ["ip daddr 10.96.0.10 tcp dport 80 reject with tcp reset", "ip daddr 10.96.0.10 udp dport 53 reject"];
    assert_eq!(text(&services, "forward"), expect);
    assert_eq!(text(&services, "local"), expect);
}

/// Without root a netlink message may have as many bytes as twice net.core.wmem_max, by default 416 KiB.
#[test]
fn a_full_node_fits_one_transaction() {
    let endpoint = |n: usize| format!("10.244.0.{}:{}", n % 250, 1000 + n);
    let names: Vec<String> = (0..PODS_MAX).map(endpoint).collect();
    // Every pod behind two Services of three endpoints each.
    let services: Vec<_> = (0..2 * PODS_MAX)
        .map(|n| vip(1000, Protocol::Tcp, &[0, 1, 2].map(|i| names[(n + i) % PODS_MAX].as_str())))
        .collect();
    let bytes = batch::replace(&table(&services)).bytes.len();
    assert!(bytes < 2 * 212_992, "{bytes} bytes");
}
