use crate::dns::answer::{Kind, answer};
use crate::dns::names::Zone;
use crate::state::Snapshot;
use crate::state::fixtures::{address, endpoint, find, pod, service, snapshot};
use xds_client::proto::workload as proto;

fn mesh() -> Snapshot {
    let headless = proto::Service { addresses: vec![], ..service("shop", "db", "10.96.0.9", &[(80, 80)]) };
    let mut dual = service("shop", "dual", "10.96.0.2", &[(80, 80)]);
    dual.addresses.push(address("fd00::2", None));
    let mut v4_only =
        proto::Service { name: "v4".into(), hostname: "v4.shop.svc.cluster.local".into(), ..dual.clone() };
    v4_only.ip_families = proto::IpFamilies::Ipv4Only as i32;
    let external = |host: &str, addresses: Vec<proto::NetworkAddress>| proto::Service {
        hostname: host.into(),
        addresses,
        canonical: false,
        ..service("shop", host, "10.96.0.9", &[(443, 443)])
    };
    let services = [
        service("shop", "cart", "10.96.0.1", &[(80, 80)]),
        dual,
        v4_only,
        headless,
        external("api.example.com", vec![address("240.240.0.1", None)]),
        external("*.wild.example.com", vec![address("240.240.0.2", None)]),
        external("noaddress.example.com", vec![]),
        proto::Service { visibility: 1, ..service("hidden", "secret", "10.96.0.3", &[(80, 80)]) },
    ];
    let db = "shop/db.shop.svc.cluster.local";
    let mut down = endpoint(pod("shop", "db-1", "10.0.0.2"), db, &[(80, 80)]);
    down.status = 1;
    let workloads =
        [pod("shop", "client", "10.0.0.9"), endpoint(pod("shop", "db-0", "10.0.0.1"), db, &[(80, 80)]), down];
    snapshot(workloads, services, [])
}

fn check(query: &str, kind: Kind, expect: Option<&str>) {
    let mesh = mesh();
    let found = answer(&mesh, &find(&mesh, "client"), query, kind, &Zone::new("cluster.local", None));
    let shown = found.map(|answer| {
        let cname = answer.canonical.map(|name| format!("{name}: ")).unwrap_or_default();
        let addresses: Vec<_> = answer.addresses.iter().map(ToString::to_string).collect();
        format!("{cname}{}", addresses.join(" "))
    });
    assert_eq!(shown.as_deref(), expect, "{query} {kind:?}");
}

#[test]
fn names_of_the_mesh() {
    check("cart", Kind::A, Some("10.96.0.1"));
    check("cart.shop", Kind::A, Some("10.96.0.1"));
    check("cart.shop.svc.cluster.local", Kind::A, Some("10.96.0.1"));
    check("cart.shop.svc.cluster.local", Kind::Aaaa, Some(""));
    check("cart.shop.shop.svc.cluster.local", Kind::A, Some("cart.shop: 10.96.0.1"));
    check("dual", Kind::Aaaa, Some("fd00::2"));
    check("v4", Kind::Aaaa, Some(""));
}

#[test]
fn headless_services_are_their_ready_endpoints() {
    check("db", Kind::A, Some("10.0.0.1"));
    check("db", Kind::Aaaa, Some(""));
}

#[test]
fn external_names() {
    check("api.example.com", Kind::A, Some("240.240.0.1"));
    check("api.example.com.shop.svc.cluster.local", Kind::A, Some("api.example.com: 240.240.0.1"));
    check("x.wild.example.com", Kind::A, Some("240.240.0.2"));
    check("y.x.wild.example.com", Kind::A, Some("240.240.0.2"));
    check("wild.example.com", Kind::A, None);
    check("noaddress.example.com", Kind::A, None);
    check("www.example.org", Kind::A, None);
    check("secret.hidden", Kind::A, None);
}
