//! Streams istiod sent a ztunnel, applied response by response; after each step the state is compared with
//! `goldens/SCENARIO.txt`. `UPDATE_EXPECT=1 cargo test` rewrites the files: read the difference before keeping it.
#![allow(clippy::unwrap_used)] // the functions the tests share panic as the tests would

use expect_test::expect_file;
use prost::Message;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use xds_client::client::Handler;
use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use ztunnel::state::{Policy, Service, Snapshot, Store, Workload};
use ztunnel::telemetry::Metrics;
use ztunnel::xds::Updates;

const STEP: &str = "type.googleapis.com/render.StepMarker";

fn workload(workload: &Workload) -> String {
    let mut line = format!("  {} {:?} {}", workload.uid, workload.addresses, workload.identity);
    write!(line, " {:?}{}", workload.protocol, if workload.healthy { "" } else { " unhealthy" }).unwrap();
    if let Some(waypoint) = &workload.waypoint {
        write!(line, " waypoint {}", waypoint.destination).unwrap();
    }
    if !workload.authorization_policies.is_empty() {
        write!(line, " policies {}", workload.authorization_policies.join(" ")).unwrap();
    }
    line
}

fn service(snapshot: &Snapshot, service: &Service) -> String {
    let vips: Vec<_> = service.vips.iter().map(ToString::to_string).collect();
    let mut line = format!("  {} [{}] {:?}", service.key, vips.join(" "), service.ports);
    if let Some(waypoint) = &service.waypoint {
        write!(line, " waypoint {}", waypoint.destination).unwrap();
    }
    for (waypoint, weight) in &service.weighted_waypoints {
        write!(line, " {weight} to {}", waypoint.destination).unwrap();
    }
    let mut endpoints: Vec<_> =
        snapshot.endpoints(service).map(|workload| workload.name.to_string()).collect();
    endpoints.sort();
    write!(line, " endpoints {}", endpoints.join(" ")).unwrap();
    line
}

fn policy(policy: &Policy) -> String {
    format!("  {} {:?} {:?} {:?}", policy.key, policy.scope, policy.action, policy.rules)
}

fn section(out: &mut String, title: &str, mut lines: Vec<String>) {
    lines.sort();
    if !lines.is_empty() {
        writeln!(out, "{title}\n{}", lines.join("\n")).unwrap();
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    section(&mut out, "workloads", snapshot.workloads().map(|it| workload(it)).collect());
    section(&mut out, "services", snapshot.services().map(|it| service(snapshot, it)).collect());
    section(&mut out, "policies", snapshot.policies().map(|it| policy(it)).collect());
    section(&mut out, "staged", snapshot.staged().map(|(key, _)| format!("  {key}")).collect());
    let named_but_missing = snapshot.workloads().filter_map(|it| snapshot.missing_policy(it));
    section(&mut out, "missing policies", named_but_missing.map(|key| format!("  {key}")).collect());
    out
}

fn responses(path: &Path) -> Vec<DeltaDiscoveryResponse> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &*bytes;
    let mut responses = Vec::new();
    while !rest.is_empty() {
        responses.push(DeltaDiscoveryResponse::decode_length_delimited(&mut rest).unwrap());
    }
    responses
}

fn replay(name: &str) {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let stream = package.join("../conformance/goldens").join(name).join("ztunnel/stream.binpb");
    let store = Arc::new(Store::new(Snapshot::new("node-a")));
    let (removed, mut gone) = mpsc::unbounded_channel();
    let mut updates =
        Updates::new("node-a", (store.clone(), Metrics::new("test")), None, removed, Vec::new());
    let (mut out, mut step) = (String::new(), None);
    let mut finish = |step: &mut Option<String>, next: Option<String>| {
        if let Some(step) = std::mem::replace(step, next) {
            write!(out, "== {step}\n{}", describe(&store.load())).unwrap();
            while let Ok(uid) = gone.try_recv() {
                writeln!(out, "gone {uid}").unwrap();
            }
        }
    };
    for response in responses(&stream) {
        if response.type_url == STEP {
            finish(&mut step, Some(response.system_version_info.clone()));
        } else {
            let rejections = updates.apply(&response);
            assert!(rejections.is_empty(), "{name}: {rejections:?}");
        }
    }
    finish(&mut step, None);
    expect_file![package.join(format!("tests/goldens/{name}.txt"))].assert_eq(&out);
}

#[test]
fn bookinfo() {
    replay("01-bookinfo-no-routes");
}

#[test]
fn allow_policies() {
    replay("07-authz-allow");
}

#[test]
fn deny_policies() {
    replay("08-authz-deny-audit-empty");
}

#[test]
fn canary_waypoint() {
    replay("19-canary-waypoint");
}

#[test]
fn churn() {
    replay("24-churn");
}

#[test]
fn tenants() {
    replay("26c-bank-tenants");
}
