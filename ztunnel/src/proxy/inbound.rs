//! Tunnels that arrive at our pod on 15008: mTLS, HTTP/2 CONNECT, then per stream the checks in ztunnel's order.
//!
//! Answers: 400 for what cannot be meant for this pod, 401 for what policies deny, 503 for what cannot be reached, else 200.
//! Invariant: nothing is connected before policies allowed it, and a 200 is sent only when the application is there.

use crate::limits;
use crate::proxy::connections::{ConnectionView, Listed};
use crate::proxy::headers::{baggage, forwarded_host, insert};
use crate::proxy::pod::Pod;
use crate::proxy::proxy_protocol;
use crate::proxy::relay::relay;
use crate::proxy::workers::Worker;
use crate::rbac::{self, Connection, Denied};
use crate::select::{Authority, InboundTarget, Rejected, inbound, inbound_service};
use crate::sockets::prepare;
use crate::state::{NetworkAddress, Snapshot, Workload};
use crate::telemetry::{Direction, Ends, Failure, Record};
use http::{HeaderMap, StatusCode};
use mesh::hbone::{self, ConnectStream, Peer};
use mesh::tls;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

pub(super) async fn serve(pod: Arc<Pod>, worker: Worker, stream: StdStream, remote: SocketAddr) {
    let started = Instant::now();
    let _in_flight = pod.mesh.drain.guard();
    tokio::select! {
        () = pod.is_gone.started() => {}
        result = connection(&pod, worker, stream, remote) => if let Err(failure) = result {
            let ends = Ends { source: remote, ..ends(&pod, remote) };
            Record::new(ends, &pod.mesh.metrics, started).finish(Err(&failure));
        },
    }
}

/// One connection of a peer proxy, until its last stream ended.
async fn connection(
    pod: &Arc<Pod>,
    worker: Worker,
    stream: StdStream,
    remote: SocketAddr,
) -> Result<(), Failure> {
    let stream = prepare(stream).map_err(Failure::Downstream)?;
    let local = stream.local_addr().map_err(Failure::Downstream)?;
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    let workload = pod.workload().await?;
    let identity = pod.mesh.secrets.identity(&workload.identity).await;
    let identity = identity.map_err(|error| Failure::Identity(error.to_string()))?;
    let (stream, peer) = tls::accept(identity.server_config(), stream).await.map_err(Failure::Tls)?;
    let peer = Peer { remote, local, identity: Some(peer) };
    let on_connect = |connect: ConnectStream| {
        let pod = pod.clone();
        worker.spawn(async move {
            let _in_flight = pod.mesh.drain.guard();
            Tunnel::new(pod, &connect).run(connect).await;
        });
    };
    let served =
        hbone::serve(stream, peer, &pod.mesh.settings.server, pod.mesh.drain.clone(), on_connect).await;
    served.map_err(|error| Failure::Http2(error.to_string()))
}

fn ends(pod: &Pod, remote: SocketAddr) -> Ends {
    Ends {
        direction: Direction::Inbound,
        source: remote,
        source_workload: None,
        source_identity: None,
        destination: remote,
        hbone_target: None,
        destination_workload: pod.find_workload(&pod.mesh.store.load()).cloned(),
        destination_identity: None,
        service: None,
    }
}

/// One CONNECT.
struct Tunnel {
    pod: Arc<Pod>,
    peer: Arc<Peer>,
    authority: String,
    /// What the client addressed, as it says; for telemetry.
    named: Option<String>,
    started: Instant,
}

/// What a tunnel needs to start.
struct Open {
    workload: Arc<Workload>,
    upstream: TcpStream,
    _listed: Listed,
    revoked: oneshot::Receiver<()>,
}

impl Tunnel {
    fn new(pod: Arc<Pod>, connect: &ConnectStream) -> Self {
        let named = forwarded_host(connect.headers()).map(str::to_owned);
        let (peer, authority) = (connect.peer().clone(), connect.authority().to_owned());
        Self { pod, peer, authority, named, started: Instant::now() }
    }

    async fn run(self, connect: ConnectStream) {
        let mut ends = self.ends();
        let opened = tokio::select! {
            opened = self.open(&mut ends) => opened,
            () = self.pod.is_gone.started() => Err(Failure::PodGone),
        };
        let metrics = self.pod.mesh.metrics.clone();
        let record = Record::new(ends, &metrics, self.started);
        let open = match opened {
            Ok(open) => open,
            Err(failure) => {
                record.finish(Err(&failure));
                return connect.refuse(status(&failure), HeaderMap::new());
            }
        };
        let mut headers = HeaderMap::new();
        if self.pod.mesh.settings.response_baggage {
            insert(&mut headers, "baggage", &baggage(&open.workload));
        }
        match connect.accept(headers) {
            Ok(stream) => relay(&self.pod, (stream, open.upstream), record, Some(open.revoked)).await,
            Err(error) => record.finish(Err(&Failure::Answer(error.to_string()))),
        }
    }

