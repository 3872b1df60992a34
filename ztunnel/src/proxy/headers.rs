//! What a CONNECT tells beside its authority: who sends it (`baggage`), for whom (`forwarded`), in which trace.
//!
//! None of it is proof: identity comes from TLS alone; the receiving side uses these for telemetry.

use crate::state::Workload;
use http::{HeaderMap, HeaderValue};
use std::net::SocketAddr;

/// W3C baggage with OpenTelemetry's names; empty members are left out. Spec: ztunnel `src/baggage.rs`.
#[must_use]
pub fn baggage(workload: &Workload) -> String {
    let kind = format!("k8s.{}.name", workload.workload_type.as_str());
    let members = [
        ("k8s.cluster.name", &workload.cluster_id),
        ("k8s.namespace.name", &workload.namespace),
        (kind.as_str(), &workload.workload_name),
        ("service.name", &workload.canonical_name),
        ("service.version", &workload.canonical_revision),
        ("cloud.region", &workload.locality.region),
        ("cloud.availability_zone", &workload.locality.zone),
    ];
    let present = members.into_iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// `for="address"`, and the service the client meant.
#[must_use]
pub fn forwarded(client: SocketAddr, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("for=\"{client}\";host={host}"),
        None => format!("for=\"{client}\""),
    }
}

/// `host` of the last `forwarded` element.
#[must_use]
pub fn forwarded_host(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get_all("forwarded").iter().next_back()?.to_str().ok()?;
    let element = value.rsplit(',').next()?;
    let host = element.split(';').find_map(|pair| pair.trim().strip_prefix("host="))?;
    Some(host.trim_matches('"')).filter(|host| !host.is_empty())
}

/// A new trace, not sampled.
#[must_use]
pub fn traceparent(trace: u128, span: u64) -> String {
    // All zeros are invalid by the specification.
    format!("00-{:032x}-{:016x}-00", trace.max(1), span.max(1))
}

/// Adds a header; what cannot be one (a name with a line break in it) is left out rather than failing the connection.
pub(super) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
