//! The label sets of `istio.stats` and their values for one record.

use crate::telemetry::peer::{self, UNKNOWN};
use crate::telemetry::record::{Protocol, RequestRecord};

/// TCP series have no response code and no gRPC status.
pub(super) const TCP_LABELS: [&str; 23] = [
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
];

pub(super) const HTTP_LABELS: [&str; 25] = {
    let mut labels = ["response_code"; 25];
    let mut at = 0;
    while at < TCP_LABELS.len() {
        labels[at] = TCP_LABELS[at];
        at += 1;
    }
    labels[24] = "grpc_response_status";
    labels
};

/// Values in the order of their family's labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LabelValues(Box<[Box<str>]>);

impl LabelValues {
    pub(super) fn of(labels: &[&str], record: &RequestRecord<'_>, no_host_fallback: bool) -> Self {
        let mutual_tls =
            record.downstream.peer_principal.is_some() && record.downstream.local_principal.is_some();
        let principal = record.downstream.peer_principal.map(|principal| &**principal);
        let source = peer::source(record.downstream.workload.map(|workload| &**workload), principal);
        let destination = peer::destination(record.upstream.workload.map(|workload| &**workload));
        let host = record
            .request
            .map(|request| request.authority)
            .filter(|host| !no_host_fallback && !host.is_empty());
        let service = record.service.map_or_else(|| host.unwrap_or(UNKNOWN), |service| &service.host);
        let value = |label: &str| -> Box<str> {
            match label {
                "reporter" => "waypoint".into(),
                "source_workload" => source.workload.into(),
                "source_canonical_service" => source.canonical_service.into(),
                "source_canonical_revision" => source.canonical_revision.into(),
                "source_workload_namespace" => source.namespace.into(),
                "source_principal" => source.principal.into(),
                "source_app" => source.app.into(),
                "source_version" => source.version.into(),
                "source_cluster" => source.cluster.into(),
                "destination_workload" => destination.workload.into(),
                "destination_workload_namespace" => destination.namespace.into(),
                "destination_principal" => destination.principal.into(),
                "destination_app" => destination.app.into(),
                "destination_version" => destination.version.into(),
                "destination_service" => service.into(),
                "destination_canonical_service" => destination.canonical_service.into(),
                "destination_canonical_revision" => destination.canonical_revision.into(),
                "destination_service_name" => record.service.map_or(service, |service| &service.name).into(),
                "destination_service_namespace" => {
                    record.service.map_or(destination.namespace, |service| &service.namespace).into()
                }
                "destination_cluster" => destination.cluster.into(),
                "request_protocol" => request_protocol(record).into(),
                "response_flags" => record.flags.to_string().into(),
                "connection_security_policy" => if mutual_tls { "mutual_tls" } else { "none" }.into(),
                "response_code" => record.response.map_or(0, |response| response.status).to_string().into(),
                "grpc_response_status" => record
                    .grpc_status
                    .filter(|_| is_grpc(record))
                    .map(|code| code.to_string())
                    .unwrap_or_default()
                    .into(),
                _ => "".into(),
            }
        };
        Self(labels.iter().map(|label| value(label)).collect())
    }

    /// Where everything goes once there are too many series.
    pub(super) fn overflow(labels: &[&str]) -> Self {
        Self(
            labels
                .iter()
                .map(|label| if *label == "reporter" { "waypoint".into() } else { UNKNOWN.into() })
                .collect(),
        )
    }

    /// Room for tags beyond the usual ones.
    pub(super) fn extend(&mut self, count: usize) {
        if count > 0 {
            let values = std::mem::take(&mut self.0).into_iter();
            self.0 = values.chain(std::iter::repeat_n(Box::default(), count)).collect();
        }
    }

    /// To Prometheus an empty label is one that is not there.
    pub(super) fn set(&mut self, at: usize, value: &str) {
        self.0[at] = value.into();
    }

    pub(super) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(|value| &**value).collect()
    }
}

pub(super) fn is_grpc(record: &RequestRecord<'_>) -> bool {
    record.request.is_some_and(|request| request.grpc)
}

fn request_protocol(record: &RequestRecord<'_>) -> &'static str {
    match record.protocol {
        Protocol::Tcp => "tcp",
        _ if is_grpc(record) => "grpc",
        _ => "http",
    }
}