    /// The checks, in order, and the connection to the application. Fills in `ends` as far as it gets.
    async fn open(&self, ends: &mut Ends) -> Result<Open, Failure> {
        let authority =
            Authority::parse(&self.authority).ok_or_else(|| Failure::Authority(self.authority.clone()))?;
        let workload = self.pod.workload().await?;
        let target = {
            let snapshot = self.pod.mesh.store.load();
            ends.destination_identity = Some(workload.identity.clone());
            ends.source_workload = self.source_workload(&snapshot, &workload);
            let target = inbound(&snapshot, &workload, self.peer.local.ip(), &authority)?;
            let port = target.destination.port();
            let named = || inbound_service(&snapshot, &workload, self.named.as_deref(), port).cloned();
            ends.service = target.service.clone().or_else(named);
            target
        };
        let connection = Connection {
            source: self.peer.remote,
            identity: self.peer.identity.clone(),
            destination: target.destination,
        };
        let view = ConnectionView {
            inbound: true,
            source: self.peer.remote,
            original_destination: Some(self.authority.clone()),
            destination: target.destination,
            hbone: true,
        };
        let (listed, revoked) = authorize(&self.pod, &workload, view, connection).await?;
        let upstream = self.connect(&target).await?;
        Ok(Open { workload, upstream, _listed: listed, revoked })
    }

    async fn connect(&self, target: &InboundTarget) -> Result<TcpStream, Failure> {
        let Some(announced) = target.proxy_protocol else {
            return connect_to_application(&self.pod, target.destination, Some(self.peer.remote.ip())).await;
        };
        let (address, source) = if self.pod.mesh.settings.localhost_app_tunnel {
            (SocketAddr::new(loopback(target.destination.ip()), target.destination.port()), None)
        } else {
            (target.destination, Some(self.peer.remote.ip()))
        };
        let mut stream = connect_to_application(&self.pod, address, source).await?;
        let header = proxy_protocol::header(self.peer.remote, announced, self.peer.identity.as_ref());
        stream.write_all(&header).await.map_err(Failure::Upstream)?;
        Ok(stream)
    }

    fn ends(&self) -> Ends {
        Ends {
            source_identity: self.peer.identity.clone(),
            destination: self.peer.local,
            hbone_target: Some(self.authority.clone()),
            ..ends(&self.pod, self.peer.remote)
        }
    }

    /// The peer's workload, where the address it came from and the identity it proved agree.
    fn source_workload(&self, snapshot: &Snapshot, own: &Workload) -> Option<Arc<Workload>> {
        let address = NetworkAddress { network: own.network.clone(), ip: self.peer.remote.ip() };
        let found = snapshot.workload_by_address(&address)?;
        (Some(&found.identity) == self.peer.identity.as_ref()).then(|| found.clone())
    }
}

fn loopback(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::Authority(_) | Failure::Rejected(Rejected::AddressMismatch { .. }) => {
            StatusCode::BAD_REQUEST
        }
        Failure::Denied(_) => StatusCode::UNAUTHORIZED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Lists the connection, then asks the policies; a policy that has yet to arrive is waited for.
pub(super) async fn authorize(
    pod: &Pod,
    workload: &Arc<Workload>,
    view: ConnectionView,
    connection: Connection,
) -> Result<(Listed, oneshot::Receiver<()>), Failure> {
    let listed = pod.connections.inbound(view, connection.clone());
    let judge = |snapshot: &Snapshot| {
        let own = pod.find_workload(snapshot).unwrap_or(workload);
        rbac::authorize(snapshot, own, &connection)
    };
    let mut verdict = judge(&pod.mesh.store.load());
    if matches!(verdict, Err(Denied::Unknown(_))) {
        let known = |snapshot: &Snapshot| match judge(snapshot) {
            Err(Denied::Unknown(_)) => None,
            verdict => Some(verdict),
        };
        verdict = pod.mesh.store.wait(limits::POLICY_WAIT, known).await.unwrap_or(verdict);
    }
    verdict?;
    Ok(listed)
}

/// Connects inside the pod, from the client's address, so that the application sees who calls.
pub(super) async fn connect_to_application(
    pod: &Pod,
    address: SocketAddr,
    source: Option<IpAddr>,
) -> Result<TcpStream, Failure> {
    pod.sockets.connect(address, source).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Connect(error),
    })
}
