use super::*;
use prost::Message;

#[test]
fn missing_fields_have_their_defaults() {
    let proto = pb::Workload { uid: "K//Pod/shop/a".into(), namespace: "shop".into(), ..Default::default() };
    let workload = translate("x", &proto.encode_to_vec()).unwrap().value;
    assert_eq!(&*workload.principal, "spiffe://cluster.local/ns/shop/sa/default");
    assert_eq!((workload.workload_type, workload.hbone, workload.host_network), ("deployment", false, false));
}

#[test]
fn fields() {
    let proto = pb::Workload {
        uid: "K//Pod/shop/a".into(),
        namespace: "shop".into(),
        trust_domain: "td".into(),
        service_account: "sa".into(),
        addresses: vec![
            vec![10, 0, 0, 1].into(),
            vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2].into(),
        ],
        tunnel_protocol: pb::TunnelProtocol::Hbone as i32,
        workload_type: pb::WorkloadType::Job as i32,
        network_mode: pb::NetworkMode::HostNetwork as i32,
        ..Default::default()
    };
    let workload = translate("x", &proto.encode_to_vec()).unwrap().value;
    assert_eq!(&*workload.principal, "spiffe://td/ns/shop/sa/sa");
    let addresses: Vec<String> = workload.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"], "IPv4 in IPv6 is IPv4");
    assert_eq!((workload.workload_type, workload.hbone, workload.host_network), ("job", true, true));
}

#[test]
fn rejections() {
    let proto = pb::Workload { addresses: vec![vec![1, 2, 3].into()], ..Default::default() };
    assert_eq!(translate("x", &proto.encode_to_vec()).unwrap_err().reason, "an address of 3 bytes");
    assert_eq!(translate("x", &[0xff]).unwrap_err().name, "x");
}
