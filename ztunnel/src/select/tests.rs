use crate::select::{
    Authority, Host, Refusal, Rejected, Request, Transport, inbound, inbound_service, select, weighted,
};
use crate::state::fixtures::{address, endpoint, find, gateway, pod, service, snapshot};
use crate::state::{Snapshot, Workload};
use std::sync::Arc;
use xds_client::proto::workload::{
    self as proto, ApplicationTunnel, LoadBalancing, Locality, WeightedWaypoint,
};

const CART: &str = "shop/cart.shop.svc.cluster.local";
const WAYPOINT: &str = "shop/wp.shop.svc.cluster.local";

/// The route in short: how, where to, what for, as whom, of which service.
fn route(
    snapshot: &Snapshot,
    from: &str,
    to: &str,
    excluded: &[&str],
    random: f64,
) -> Result<String, Refusal> {
    let excluded: Vec<Arc<str>> = excluded.iter().map(|uid| (*uid).into()).collect();
    let source = find(snapshot, from);
    let request = Request { source: &source, destination: to.parse().unwrap(), excluded: &excluded };
    let route = select(snapshot, &request, &mut || random)?;
    let host = match &route.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.to_string(),
    };
    let how = match &route.transport {
        Transport::Plain => "plain".to_owned(),
        Transport::Hbone { target, expected, waypoint } => {
            let accounts: Vec<_> = expected.iter().map(|id| id.service_account()).collect();
            format!("{} {target} as {}", if *waypoint { "waypoint" } else { "hbone" }, accounts.join("|"))
        }
    };
    let service = route.service.map(|service| format!(" of {}", service.name)).unwrap_or_default();
    Ok(format!("{host}:{} {how}{service}", route.port))
}

fn check(snapshot: &Snapshot, to: &str, expect: &str) {
    assert_eq!(route(snapshot, "client", to, &[], 0.0).as_deref(), Ok(expect), "to {to}");
}

fn refused(snapshot: &Snapshot, to: &str, expect: &str) {
    let refusal = route(snapshot, "client", to, &[], 0.0).unwrap_err();
    assert_eq!(refusal.to_string(), expect);
}

fn client() -> proto::Workload {
    pod("web", "client", "10.0.0.9")
}

fn plain(mut pod: proto::Workload) -> proto::Workload {
    pod.tunnel_protocol = 0;
    pod
}

fn cart(name: &str, ip: &str) -> proto::Workload {
    endpoint(pod("shop", name, ip), CART, &[(80, 8080)])
}

fn cart_service() -> proto::Service {
    service("shop", "cart", "10.96.0.1", &[(80, 8080), (90, 0)])
}

fn waypoint_pod() -> proto::Workload {
    let mut waypoint = endpoint(pod("shop", "wp", "10.0.0.50"), WAYPOINT, &[(15008, 15008)]);
    waypoint.native_tunnel = true;
    waypoint
}

fn waypoint_service() -> proto::Service {
    service("shop", "wp", "10.96.0.50", &[(15008, 15008)])
}

#[test]
fn what_nobody_knows_is_passed_through() {
    check(&snapshot([client()], [], []), "93.184.216.34:443", "93.184.216.34:443 plain");
}

#[test]
fn a_pod_is_reached_as_it_can_be() {
    let snapshot =
        snapshot([client(), cart("cart-1", "10.0.0.1"), plain(pod("shop", "old", "10.0.0.2"))], [], []);
    check(&snapshot, "10.0.0.1:7000", "10.0.0.1:15008 hbone 10.0.0.1:7000 as cart-1");
    check(&snapshot, "10.0.0.2:7000", "10.0.0.2:7000 plain");
}

#[test]
fn a_service_is_balanced_and_its_port_mapped() {
    let mut vip = cart_service();
    vip.subject_alt_names = vec!["spiffe://cluster.local/ns/shop/sa/extra".into(), "not.a.spiffe.id".into()];
    let snapshot = snapshot([client(), cart("cart-1", "10.0.0.1")], [vip], []);
    check(&snapshot, "10.96.0.1:80", "10.0.0.1:15008 hbone 10.0.0.1:8080 as cart-1|extra of cart");
    refused(&snapshot, "10.96.0.1:81", "service shop/cart.shop.svc.cluster.local has no port 81");
    refused(&snapshot, "10.96.0.1:90", "no healthy upstream for cart.shop.svc.cluster.local:90");
}

