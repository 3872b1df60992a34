//! Workloads as WDS knows them: who a pod is. Istio: `istio.workload.Workload`.

use std::net::IpAddr;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Workload {
    pub uid: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub addresses: Vec<IpAddr>,
    pub network: Arc<str>,
    /// `spiffe://td/ns/NS/sa/SA`; empty fields of the wire have their defaults filled in.
    pub principal: Arc<str>,
    pub service_account: Arc<str>,
    pub canonical_name: Arc<str>,
    pub canonical_revision: Arc<str>,
    pub workload_name: Arc<str>,
    /// `deployment`, `cronjob`, `pod`, `job`.
    pub workload_type: &'static str,
    pub cluster_id: Arc<str>,
    pub node: Arc<str>,
    /// Speaks HBONE on 15008.
    pub hbone: bool,
    /// Host-network pods share the node's address: never found by IP.
    pub host_network: bool,
    /// Of the raw resource.
    pub content_hash: u64,
}
