use crate::state::fixtures::{address, service};
use crate::state::{Invalid, LoadBalancerMode, Service};
use xds_client::proto::workload::{self as proto, LoadBalancing};

#[test]
fn ranges_and_addresses_are_kept_apart() {
    let mut proto = service("shop", "cart", "10.96.0.1", &[(80, 8080)]);
    proto.addresses.push(address("10.97.0.5", Some(32)));
    proto.addresses.push(address("10.98.3.4", Some(16)));
    let service = Service::try_from(&proto).unwrap();
    assert_eq!(
        service.vips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["/10.96.0.1", "/10.97.0.5"]
    );
    assert_eq!(service.cidr_vips[0].cidr.to_string(), "10.98.0.0/16", "host bits are dropped");
}

#[test]
fn balancing_that_is_unknown_is_refused() {
    let with = |balancing: LoadBalancing| {
        let mut proto = service("shop", "cart", "10.96.0.1", &[(80, 8080)]);
        proto.load_balancing = Some(balancing);
        Service::try_from(&proto).map(|service| service.load_balancer.mode)
    };
    assert_eq!(with(LoadBalancing { mode: 3, ..Default::default() }), Ok(LoadBalancerMode::Passthrough));
    assert_eq!(
        with(LoadBalancing { routing_preference: vec![0], ..Default::default() }),
        Err(Invalid::Enum { field: "routing_preference", value: 0 })
    );
    assert_eq!(
        with(LoadBalancing { mode: 17, ..Default::default() }),
        Err(Invalid::Enum { field: "load_balancing.mode", value: 17 })
    );
}

#[test]
fn an_unknown_visibility_is_public() {
    let private = |value: i32| {
        let mut proto = service("shop", "cart", "10.96.0.1", &[]);
        proto.visibility = value;
        Service::try_from(&proto).unwrap().private
    };
    assert_eq!([0, proto::service::Visibility::Namespace as i32, 7].map(private), [false, true, false]);
}
