use super::*;
use waypoint_core::model::dns::{DnsDiscovery, DnsFamily};
use waypoint_core::model::endpoint::{Health, LocalityGroup};

const SETTINGS: DnsSettings = DnsSettings {
    family: DnsFamily::V4Only,
    refresh: Duration::from_secs(60),
    failure_refresh: Duration::from_secs(5),
    respect_ttl: true,
};

fn wanted(logical: bool) -> WantedDns {
    let endpoint = |name: &str| {
        Arc::new(Endpoint {
            address: EndpointAddress::Host { name: name.into(), port: 443 },
            hostname: None,
            health: Health::Healthy,
            weight: 3,
            workload: None,
            transport_match: vec![],
        })
    };
    let group = LocalityGroup {
        priority: 0,
        locality: Arc::default(),
        weight: 0,
        endpoints: vec![endpoint("a.example"), endpoint("b.example")],
    };
    let assignment = Arc::new(Assignment { groups: vec![group] });
    let discovery = Arc::new(DnsDiscovery { assignment, settings: SETTINGS });
    WantedDns { cluster: "c".into(), discovery, logical }
}

/// Name of the Host header, first address, number of further ones.
fn resolved(known: &Known, logical: bool) -> Vec<(String, String, usize)> {
    let assignment = known.assignment(&wanted(logical));
    let endpoints = assignment.groups.iter().flat_map(|group| &group.endpoints);
    endpoints
        .map(|endpoint| match &endpoint.address {
            EndpointAddress::Direct { address, additional } => (
                endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
                address.to_string(),
                additional.len(),
            ),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn names_become_addresses() {
    let mut known = Known::default();
    assert!(resolved(&known, false).is_empty(), "a name without address is no endpoint");
    let ips = ["192.0.2.2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
    known.0.insert("a.example".into(), ips.into());
    let text = |address: &str, more| ("a.example".to_owned(), address.to_owned(), more);
    assert_eq!(resolved(&known, false), [text("192.0.2.1:443", 0), text("192.0.2.2:443", 0)]);
    assert_eq!(resolved(&known, true), [text("192.0.2.2:443", 1)]);
}

#[test]
fn records_say_how_long_they_last() {
    let life = Duration::from_secs(7);
    assert_eq!(after(&SETTINGS, life), life);
    assert_eq!(after(&SETTINGS, Duration::ZERO), SETTINGS.refresh);
    assert_eq!(after(&DnsSettings { respect_ttl: false, ..SETTINGS }, life), SETTINGS.refresh);
}
