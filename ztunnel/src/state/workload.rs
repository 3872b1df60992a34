//! A workload: one address that runs something, usually a pod. Spec: `istio.workload.Workload`.
//!
//! Invariant: a `Workload` in hand has an identity that parses, and every port is a port.

use crate::state::address::{GatewayAddress, Invalid, ip, or_default, port};
use mesh::identity::SpiffeId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use xds_client::proto::workload as proto;

/// `namespace/hostname`: the name of a service.
pub type ServiceKey = Arc<str>;

/// Service port to target port; a target of 0 is a named port the endpoint has to resolve.
pub type Ports = BTreeMap<u16, u16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub uid: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub addresses: Vec<IpAddr>,
    /// Resolved on use where there is no address.
    pub hostname: Arc<str>,
    pub network: Arc<str>,
    /// On the host's network its address is the node's, and says nothing about the workload.
    pub host_network: bool,
    pub protocol: TunnelProtocol,
    pub identity: SpiffeId,
    pub waypoint: Option<GatewayAddress>,
    pub network_gateway: Option<GatewayAddress>,
    pub node: Arc<str>,
    pub canonical_name: Arc<str>,
    pub canonical_revision: Arc<str>,
    pub workload_type: WorkloadType,
    pub workload_name: Arc<str>,
    /// Speaks HBONE itself, without us (a waypoint, say).
    pub native_tunnel: bool,
    pub application_tunnel: Option<ApplicationTunnel>,
    pub services: BTreeMap<ServiceKey, Ports>,
    /// `namespace/name` of the policies that select this workload.
    pub authorization_policies: Vec<Arc<str>>,
    pub healthy: bool,
    pub cluster_id: Arc<str>,
    pub locality: Locality,
    /// Weight among the endpoints of a service.
    pub capacity: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelProtocol {
    Tcp,
    Hbone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadType {
    Deployment,
    CronJob,
    Pod,
    Job,
}

impl WorkloadType {
    /// As in baggage keys and config dumps.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::CronJob => "cronjob",
            Self::Pod => "pod",
            Self::Job => "job",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
    pub subzone: Arc<str>,
}

/// How the application behind us wants to learn who came through the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplicationTunnel {
    /// The PROXY protocol is spoken to it.
    pub proxy_protocol: bool,
    /// In place of the port the tunnel asked for.
    pub port: Option<u16>,
}

impl Workload {
    /// Whether the pod istio-cni told us of is this workload.
    #[must_use]
    pub fn is_pod(&self, service_account: &str) -> bool {
        self.identity.service_account() == service_account
    }
}

impl TryFrom<&proto::Workload> for Workload {
    type Error = Invalid;

    fn try_from(workload: &proto::Workload) -> Result<Self, Invalid> {
        if workload.uid.is_empty() {
            return Err(Invalid::Missing("uid"));
        }
        let trust_domain = or_default(&workload.trust_domain, "cluster.local");
        let account = or_default(&workload.service_account, "default");
        let locality = workload.locality.clone().unwrap_or_default();
        Ok(Self {
            uid: workload.uid.as_str().into(),
            name: workload.name.as_str().into(),
            namespace: workload.namespace.as_str().into(),
            addresses: workload
                .addresses
                .iter()
                .map(|bytes| ip("address", bytes))
                .collect::<Result<_, _>>()?,
            hostname: workload.hostname.as_str().into(),
            network: workload.network.as_str().into(),
            host_network: workload.network_mode == proto::NetworkMode::HostNetwork as i32,
            protocol: tunnel_protocol(workload.tunnel_protocol)?,
            identity: SpiffeId::parse(&format!(
                "spiffe://{trust_domain}/ns/{}/sa/{account}",
                workload.namespace
            ))?,
            waypoint: workload.waypoint.as_ref().map(GatewayAddress::try_from).transpose()?,
            network_gateway: workload.network_gateway.as_ref().map(GatewayAddress::try_from).transpose()?,
            node: workload.node.as_str().into(),
            canonical_name: workload.canonical_name.as_str().into(),
            canonical_revision: workload.canonical_revision.as_str().into(),
            workload_type: workload_type(workload.workload_type)?,
            workload_name: workload.workload_name.as_str().into(),
            native_tunnel: workload.native_tunnel,
            application_tunnel: workload.application_tunnel.as_ref().map(application_tunnel).transpose()?,
            services: workload.services.iter().map(service_ports).collect::<Result<_, _>>()?,
            authorization_policies: workload
                .authorization_policies
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            healthy: workload.status == proto::WorkloadStatus::Healthy as i32,
            cluster_id: or_default(&workload.cluster_id, "Kubernetes"),
            locality: Locality {
                region: locality.region.into(),
                zone: locality.zone.into(),
                subzone: locality.subzone.into(),
            },
            capacity: workload.capacity.as_ref().map_or(1, |capacity| *capacity),
        })
    }
}

/// Sidecar mTLS without a tunnel is nothing we can speak; plaintext in its place would be worse than no entry.
fn tunnel_protocol(value: i32) -> Result<TunnelProtocol, Invalid> {
    match proto::TunnelProtocol::try_from(value) {
        Ok(proto::TunnelProtocol::None) => Ok(TunnelProtocol::Tcp),
        Ok(proto::TunnelProtocol::Hbone) => Ok(TunnelProtocol::Hbone),
        _ => Err(Invalid::Enum { field: "tunnel_protocol", value }),
    }
}

fn workload_type(value: i32) -> Result<WorkloadType, Invalid> {
    match proto::WorkloadType::try_from(value) {
        Ok(proto::WorkloadType::Deployment) => Ok(WorkloadType::Deployment),
        Ok(proto::WorkloadType::Cronjob) => Ok(WorkloadType::CronJob),
        Ok(proto::WorkloadType::Pod) => Ok(WorkloadType::Pod),
        Ok(proto::WorkloadType::Job) => Ok(WorkloadType::Job),
        Err(_) => Err(Invalid::Enum { field: "workload_type", value }),
    }
}

fn application_tunnel(tunnel: &proto::ApplicationTunnel) -> Result<ApplicationTunnel, Invalid> {
    use proto::application_tunnel::Protocol;
    let proxy_protocol = match Protocol::try_from(tunnel.protocol) {
        Ok(Protocol::None) => false,
        Ok(Protocol::Proxy) => true,
        Err(_) => return Err(Invalid::Enum { field: "application_tunnel.protocol", value: tunnel.protocol }),
    };
    let port = port("application_tunnel.port", tunnel.port)?;
    Ok(ApplicationTunnel { proxy_protocol, port: (port != 0).then_some(port) })
}

fn service_ports((key, list): (&String, &proto::PortList)) -> Result<(ServiceKey, Ports), Invalid> {
    if !key.split_once('/').is_some_and(|(namespace, hostname)| !namespace.is_empty() && !hostname.is_empty())
    {
        return Err(Invalid::Key { field: "services", value: key.clone() });
    }
    Ok((key.as_str().into(), ports(&list.ports)?))
}

pub(crate) fn ports(list: &[proto::Port]) -> Result<Ports, Invalid> {
    list.iter()
        .map(|entry| Ok((port("service_port", entry.service_port)?, port("target_port", entry.target_port)?)))
        .collect()
}

#[cfg(test)]
mod tests;
