//! Whether the proxies have heard of what is ready. istiod tells them in batches, some 100 ms after a pod's readiness; until
//! then requests to it fail although every pod is up, and "ready" would be a lie.
//!
//! The proxies are asked on their admin ports, from inside their own network namespaces, which is where those listen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::Agent;
use crate::cluster::Store;
use crate::cluster::endpoints::SERVICE_LABEL;
use crate::cluster::gateway::NAME_LABEL;
use crate::cluster::workloads::is_ready;
use crate::limits::{PROXY_ANSWER_MAX, PROXY_DEADLINE};
use crate::manifest::Object;
use crate::manifest::kinds::{ENDPOINT_SLICE, POD};
use crate::node::netns::NetNs;

const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 15000);

/// What a proxy has to say before it counts as told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Uids of ready pods, as istiod makes them.
    workloads: BTreeSet<String>,
    /// Ready addresses of each Service, by host name.
    services: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ztunnel,
    Waypoint,
}

/// A running proxy, and where it can be asked.
pub(super) struct Proxy {
    kind: Kind,
    netns: Arc<NetNs>,
}

pub(super) fn expected(store: &Store) -> Expected {
    let ready = store.of_kind(&POD).filter(|pod| is_ready(pod) && !pod.is_terminating());
    let workloads =
        ready.map(|pod| format!("Kubernetes//Pod/{}/{}", pod.key.namespace, pod.key.name)).collect();
    let mut services: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for slice in store.of_kind(&ENDPOINT_SLICE) {
        let Some(name) = slice.label(SERVICE_LABEL) else { continue };
        let host = format!("{name}.{}.svc.cluster.local", slice.key.namespace);
        let ready = slice.array("/endpoints").iter().filter(|e| e["conditions"]["ready"] == true);
        services.entry(host).or_default().extend(ready.filter_map(|e| e["addresses"][0].as_str()));
    }
    Expected { workloads, services: services.into_iter().map(|(host, ips)| (host, ips.len())).collect() }
}

impl Agent {
    pub(super) fn proxies(&self) -> Vec<Proxy> {
        let proxy = |pod: &Object| {
            let kind = match (pod.label("app"), pod.label(NAME_LABEL)) {
                (Some("ztunnel"), _) => Kind::Ztunnel,
                (_, Some(_)) => Kind::Waypoint,
                _ => return None,
            };
            let netns = self.running.get(pod.uid())?.pod()?.netns()?.clone();
            Some(Proxy { kind, netns })
        };
        self.store
            .of_kind(&POD)
            .filter(|pod| is_ready(pod) && !pod.is_terminating())
            .filter_map(proxy)
            .collect()
    }
}

/// Asks each proxy once.
pub(super) async fn everywhere(proxies: Vec<Proxy>, expected: Expected) -> bool {
    for proxy in proxies {
        match proxy.knows(&expected).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::debug!(%error, kind = ?proxy.kind, "a proxy cannot be asked");
                return false;
            }
        }
    }
    true
}

impl Proxy {
    async fn knows(&self, expected: &Expected) -> anyhow::Result<bool> {
        let path = match self.kind {
            Kind::Ztunnel => "/config_dump",
            Kind::Waypoint => "/clusters?format=json",
        };
        let answer = tokio::time::timeout(PROXY_DEADLINE, get(&self.netns, path)).await??;
        let answer: Value = serde_json::from_slice(&answer)?;
        Ok(match self.kind {
            Kind::Ztunnel => ztunnel_knows(&answer, expected),
            Kind::Waypoint => waypoint_knows(&answer, expected),
        })
    }
}

fn ztunnel_knows(dump: &Value, expected: &Expected) -> bool {
    let workloads = dump["workloads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let healthy: BTreeSet<&str> =
        workloads.iter().filter(|w| w["status"] == "Healthy").filter_map(|w| w["uid"].as_str()).collect();
    expected.workloads.iter().all(|uid| healthy.contains(uid.as_str()))
}

/// Of the services it has: which those should be is istiod's affair, and a ready waypoint has them all.
fn waypoint_knows(clusters: &Value, expected: &Expected) -> bool {
    let clusters = clusters["cluster_statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    clusters.iter().all(|cluster| {
        let mut parts = cluster["name"].as_str().unwrap_or_default().split('|');
        let (Some("inbound-vip"), Some(_port), Some("http" | "tcp"), Some(host)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return true;
        };
        let known = cluster["host_statuses"].as_array().map_or(0, Vec::len);
        expected.services.get(host).is_none_or(|&ready| known >= ready)
    })
}

async fn get(netns: &Arc<NetNs>, path: &str) -> anyhow::Result<Vec<u8>> {
    let netns = Arc::clone(netns);
    let stream = tokio::task::spawn_blocking(move || netns.tcp_connect(ADMIN, PROXY_DEADLINE)).await??;
    stream.set_nonblocking(true)?;
    let stream = TokioIo::new(TcpStream::from_std(stream)?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let body = Limited::new(response.into_body(), PROXY_ANSWER_MAX).collect().await;
    driver.abort();
    Ok(body.map_err(|error| anyhow::anyhow!(error))?.to_bytes().to_vec())
}

#[cfg(test)]
mod tests;