#[test]
fn an_endpoint_that_failed_is_not_tried_again() {
    let snapshot =
        snapshot([client(), cart("cart-1", "10.0.0.1"), cart("cart-2", "10.0.0.2")], [cart_service()], []);
    let (one, two) = ("Kubernetes//Pod/shop/cart-1", "Kubernetes//Pod/shop/cart-2");
    let to = |excluded: &[&str]| route(&snapshot, "client", "10.96.0.1:80", excluded, 0.0);
    assert!(to(&[one]).unwrap().starts_with("10.0.0.2:"));
    assert!(to(&[two]).unwrap().starts_with("10.0.0.1:"));
    assert!(matches!(to(&[one, two]), Err(Refusal::NoHealthyUpstream(_))));
}

#[test]
fn a_waypoint_is_never_bypassed() {
    let mut vip = cart_service();
    vip.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    let with = |services: Vec<proto::Service>, workloads: Vec<proto::Workload>| {
        let all = [client(), cart("cart-1", "10.0.0.1")].into_iter().chain(workloads);
        snapshot(all, std::iter::once(vip.clone()).chain(services), [])
    };
    let whole = with(vec![waypoint_service()], vec![waypoint_pod()]);
    check(&whole, "10.96.0.1:80", "10.0.0.50:15008 waypoint 10.96.0.1:80 as wp of cart");
    // Even a port the service does not have: the waypoint answers for it.
    check(&whole, "10.96.0.1:81", "10.0.0.50:15008 waypoint 10.96.0.1:81 as wp of cart");
    // The pod behind it has no waypoint of its own.
    check(&whole, "10.0.0.1:8080", "10.0.0.1:15008 hbone 10.0.0.1:8080 as cart-1");
    refused(&with(vec![], vec![]), "10.96.0.1:80", "unknown waypoint shop/wp.shop.svc.cluster.local");
    refused(
        &with(vec![waypoint_service()], vec![]),
        "10.96.0.1:80",
        "no healthy waypoint shop/wp.shop.svc.cluster.local",
    );
}

#[test]
fn a_waypoint_may_be_a_workload_by_name_or_an_address() {
    let mut by_name = cart("cart-1", "10.0.0.1");
    by_name.waypoint = Some(gateway("shop", "wp.example.com"));
    let mut named = pod("shop", "wp", "10.0.0.50");
    named.hostname = "wp.example.com".into();
    let by_name = snapshot([client(), by_name, named], [], []);
    check(&by_name, "10.0.0.1:80", "10.0.0.50:15008 waypoint 10.0.0.1:80 as wp");
    let mut by_address = cart("cart-1", "10.0.0.1");
    let destination = proto::gateway_address::Destination::Address(address("10.96.0.50", None));
    by_address.waypoint =
        Some(proto::GatewayAddress { destination: Some(destination), hbone_mtls_port: 15008 });
    let by_address = snapshot([client(), by_address, waypoint_pod()], [waypoint_service()], []);
    check(&by_address, "10.0.0.1:80", "10.0.0.50:15008 waypoint 10.0.0.1:80 as wp");
}

#[test]
fn the_waypoint_itself_reaches_the_workload_behind_it() {
    let mut behind = cart("cart-1", "10.0.0.1");
    behind.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    let snapshot = snapshot([client(), behind, waypoint_pod()], [waypoint_service()], []);
    check(&snapshot, "10.0.0.1:80", "10.0.0.50:15008 waypoint 10.0.0.1:80 as wp");
    let from_waypoint = route(&snapshot, "wp", "10.0.0.1:80", &[], 0.0);
    assert_eq!(from_waypoint.as_deref(), Ok("10.0.0.1:15008 hbone 10.0.0.1:80 as cart-1"));
}

