//! Who a peer is, as metrics and logs name it. Envoy: Istio's `WorkloadMetadataObject` and `istio_stats.cc`.

use crate::model::workload::Workload;

/// What a label says when nothing is known.
pub const UNKNOWN: &str = "unknown";
/// What `source_canonical_revision` says then.
const LATEST: &str = "latest";

/// The labels of one side; missing values have their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLabels<'a> {
    pub workload: &'a str,
    pub canonical_service: &'a str,
    pub canonical_revision: &'a str,
    pub namespace: &'a str,
    pub principal: &'a str,
    pub app: &'a str,
    pub version: &'a str,
    pub cluster: &'a str,
}

/// The client. Its namespace is the one of its certificate, where there is one: WDS may be late, a SAN cannot be.
#[must_use]
pub fn source<'a>(workload: Option<&'a Workload>, principal: Option<&'a str>) -> PeerLabels<'a> {
    let labels = labels(workload, principal);
    let namespace = principal.and_then(spiffe_namespace).unwrap_or(labels.namespace);
    let canonical_revision =
        if labels.canonical_revision == UNKNOWN { LATEST } else { labels.canonical_revision };
    PeerLabels { namespace, canonical_revision, ..labels }
}

/// The endpoint; its principal is the one WDS gives it, not that of the TLS peer (which may be a gateway).
#[must_use]
pub fn destination(workload: Option<&Workload>) -> PeerLabels<'_> {
    labels(workload, workload.map(|workload| &*workload.principal))
}

fn labels<'a>(workload: Option<&'a Workload>, principal: Option<&'a str>) -> PeerLabels<'a> {
    let text = |field: fn(&'a Workload) -> &'a str, default: &'a str| {
        workload.map(field).filter(|text| !text.is_empty()).unwrap_or(default)
    };
    PeerLabels {
        workload: text(|w| &w.workload_name, UNKNOWN),
        canonical_service: text(|w| &w.canonical_name, UNKNOWN),
        canonical_revision: text(|w| &w.canonical_revision, UNKNOWN),
        namespace: text(|w| &w.namespace, UNKNOWN),
        principal: principal.filter(|principal| !principal.is_empty()).unwrap_or(UNKNOWN),
        // WDS carries no `app` and `version` labels; the canonical ones are derived from them by istiod.
        app: text(|w| &w.canonical_name, UNKNOWN),
        version: text(|w| &w.canonical_revision, UNKNOWN),
        cluster: text(|w| &w.cluster_id, UNKNOWN),
    }
}

/// `spiffe://td/ns/NAMESPACE/sa/NAME`.
fn spiffe_namespace(principal: &str) -> Option<&str> {
    let path = principal.strip_prefix("spiffe://")?.split_once('/')?.1;
    path.strip_prefix("ns/")?.split_once("/sa/").map(|(namespace, _)| namespace)
}

/// One field of the peer object, by the names `FILTER_STATE(upstream_peer_obj:FIELD:…)` uses.
#[must_use]
pub fn field<'a>(workload: &'a Workload, name: &str) -> Option<&'a str> {
    let text: &str = match name {
        "workload" => &workload.workload_name,
        "namespace" => &workload.namespace,
        "cluster" => &workload.cluster_id,
        "service" | "app" => &workload.canonical_name,
        "revision" | "version" => &workload.canonical_revision,
        "name" => &workload.name,
        "type" => workload.workload_type,
        "identity" => &workload.principal,
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
