//! The labels of the traffic metrics, in the order dashboards and ztunnel's own output have them.

use crate::state::{Service, Workload};
use crate::telemetry::ResponseFlag;
use mesh::identity::SpiffeId;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reporter {
    Source,
    Destination,
}

impl Reporter {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// One end of a connection. What is not known stays empty and is shown as `unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Party {
    workload: Arc<str>,
    canonical_service: Arc<str>,
    canonical_revision: Arc<str>,
    namespace: Arc<str>,
    /// Only where TLS has proved it.
    principal: Option<SpiffeId>,
    cluster: Arc<str>,
    region: Arc<str>,
    zone: Arc<str>,
}

impl Party {
    /// `principal` is what the TLS peer (or we towards it) showed.
    #[must_use]
    pub fn new(workload: Option<&Workload>, principal: Option<&SpiffeId>) -> Self {
        let principal = principal.cloned();
        let Some(workload) = workload else {
            let namespace = principal.as_ref().map(|id| id.namespace().into()).unwrap_or_default();
            return Self { namespace, principal, ..Self::default() };
        };
        Self {
            workload: workload.workload_name.clone(),
            canonical_service: workload.canonical_name.clone(),
            canonical_revision: workload.canonical_revision.clone(),
            namespace: workload.namespace.clone(),
            principal,
            cluster: workload.cluster_id.clone(),
            region: workload.locality.region.clone(),
            zone: workload.locality.zone.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrafficLabels {
    pub reporter: Reporter,
    pub source: Arc<Party>,
    pub destination: Arc<Party>,
    /// Host, namespace and name of the service.
    pub service: Option<(Arc<str>, Arc<str>, Arc<str>)>,
    pub flag: ResponseFlag,
    pub mutual_tls: bool,
}

impl TrafficLabels {
    #[must_use]
    pub fn of_service(service: &Service) -> (Arc<str>, Arc<str>, Arc<str>) {
        (service.hostname.clone(), service.namespace.clone(), service.name.clone())
    }

    #[must_use]
    pub fn with_flag(&self, flag: ResponseFlag) -> Self {
        Self { flag, ..self.clone() }
    }
}

impl EncodeLabelSet for TrafficLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (source, destination) = (&*self.source, &*self.destination);
        let principal =
            |party: &Party| party.principal.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default();
        let (source_principal, destination_principal) = (principal(source), principal(destination));
        let (host, namespace, name) =
            self.service.as_ref().map_or(("", "", ""), |(host, namespace, name)| (host, namespace, name));
        let pairs: [(&str, &str); 27] = [
            ("reporter", self.reporter.as_str()),
            ("source_workload", &source.workload),
            ("source_canonical_service", &source.canonical_service),
            ("source_canonical_revision", &source.canonical_revision),
            ("source_workload_namespace", &source.namespace),
            ("source_principal", &source_principal),
            ("source_app", &source.canonical_service),
            ("source_version", &source.canonical_revision),
            ("source_cluster", &source.cluster),
            ("destination_service", host),
            ("destination_service_namespace", namespace),
            ("destination_service_name", name),
            ("destination_workload", &destination.workload),
            ("destination_canonical_service", &destination.canonical_service),
            ("destination_canonical_revision", &destination.canonical_revision),
            ("destination_workload_namespace", &destination.namespace),
            ("destination_principal", &destination_principal),
            ("destination_app", &destination.canonical_service),
            ("destination_version", &destination.canonical_revision),
            ("destination_cluster", &destination.cluster),
            ("request_protocol", "tcp"),
            ("response_flags", self.flag.as_str()),
            ("connection_security_policy", if self.mutual_tls { "mutual_tls" } else { "unknown" }),
            ("source_region", &source.region),
            ("source_zone", &source.zone),
            ("destination_region", &destination.region),
            ("destination_zone", &destination.zone),
        ];
        pairs.map(|(name, value)| (name, if value.is_empty() { "unknown" } else { value })).encode(encoder)
    }
}