#[test]
fn traffic_to_a_service_does_not_use_its_endpoints_waypoint() {
    let mut behind = cart("cart-1", "10.0.0.1");
    behind.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    let snapshot = snapshot([client(), behind, waypoint_pod()], [waypoint_service(), cart_service()], []);
    check(&snapshot, "10.96.0.1:80", "10.0.0.1:15008 hbone 10.0.0.1:8080 as cart-1 of cart");
}

#[test]
fn weighted_waypoints_share_connections() {
    let weighted = |host: &str, weight| WeightedWaypoint { destination: Some(gateway("shop", host)), weight };
    let other = "wp2.shop.svc.cluster.local";
    let mut vip = cart_service();
    vip.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    vip.weighted_waypoints = vec![weighted("wp.shop.svc.cluster.local", 90), weighted(other, 10)];
    let second = endpoint(pod("shop", "wp2", "10.0.0.51"), &format!("shop/{other}"), &[(15008, 15008)]);
    let services = |vip| [vip, waypoint_service(), service("shop", "wp2", "10.96.0.51", &[(15008, 15008)])];
    let pick = |vip: &proto::Service, random| {
        let snapshot = snapshot([client(), waypoint_pod(), second.clone()], services(vip.clone()), []);
        route(&snapshot, "client", "10.96.0.1:80", &[], random).unwrap().split(':').next().map(str::to_owned)
    };
    assert_eq!(pick(&vip, 0.89).as_deref(), Some("10.0.0.50"));
    assert_eq!(pick(&vip, 0.91).as_deref(), Some("10.0.0.51"));
    vip.weighted_waypoints.iter_mut().for_each(|waypoint| waypoint.weight = 0);
    assert_eq!(pick(&vip, 0.99).as_deref(), Some("10.0.0.50"), "without weights the plain waypoint");
}

#[test]
fn an_address_that_is_a_services_and_a_workloads_is_the_services() {
    let mut vip = service("shop", "cart", "10.0.0.1", &[(80, 8080)]);
    vip.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    let snapshot =
        snapshot([client(), cart("cart-1", "10.0.0.1"), waypoint_pod()], [vip, waypoint_service()], []);
    check(&snapshot, "10.0.0.1:80", "10.0.0.50:15008 waypoint 10.0.0.1:80 as wp of cart");
}

#[test]
fn other_networks_are_refused_and_near_endpoints_preferred() {
    let mut far = cart("far", "10.1.0.1");
    far.network = "west".into();
    let only_far = snapshot([client(), far.clone()], [cart_service()], []);
    let refusal = route(&only_far, "client", "10.96.0.1:80", &[], 0.0).unwrap_err();
    assert!(matches!(refusal, Refusal::OtherNetwork(..)), "{refusal}");
    let both = snapshot([client(), far, cart("cart-1", "10.0.0.1")], [cart_service()], []);
    for random in [0.0, 0.5, 0.99] {
        assert!(route(&both, "client", "10.96.0.1:80", &[], random).unwrap().starts_with("10.0.0.1:"));
    }
}

#[test]
fn names_are_resolved_later_but_never_for_a_tunnel() {
    let mut named = plain(cart("ext", "10.0.0.1"));
    named.addresses.clear();
    named.hostname = "example.com".into();
    check(
        &snapshot([client(), named.clone()], [cart_service()], []),
        "10.96.0.1:80",
        "example.com:8080 plain of cart",
    );
    named.tunnel_protocol = 1;
    refused(
        &snapshot([client(), named], [cart_service()], []),
        "10.96.0.1:80",
        "Kubernetes//Pod/shop/ext has no address",
    );
}

#[test]
fn passthrough_services_keep_the_clients_address() {
    let mut vip = cart_service();
    vip.load_balancing = Some(LoadBalancing { mode: 3, ..Default::default() });
    let snapshot = snapshot([client(), cart("cart-1", "10.0.0.1")], [vip], []);
    check(&snapshot, "10.96.0.1:4711", "10.96.0.1:4711 plain of cart");
}

