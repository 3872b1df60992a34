//! The smaller pages of the admin API.

use super::Surfaces;
use super::dump::timestamp;
use http::StatusCode;
use mesh::admin::{AdminRequest, AdminResponse, json, text};
use serde_json::{Value as Json, json as object};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use waypoint_core::model::endpoint::{EndpointAddress, Health};
use waypoint_core::store::ClusterEntry;

pub(super) fn index(_: &Surfaces, _: &AdminRequest) -> AdminResponse {
    let paths = [
        "/certs",
        "/clusters",
        "/config_dump",
        "/listeners",
        "/memory",
        "/ready",
        "/runtime",
        "/server_info",
        "/stats",
        "/stats/prometheus",
    ];
    let links: String =
        paths.iter().map(|path| format!("<li><a href=\"{path}\">{path}</a></li>\n")).collect();
    let mut page = text(StatusCode::OK, format!("<title>waypoint</title>\n<ul>\n{links}</ul>\n"));
    page.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
    page
}

fn state(surfaces: &Surfaces) -> &'static str {
    match (surfaces.process.drain.is_started(), surfaces.readiness.is_ready()) {
        (true, _) => "DRAINING",
        (false, true) => "LIVE",
        (false, false) => "INITIALIZING",
    }
}

pub(super) fn live(surfaces: &Surfaces, _: &AdminRequest) -> AdminResponse {
    let state = state(surfaces);
    let status = if state == "LIVE" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, format!("{state}\n"))
}

pub(super) fn server_info(surfaces: &Surfaces, _: &AdminRequest) -> AdminResponse {
    let uptime = format!("{}s", surfaces.process.started.elapsed().as_secs());
    json(&object!({
        "version": format!("fairway-waypoint/{}", mesh::version::FAIRWAY),
        "state": state(surfaces),
        "hot_restart_version": "disabled",
        "command_line_options": { "service_cluster": surfaces.node.cluster, "service_node": surfaces.node.id },
        "node": { "id": surfaces.node.id, "cluster": surfaces.node.cluster },
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
    }))
}

/// Sorted, so that two dumps can be compared.
fn sorted_clusters(surfaces: &Surfaces) -> Vec<std::sync::Arc<ClusterEntry>> {
    let mut entries: Vec<_> = surfaces.snapshot().clusters.values().cloned().collect();
    entries.sort_by(|a, b| a.cluster.name.cmp(&b.cluster.name));
    entries
}

pub(super) fn clusters(surfaces: &Surfaces, request: &AdminRequest) -> AdminResponse {
    let entries = sorted_clusters(surfaces);
    if request.query("format").as_deref() == Some("json") {
        let statuses: Vec<Json> = entries.iter().map(|entry| cluster_status(entry)).collect();
        return json(&object!({ "cluster_statuses": statuses }));
    }
    let mut out = String::new();
    for entry in &entries {
        let name = &entry.cluster.name;
        for host in entry.hosts.iter().flat_map(|hosts| hosts.hosts()) {
            let health = if host.is_ejected() { "/failed_outlier_check" } else { "healthy" };
            let address = address_text(&host.endpoint.address);
            let _ = writeln!(out, "{name}::{address}::health_flags::{health}");
            let _ = writeln!(out, "{name}::{address}::rq_active::{}", host.active());
            let _ = writeln!(out, "{name}::{address}::weight::{}", host.endpoint.weight);
        }
    }
    text(StatusCode::OK, out)
}

fn cluster_status(entry: &ClusterEntry) -> Json {
    let hosts = entry.hosts.iter().flat_map(|hosts| hosts.hosts()).map(|host| {
        let health = match host.endpoint.health {
            Health::Healthy => "HEALTHY",
            Health::Degraded => "DEGRADED",
            Health::Unhealthy => "UNHEALTHY",
            Health::Draining => "DRAINING",
        };
        object!({
            "address": address(&host.endpoint.address),
            "health_status": { "eds_health_status": health, "failed_outlier_check": host.is_ejected() },
            "weight": host.endpoint.weight,
            "stats": [{ "name": "rq_active", "value": host.active().to_string(), "type": "GAUGE" }],
        })
    });
    let hosts: Vec<Json> = hosts.collect();
    object!({ "name": &*entry.cluster.name, "added_via_api": true, "host_statuses": hosts })
}

fn address(address: &EndpointAddress) -> Json {
    let socket = |ip: String, port: u16| object!({ "socket_address": { "address": ip, "port_value": port } });
    match address {
        EndpointAddress::Hbone { target, .. } => object!({
            "envoy_internal_address": { "server_listener_name": "connect_originate", "endpoint_id": target.to_string() }
        }),
        EndpointAddress::DoubleHbone { gateway, target } => object!({
            "envoy_internal_address": {
                "server_listener_name": "inner_connect_originate",
                "endpoint_id": format!("{gateway}/{target}"),
            }
        }),
        EndpointAddress::Direct { address, .. } => socket(address.ip().to_string(), address.port()),
        EndpointAddress::Host { name, port } => socket(name.to_string(), *port),
    }
}

