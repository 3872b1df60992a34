//! Workloads of WDS. Istio: `istio.workload.Workload`, `pkg/workloadapi/workload.proto`.

use super::pb::workload as pb;
use super::problem::{Problem, Rejection, Result, Translated, Warnings};
use super::wire;
use crate::model::workload::Workload;
use std::net::IpAddr;
use std::sync::Arc;
use xds_client::type_url::WORKLOAD;

/// What istiod leaves out because it is the default.
const TRUST_DOMAIN: &str = "cluster.local";
const SERVICE_ACCOUNT: &str = "default";

pub fn translate(name: &str, bytes: &[u8]) -> std::result::Result<Translated<Workload>, Rejection> {
    let workload = workload(bytes).map_err(|problem| problem.reject(WORKLOAD, name))?;
    Ok(Translated { value: workload, warnings: Warnings::default().into_list() })
}

fn workload(bytes: &[u8]) -> Result<Workload> {
    let proto = <pb::Workload as prost::Message>::decode(bytes).map_err(Problem::invalid)?;
    let addresses = proto.addresses.iter().map(|bytes| address(bytes)).collect::<Result<_>>()?;
    let or = |text: &str, default: &str| -> Arc<str> {
        if text.is_empty() { default.into() } else { text.into() }
    };
    let trust_domain = or(&proto.trust_domain, TRUST_DOMAIN);
    let service_account = or(&proto.service_account, SERVICE_ACCOUNT);
    Ok(Workload {
        principal: format!("spiffe://{trust_domain}/ns/{}/sa/{service_account}", proto.namespace).into(),
        uid: proto.uid.as_str().into(),
        name: proto.name.as_str().into(),
        namespace: proto.namespace.as_str().into(),
        addresses,
        network: proto.network.as_str().into(),
        service_account,
        canonical_name: proto.canonical_name.as_str().into(),
        canonical_revision: proto.canonical_revision.as_str().into(),
        workload_name: proto.workload_name.as_str().into(),
        workload_type: workload_type(proto.workload_type()),
        cluster_id: proto.cluster_id.as_str().into(),
        node: proto.node.as_str().into(),
        hbone: proto.tunnel_protocol() == pb::TunnelProtocol::Hbone,
        host_network: proto.network_mode() == pb::NetworkMode::HostNetwork,
        content_hash: wire::hash(bytes),
    })
}

fn workload_type(kind: pb::WorkloadType) -> &'static str {
    match kind {
        pb::WorkloadType::Deployment => "deployment",
        pb::WorkloadType::Cronjob => "cronjob",
        pb::WorkloadType::Pod => "pod",
        pb::WorkloadType::Job => "job",
    }
}

fn address(bytes: &[u8]) -> Result<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    ip.map(|ip| ip.to_canonical())
        .map_err(|_| Problem::invalid(format_args!("an address of {} bytes", bytes.len())))
}

#[cfg(test)]
mod tests;
