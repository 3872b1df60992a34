use crate::state::fixtures::{endpoint, pod};
use crate::state::{Invalid, TunnelProtocol, Workload};
use xds_client::proto::workload as proto;

fn check(change: impl FnOnce(&mut proto::Workload), expect: Option<Invalid>) {
    let mut workload = pod("shop", "cart", "10.0.0.1");
    change(&mut workload);
    assert_eq!(Workload::try_from(&workload).err(), expect);
}

#[test]
fn what_istiod_may_leave_out_has_defaults() {
    let mut bare = pod("shop", "cart", "10.0.0.1");
    bare.service_account = String::new();
    let workload = Workload::try_from(&bare).unwrap();
    assert_eq!(workload.identity.as_str(), "spiffe://cluster.local/ns/shop/sa/default");
    assert_eq!(&*workload.cluster_id, "Kubernetes");
    assert_eq!((workload.capacity, workload.healthy, workload.protocol), (1, true, TunnelProtocol::Hbone));
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    check(|_| {}, None);
    check(|w| w.uid = String::new(), Some(Invalid::Missing("uid")));
    check(|w| w.tunnel_protocol = 2, Some(Invalid::Enum { field: "tunnel_protocol", value: 2 }));
    check(|w| w.tunnel_protocol = 9, Some(Invalid::Enum { field: "tunnel_protocol", value: 9 }));
    check(|w| w.addresses = vec![vec![1, 2, 3].into()], Some(Invalid::Ip { field: "address", length: 3 }));
    check(
        |w| w.waypoint = Some(proto::GatewayAddress::default()),
        Some(Invalid::Missing("gateway destination")),
    );
    check(
        |w| *w = endpoint(w.clone(), "shop/cart", &[(70_000, 1)]),
        Some(Invalid::Number { field: "service_port", value: 70_000 }),
    );
    check(
        |w| *w = endpoint(w.clone(), "cart", &[(80, 80)]),
        Some(Invalid::Key { field: "services", value: "cart".into() }),
    );
}

#[test]
fn an_identity_that_is_none_is_refused() {
    let mut workload = pod("shop", "cart", "10.0.0.1");
    workload.service_account = "a/b".into();
    assert!(matches!(Workload::try_from(&workload), Err(Invalid::Identity(_))));
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_ipv4_address() {
    let mut workload = pod("shop", "cart", "::ffff:10.0.0.1");
    workload.tunnel_protocol = 0;
    let workload = Workload::try_from(&workload).unwrap();
    assert_eq!(workload.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(workload.protocol, TunnelProtocol::Tcp);
}