fn address_text(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Hbone { target, .. } => format!("envoy://connect_originate/{target}"),
        EndpointAddress::DoubleHbone { gateway, .. } => format!("envoy://inner_connect_originate/{gateway}"),
        EndpointAddress::Direct { address, .. } => address.to_string(),
        EndpointAddress::Host { name, port } => format!("{name}:{port}"),
    }
}

pub(super) fn listeners(surfaces: &Surfaces, request: &AdminRequest) -> AdminResponse {
    let names: Vec<String> =
        surfaces.raw.resources(xds_client::type_url::LISTENER).into_iter().map(|(name, _)| name).collect();
    if request.query("format").as_deref() == Some("json") {
        let statuses: Vec<Json> = names.iter().map(|name| object!({ "name": name })).collect();
        return json(&object!({ "listener_statuses": statuses }));
    }
    text(StatusCode::OK, names.iter().map(|name| format!("{name}\n")).collect::<String>())
}

pub(super) fn certs(surfaces: &Surfaces, _: &AdminRequest) -> AdminResponse {
    let process = &surfaces.process;
    let certificates: Vec<Json> = process
        .secrets
        .current(&process.identity)
        .into_iter()
        .map(|identity| {
            let certificate = identity.certificate();
            object!({ "cert_chain": [{
            "serial_number": certificate.serial,
            "subject_alt_names": [{ "uri": certificate.identity.as_str() }],
            "valid_from": timestamp(certificate.not_before),
            "expiration_time": timestamp(certificate.not_after),
        }] })
        })
        .collect();
    json(&object!({ "certificates": certificates }))
}

/// Names and values of what Envoy counts and we count too.
fn counters(surfaces: &Surfaces) -> Vec<(&'static str, u64)> {
    let xds = &surfaces.xds;
    let snapshot = surfaces.snapshot();
    let exports = &surfaces.process.exports;
    let ((spans_sent, spans_lost), (otel_logs, otel_logs_lost), (grpc_logs, grpc_logs_lost)) =
        (exports.spans.totals(), exports.otel_logs.totals(), exports.grpc_logs.totals());
    let warming = snapshot.clusters.values().filter(|entry| entry.is_warming()).count();
    vec![
        ("cluster_manager.active_clusters", snapshot.clusters.len() as u64),
        ("cluster_manager.warming_clusters", warming as u64),
        ("control_plane.rejected_resources", xds.rejected.load(Ordering::Relaxed)),
        ("control_plane.responses", xds.responses.load(Ordering::Relaxed)),
        (
            "http.connect_terminate.downstream_rq_active",
            surfaces.process.tunnels.load(Ordering::Relaxed) as u64,
        ),
        ("server.live", u64::from(state(surfaces) == "LIVE")),
        ("server.uptime", surfaces.process.started.elapsed().as_secs()),
        ("workloads.known", snapshot.workloads.len() as u64),
        ("access_log.dropped_lines", surfaces.process.logs.dropped()),
        ("access_logs.grpc_access_log.logs_dropped", grpc_logs_lost),
        ("access_logs.grpc_access_log.logs_written", grpc_logs),
        ("access_logs.open_telemetry_access_log.logs_dropped", otel_logs_lost),
        ("access_logs.open_telemetry_access_log.logs_written", otel_logs),
        ("tracing.spans_dropped", spans_lost),
        ("tracing.spans_sent", spans_sent),
    ]
}

pub(super) fn stats(surfaces: &Surfaces, request: &AdminRequest) -> AdminResponse {
    let counters = counters(surfaces);
    if request.query("format").as_deref() == Some("json") {
        let stats: Vec<Json> =
            counters.iter().map(|(name, value)| object!({ "name": name, "value": value })).collect();
        return json(&object!({ "stats": stats }));
    }
    if request.query("format").as_deref() == Some("prometheus") {
        return text(StatusCode::OK, prometheus(surfaces));
    }
    text(
        StatusCode::OK,
        counters.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>(),
    )
}

/// The mesh's metrics, then ours under our own prefix.
pub(super) fn prometheus(surfaces: &Surfaces) -> String {
    let mut out = surfaces.process.metrics.exposition().unwrap_or_else(|error| format!("# {error}\n"));
    for (name, value) in counters(surfaces) {
        let name = name.replace('.', "_");
        let _ = writeln!(out, "# TYPE fairway_{name} gauge\nfairway_{name} {value}");
    }
    out
}

/// From the kernel: an allocator's own numbers would not include what it keeps.
pub(super) fn memory(_: &Surfaces, _: &AdminRequest) -> AdminResponse {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let bytes = resident.unwrap_or(0) * 1024;
    json(&object!({ "allocated": bytes.to_string(), "heap_size": bytes.to_string() }))
}

/// We have no runtime flags; the page exists because bug reports fetch it.
pub(super) fn runtime(_: &Surfaces, _: &AdminRequest) -> AdminResponse {
    json(&object!({ "layers": [], "entries": {} }))
}