/// Endpoints in places, given as `region/zone/node`, that a client in `eu/a/node-a` may get.
fn check_locality(mode: i32, scopes: &[i32], places: &[&str], expect: &[&str]) {
    let place = |mut workload: proto::Workload, place: &str| {
        let parts: Vec<_> = place.split('/').collect();
        workload.locality =
            Some(Locality { region: parts[0].into(), zone: parts[1].into(), ..Default::default() });
        workload.node = parts[2].into();
        workload
    };
    let endpoints = places.iter().enumerate().map(|(i, at)| place(cart(at, &format!("10.0.1.{i}")), at));
    let mut vip = cart_service();
    vip.load_balancing =
        Some(LoadBalancing { mode, routing_preference: scopes.to_vec(), ..Default::default() });
    let mut found: Vec<_> = Vec::new();
    let workloads: Vec<_> = endpoints
        .map(|mut workload| {
            workload.service_account = "cart".into();
            workload
        })
        .collect();
    let snapshot = snapshot(std::iter::once(place(client(), "eu/a/node-a")).chain(workloads), [vip], []);
    for step in 0..100 {
        let Ok(route) = route(&snapshot, "client", "10.96.0.1:80", &[], f64::from(step) / 100.0) else {
            continue;
        };
        let index: usize = route.split(['.', ':']).nth(3).unwrap().parse().unwrap();
        if !found.contains(&places[index]) {
            found.push(places[index]);
        }
    }
    found.sort_unstable();
    assert_eq!(found, expect);
}

#[test]
fn locality() {
    let (region, zone, node, network) = (1, 2, 4, 6);
    let (any, strict, failover) = (0, 1, 2);
    let places = ["eu/a/node-a", "eu/a/node-b", "eu/b/node-c", "us/a/node-d"];
    let mut all = places;
    all.sort_unstable();
    check_locality(any, &[], &places, &all);
    check_locality(strict, &[node], &places, &["eu/a/node-a"]);
    check_locality(strict, &[node], &places[1..], &[]);
    check_locality(failover, &[network, region, zone], &places, &["eu/a/node-a", "eu/a/node-b"]);
    check_locality(failover, &[region, zone, node], &places[1..], &["eu/a/node-b"]);
    check_locality(failover, &[region, zone], &places[2..], &["eu/b/node-c"]);
    check_locality(failover, &[region, zone], &places[3..], &["us/a/node-d"]);
}

#[test]
fn weights() {
    let check = |weights: &[u32], random: f64, expect: Option<usize>| {
        assert_eq!(weighted(weights.iter().copied().enumerate(), random), expect, "{weights:?} at {random}");
    };
    check(&[], 0.5, None);
    check(&[0, 0], 0.5, None);
    check(&[1, 0, 3], 0.0, Some(0));
    check(&[1, 0, 3], 0.24, Some(0));
    check(&[1, 0, 3], 0.25, Some(2));
    check(&[1, 0, 3], 0.999_999, Some(2));
    check(&[u32::MAX, u32::MAX], 1.0, Some(1));
}

// ---- inbound ----

#[test]
fn authorities() {
    let check = |text: &str, expect: Option<&str>| {
        let shown = Authority::parse(text).map(|authority| match authority {
            Authority::Address(address) => address.to_string(),
            Authority::Host(host, port) => format!("host {host} {port}"),
        });
        assert_eq!(shown.as_deref(), expect, "{text}");
    };
    check("10.0.0.1:80", Some("10.0.0.1:80"));
    check("[::1]:80", Some("[::1]:80"));
    check("[::ffff:10.0.0.1]:80", Some("10.0.0.1:80"));
    check("Cart.shop.svc:80", Some("host cart.shop.svc 80"));
    for bad in [
        "",
        "garbage",
        "10.0.0.1",
        "cart:",
        "cart:0",
        "cart:70000",
        ":80",
        "a/b:80",
        "a b:80",
        "user@host:80",
    ] {
        check(bad, None);
    }
}

/// What a tunnel to `cart-1` (10.0.0.1), changed by `change`, may reach.
fn tunnel(change: impl FnOnce(&mut proto::Workload), authority: &str) -> Result<String, Rejected> {
    let mut own = cart("cart-1", "10.0.0.1");
    change(&mut own);
    let mut behind = service("shop", "behind", "10.96.0.7", &[(80, 80)]);
    behind.waypoint = Some(gateway("shop", "wp.shop.svc.cluster.local"));
    let snapshot = snapshot([own], [cart_service(), behind, waypoint_service()], []);
    let own = find(&snapshot, "cart-1");
    let authority = Authority::parse(authority).unwrap();
    let target = inbound(&snapshot, &own, "10.0.0.1".parse().unwrap(), &authority)?;
    let proxied = target.proxy_protocol.map(|told| format!(" told {told}")).unwrap_or_default();
    Ok(format!("{}{proxied}", target.destination))
}

