//! Connections our pod makes: captured on 15001, sent where `select` says.
//!
//! Invariant: until the upstream answered, no byte of the application was sent anywhere; so a failed try at one endpoint may be
//! followed by a try at the next.

use crate::limits;
use crate::proxy::connections::ConnectionView;
use crate::proxy::headers::{baggage, forwarded, insert, traceparent};
use crate::proxy::pod::Pod;
use crate::proxy::relay::{Abort, relay};
use crate::proxy::workers::Worker;
use crate::select::{Host, Request, Route, Transport, is_own_port, select};
use crate::sockets::prepare;
use crate::state::Workload;
use crate::telemetry::{Direction, Ends, Failure, Record};
use http::{HeaderMap, StatusCode};
use mesh::hbone::{ConnectError, PoolKey, TunnelStream};
use mesh::net::original_dst;
use mesh::tls::ExpectedPeer;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// The upstream, ready for bytes.
enum Upstream {
    Plain(TcpStream),
    Tunnel(TunnelStream),
}

/// One captured connection.
struct Outbound {
    pod: Arc<Pod>,
    worker: Worker,
    client: SocketAddr,
    destination: SocketAddr,
    source: Arc<Workload>,
    started: Instant,
}

pub(super) async fn serve(pod: Arc<Pod>, worker: Worker, stream: StdStream, client: SocketAddr) {
    let started = Instant::now();
    let _in_flight = pod.mesh.drain.guard();
    let mut stream = match prepare(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "client left before its connection was served"),
    };
    let destination = destination_of(&stream);
    let opened = async {
        let destination = destination.map_err(Failure::OriginalDestination)?;
        let local = stream.local_addr().map_err(Failure::OriginalDestination)?.ip().to_canonical();
        if is_own_port(destination.port()) && (destination.ip().is_loopback() || destination.ip() == local) {
            return Err(Failure::SelfCall);
        }
        Ok((pod.workload().await?, destination))
    };
    let gone = pod.is_gone.started();
    let opened = tokio::select! {
        opened = opened => opened,
        () = gone => Err(Failure::PodGone),
    };
    match opened {
        Ok((source, destination)) => {
            Outbound { pod, worker, client, destination, source, started }.run(stream).await;
        }
        Err(failure) => {
            let ends = Ends { destination_workload: None, ..unknown(client, client) };
            Record::new(ends, &pod.mesh.metrics, started).finish(Err(&failure));
            stream.abort();
        }
    }
}

/// Where the application wanted to go. Not redirected means that it called our port by itself.
pub(super) fn destination_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    let address = original_dst(stream).or_else(|_| stream.local_addr())?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn unknown(source: SocketAddr, destination: SocketAddr) -> Ends {
    Ends {
        direction: Direction::Outbound,
        source,
        source_workload: None,
        source_identity: None,
        destination,
        hbone_target: None,
        destination_workload: None,
        destination_identity: None,
        service: None,
    }
}

impl Outbound {
    async fn run(self, mut stream: TcpStream) {
        let connected = tokio::select! {
            connected = self.connect() => connected,
            () = self.pod.is_gone.started() => Err((Failure::PodGone, None)),
        };
        match connected {
            Ok((route, remote, upstream)) => {
                let ends = self.ends(Some(&route), remote);
                let record = Record::new(ends, &self.pod.mesh.metrics, self.started);
                let _listed = self.pod.connections.outbound(ConnectionView {
                    inbound: false,
                    source: self.client,
                    original_destination: Some(self.destination.to_string()),
                    destination: remote,
                    hbone: matches!(upstream, Upstream::Tunnel(_)),
                });
                match upstream {
                    Upstream::Plain(upstream) => relay(&self.pod, (stream, upstream), record, None).await,
                    Upstream::Tunnel(upstream) => relay(&self.pod, (stream, upstream), record, None).await,
                }
            }
            Err((failure, route)) => {
                let remote = route.as_ref().and_then(known_address).unwrap_or(self.destination);
                let record =
                    Record::new(self.ends(route.as_ref(), remote), &self.pod.mesh.metrics, self.started);
                record.finish(Err(&failure));
                stream.abort();
            }
        }
    }

