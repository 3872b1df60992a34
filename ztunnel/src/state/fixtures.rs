//! A small mesh for tests, built from the protos istiod would send.

use crate::state::{Policy, Service, Snapshot, Workload};
use std::net::IpAddr;
use std::sync::Arc;
use xds_client::proto::authorization::{self, Authorization, Group, Match, Rules, StringMatch};
use xds_client::proto::workload::{self as proto, GatewayAddress, NetworkAddress, Port, PortList};

pub(crate) fn bytes(ip: &str) -> Vec<u8> {
    match ip.parse().unwrap() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A captured pod with HBONE on `node-a`, service account as its name.
pub(crate) fn pod(namespace: &str, name: &str, ip: &str) -> proto::Workload {
    proto::Workload {
        uid: format!("Kubernetes//Pod/{namespace}/{name}"),
        name: name.into(),
        namespace: namespace.into(),
        addresses: vec![bytes(ip).into()],
        service_account: name.into(),
        node: "node-a".into(),
        tunnel_protocol: proto::TunnelProtocol::Hbone as i32,
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        workload_name: name.into(),
        ..Default::default()
    }
}

pub(crate) fn ports(ports: &[(u32, u32)]) -> Vec<Port> {
    ports
        .iter()
        .map(|(service_port, target_port)| Port {
            service_port: *service_port,
            target_port: *target_port,
            ..Default::default()
        })
        .collect()
}

/// `pod` as an endpoint of `service` (`namespace/host`).
pub(crate) fn endpoint(mut pod: proto::Workload, service: &str, list: &[(u32, u32)]) -> proto::Workload {
    pod.services.insert(service.into(), PortList { ports: ports(list) });
    pod
}

pub(crate) fn service(namespace: &str, name: &str, vip: &str, list: &[(u32, u32)]) -> proto::Service {
    proto::Service {
        name: name.into(),
        namespace: namespace.into(),
        hostname: format!("{name}.{namespace}.svc.cluster.local"),
        addresses: vec![address(vip, None)],
        ports: ports(list),
        canonical: true,
        ..Default::default()
    }
}

pub(crate) fn address(ip: &str, length: Option<u32>) -> NetworkAddress {
    NetworkAddress { network: String::new(), address: bytes(ip).into(), length }
}

pub(crate) fn gateway(namespace: &str, hostname: &str) -> GatewayAddress {
    use proto::gateway_address::Destination;
    let name = proto::NamespacedHostname { namespace: namespace.into(), hostname: hostname.into() };
    GatewayAddress { destination: Some(Destination::Hostname(name)), hbone_mtls_port: 15008 }
}

/// A policy of one rule with one clause of one match.
pub(crate) fn policy(
    key: &str,
    scope: authorization::Scope,
    action: authorization::Action,
    only: Match,
) -> Authorization {
    let (namespace, name) = key.split_once('/').unwrap();
    Authorization {
        name: name.into(),
        namespace: namespace.into(),
        scope: scope as i32,
        action: action as i32,
        groups: vec![Group { rules: vec![Rules { matches: vec![only] }] }],
        ..Default::default()
    }
}

pub(crate) fn exact(text: &str) -> StringMatch {
    StringMatch { match_type: Some(authorization::string_match::MatchType::Exact(text.into())) }
}

pub(crate) fn presence() -> StringMatch {
    StringMatch { match_type: Some(authorization::string_match::MatchType::Presence(())) }
}

pub(crate) fn snapshot(
    workloads: impl IntoIterator<Item = proto::Workload>,
    services: impl IntoIterator<Item = proto::Service>,
    policies: impl IntoIterator<Item = Authorization>,
) -> Snapshot {
    let mut snapshot = Snapshot::new("node-a");
    for workload in workloads {
        snapshot.insert_workload(Workload::try_from(&workload).unwrap());
    }
    for service in services {
        snapshot.insert_service(Service::try_from(&service).unwrap());
    }
    for policy in policies {
        snapshot.insert_policy(Policy::try_from(&policy).unwrap());
    }
    snapshot
}

pub(crate) fn find(snapshot: &Snapshot, name: &str) -> Arc<Workload> {
    snapshot.workloads().find(|workload| *workload.name == *name).unwrap().clone()
}