#[test]
fn a_tunnel_reaches_its_own_pod_only() {
    let check = |authority: &str, expect: Result<&str, &str>| {
        let result = tunnel(|_| {}, authority).map_err(|rejected| rejected.to_string());
        assert_eq!(result.as_deref().map_err(String::as_str), expect);
    };
    check("10.0.0.1:8080", Ok("10.0.0.1:8080"));
    check("cart.shop.svc.cluster.local:80", Ok("10.0.0.1:8080"));
    check("10.0.0.2:8080", Err("ip mismatch: the tunnel arrived at 10.0.0.1 and asks for 10.0.0.2"));
    check("cart.shop.svc.cluster.local:81", Err("no service cart.shop.svc.cluster.local:81 here"));
    check("cart.shop.svc.cluster.local:90", Err("no service cart.shop.svc.cluster.local:90 here"));
    check("nobody.shop.svc.cluster.local:80", Err("no service nobody.shop.svc.cluster.local:80 here"));
    for port in [15001, 15006, 15008] {
        let rejected = tunnel(|_| {}, &format!("10.0.0.1:{port}"));
        assert_eq!(rejected, Err(Rejected::SelfCall(port)));
    }
}

#[test]
fn a_waypoint_takes_tunnels_for_what_is_behind_it() {
    let as_waypoint = |own: &mut proto::Workload| *own = endpoint(own.clone(), WAYPOINT, &[(15008, 15008)]);
    assert_eq!(tunnel(as_waypoint, "10.96.0.7:80").as_deref(), Ok("10.0.0.1:80"));
    assert!(
        matches!(tunnel(as_waypoint, "10.96.0.1:80"), Err(Rejected::AddressMismatch { .. })),
        "not behind it"
    );
}

#[test]
fn a_sandwiched_proxy_is_told_the_destination() {
    let sandwich = |port| {
        move |own: &mut proto::Workload| {
            own.application_tunnel = Some(ApplicationTunnel { protocol: 1, port });
        }
    };
    assert_eq!(tunnel(sandwich(15088), "10.96.0.7:80").as_deref(), Ok("10.0.0.1:15088 told 10.96.0.7:80"));
    assert_eq!(tunnel(sandwich(0), "10.96.0.7:81").as_deref(), Ok("10.0.0.1:81 told 10.96.0.7:81"));
    assert_eq!(
        tunnel(sandwich(15088), "cart.shop.svc.cluster.local:80").as_deref(),
        Ok("10.0.0.1:15088 told 10.96.0.1:80")
    );
    assert_eq!(tunnel(sandwich(15006), "10.96.0.7:80"), Err(Rejected::SelfCall(15006)));
}

#[test]
fn the_service_a_connection_is_counted_for() {
    let other = "shop/other.shop.svc.cluster.local";
    let own = endpoint(cart("cart-1", "10.0.0.1"), other, &[(90, 9090)]);
    let services = [cart_service(), service("shop", "other", "10.96.0.2", &[(90, 9090)])];
    let snapshot =
        snapshot([own], services.into_iter().chain([service("x", "y", "10.96.0.3", &[(80, 8080)])]), []);
    let own: Arc<Workload> = find(&snapshot, "cart-1");
    let check = |named: Option<&str>, port, expect: Option<&str>| {
        let found = inbound_service(&snapshot, &own, named, port).map(|service| service.name.to_string());
        assert_eq!(found.as_deref(), expect);
    };
    check(None, 8080, Some("cart"));
    check(None, 9090, Some("other"));
    check(None, 1, None);
    check(Some("other.shop.svc.cluster.local"), 8080, Some("other"));
    check(Some("y.x.svc.cluster.local"), 8080, Some("cart"));
}