    /// Tries endpoints until one answers.
    async fn connect(&self) -> Result<(Route, SocketAddr, Upstream), (Failure, Option<Route>)> {
        let mut excluded: Vec<Arc<str>> = Vec::new();
        let mut last: Option<(Failure, Option<Route>)> = None;
        for attempt in 1..=limits::CONNECT_ATTEMPTS {
            let request =
                Request { source: &self.source, destination: self.destination, excluded: &excluded };
            let selected = select(&self.pod.mesh.store.load(), &request, &mut fastrand::f64);
            let route = match (selected, last.take()) {
                (Ok(route), _) => route,
                // No endpoint is left: what the last one said tells more.
                (Err(_), Some(last)) => return Err(last),
                (Err(refusal), None) => return Err((refusal.into(), None)),
            };
            let failure = match self.open(&route).await {
                Ok((remote, upstream)) => return Ok((route, remote, upstream)),
                Err(failure) => failure,
            };
            let uid = route.workload.as_ref().map(|workload| workload.uid.clone());
            let over = attempt == limits::CONNECT_ATTEMPTS || self.started.elapsed() > limits::CONNECT_BUDGET;
            match uid {
                // The same workload again would be the same failure: there was no choice to make.
                Some(uid) if !over && may_try_another(&failure) && !excluded.contains(&uid) => {
                    tracing::debug!(workload = %uid, %failure, "endpoint failed, trying another");
                    excluded.push(uid);
                    last = Some((failure, Some(route)));
                }
                _ => return Err((failure, Some(route))),
            }
        }
        last.map_or_else(|| unreachable!("every attempt returns or leaves its failure"), Err)
    }

    async fn open(&self, route: &Route) -> Result<(SocketAddr, Upstream), Failure> {
        let remote = SocketAddr::new(self.resolve(&route.host).await?, route.port);
        let Transport::Hbone { target, expected, .. } = &route.transport else {
            let stream =
                self.pod.sockets.connect(remote, None).await.map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => Failure::ConnectTimeout,
                    _ => Failure::Connect(error),
                })?;
            return Ok((remote, Upstream::Plain(stream)));
        };
        let workload = route.workload.as_ref();
        let key = PoolKey {
            remote,
            source: self.source.identity.clone(),
            expected: ExpectedPeer::Exact(expected.clone()),
            // The kernel picks the pod's address; spoofing is for the inbound side.
            source_ip: None,
            workload_uid: workload.map(|workload| workload.uid.clone()).unwrap_or_default(),
        };
        let pool = self.pod.pool(&self.worker);
        let tunnel =
            pool.connect(&key, &target.to_string(), self.headers(route)).await.map_err(
                |error| match error {
                    ConnectError::DialTimeout => Failure::TunnelTimeout,
                    error => Failure::Tunnel(error),
                },
            )?;
        Ok((remote, Upstream::Tunnel(tunnel.stream)))
    }

    async fn resolve(&self, host: &Host) -> Result<std::net::IpAddr, Failure> {
        match host {
            Host::Ip(ip) => Ok(*ip),
            Host::Name(name) => {
                self.pod.mesh.metrics.on_demand_dns.inc();
                let (ipv4, random) = (self.destination.is_ipv4(), fastrand::f64());
                let resolved = self.pod.mesh.resolver.resolve(name, ipv4, random).await;
                resolved.map_err(|error| Failure::Resolve(name.to_string(), error))
            }
        }
    }

    fn headers(&self, route: &Route) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(3);
        insert(&mut headers, "baggage", &baggage(&self.source));
        let host = route.service.as_ref().map(|service| &*service.hostname);
        insert(&mut headers, "forwarded", &forwarded(self.client, host));
        insert(&mut headers, "traceparent", &traceparent(fastrand::u128(..), fastrand::u64(..)));
        headers
    }

    fn ends(&self, route: Option<&Route>, remote: SocketAddr) -> Ends {
        let mut ends = Ends { source_workload: Some(self.source.clone()), ..unknown(self.client, remote) };
        let Some(route) = route else { return ends };
        ends.destination_workload.clone_from(&route.workload);
        ends.service.clone_from(&route.service);
        if let Transport::Hbone { target, .. } = &route.transport {
            ends.source_identity = Some(self.source.identity.clone());
            ends.destination_identity = route.workload.as_ref().map(|workload| workload.identity.clone());
            ends.hbone_target = Some(target.to_string());
        }
        ends
    }
}

fn known_address(route: &Route) -> Option<SocketAddr> {
    match route.host {
        Host::Ip(ip) => Some(SocketAddr::new(ip, route.port)),
        Host::Name(_) => None,
    }
}

/// Failures of the endpoint, not of the request or of us.
fn may_try_another(failure: &Failure) -> bool {
    match failure {
        Failure::Connect(_) | Failure::ConnectTimeout | Failure::TunnelTimeout | Failure::Resolve(..) => true,
        Failure::Tunnel(error) => match error {
            // A policy's answer, or a complaint about the request, would be the same elsewhere.
            ConnectError::Refused(status) => *status == StatusCode::SERVICE_UNAVAILABLE,
            ConnectError::Identity(_) | ConnectError::Authority(_) => false,
            _ => true,
        },
        _ => false,
    }
}
