//! What operators and their tools see: Envoy's admin API as far as istioctl and Kiali read it, health, metrics.
//!
//! Ports are Istio's: 15000 admin (loopback), 15020 metrics and agent, 15021 health, 15090 Envoy's metrics.

mod dump;
mod pages;

use crate::config::Ports;
use crate::proxy::worker::Process;
use mesh::admin::{Admin, AdminRequest};
use mesh::lifecycle::{DrainTrigger, DrainWatch, Readiness};
use mesh::log::LogHandle;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::Notify;
use waypoint_core::store::Snapshot;
use xds_client::cache::RawCache;
use xds_client::client::Stats;
use xds_client::proto::envoy::envoy::config::core::v3::Node;

/// Everything the surfaces read.
pub struct Surfaces {
    pub process: Arc<Process>,
    pub readiness: Readiness,
    pub raw: RawCache,
    pub xds: Arc<Stats>,
    pub node: Node,
    pub log: LogHandle,
    pub quit: Arc<Notify>,
    pub drain: DrainTrigger,
}

impl Surfaces {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.process.snapshots.load_full()
    }
}

/// Opens all ports and serves them until `end`.
///
/// # Errors
/// When a port is taken.
pub async fn serve(surfaces: &Arc<Surfaces>, ports: Ports, end: &DrainWatch) -> io::Result<()> {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let tables = [
        (loopback, ports.admin, admin(surfaces)),
        (any, ports.agent, agent(surfaces)),
        (any, ports.health, ready(Admin::new(), surfaces)),
        (any, ports.prometheus, metrics(Admin::new(), surfaces)),
    ];
    for (ip, port, table) in tables {
        let bound = match table.clone().bind(SocketAddr::new(ip, port)).await {
            // A kernel without IPv6 still has probes.
            Err(_) if ip.is_ipv6() => {
                table.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await?
            }
            bound => bound?,
        };
        tokio::spawn(bound.serve(end.clone()));
    }
    Ok(())
}

fn admin(surfaces: &Arc<Surfaces>) -> Admin {
    let mut table = Admin::new();
    type Page = fn(&Surfaces, &AdminRequest) -> mesh::admin::AdminResponse;
    let pages: [(&str, Page); 11] = [
        ("/", pages::index),
        ("/help", pages::index),
        ("/ready", pages::live),
        ("/server_info", pages::server_info),
        ("/config_dump", dump::config_dump),
        ("/clusters", pages::clusters),
        ("/listeners", pages::listeners),
        ("/certs", pages::certs),
        ("/stats", pages::stats),
        ("/memory", pages::memory),
        ("/runtime", pages::runtime),
    ];
    for (path, page) in pages {
        let surfaces = surfaces.clone();
        table = table.get(path, move |request| {
            let answer = page(&surfaces, &request);
            async move { answer }
        });
    }
    let drained = surfaces.clone();
    let table = table.post("/drain_listeners", move |_| {
        drained.readiness.shut_down();
        drained.drain.start();
        async { mesh::admin::text(http::StatusCode::OK, "OK\n") }
    });
    quit(metrics(table, surfaces), surfaces).logging(surfaces.log.clone())
}

fn agent(surfaces: &Arc<Surfaces>) -> Admin {
    quit(ready(metrics(Admin::new(), surfaces), surfaces), surfaces)
}

fn ready(table: Admin, surfaces: &Arc<Surfaces>) -> Admin {
    table.ready("/healthz/ready", surfaces.readiness.clone(), http::StatusCode::SERVICE_UNAVAILABLE)
}

fn quit(table: Admin, surfaces: &Arc<Surfaces>) -> Admin {
    let quit = surfaces.quit.clone();
    table.quit(move || quit.notify_one())
}

fn metrics(table: Admin, surfaces: &Arc<Surfaces>) -> Admin {
    let surfaces = surfaces.clone();
    table.metrics(move |_| ("text/plain; version=0.0.4".to_owned(), pages::prometheus(&surfaces)))
}
