//! One pod of this node: its listeners, its pools, its open connections.

use crate::proxy::connections::Connections;
use crate::proxy::listener::accept;
use crate::proxy::resolver::Resolver;
use crate::proxy::workers::{Worker, Workers};
use crate::proxy::{inbound, outbound, passthrough};
use crate::select::{HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT};
use crate::sockets::Sockets;
use crate::state::{Snapshot, Store, Workload};
use crate::telemetry::{Failure, Metrics};
use crate::{limits, rbac};
use mesh::hbone::{Dial, Pool, PoolOptions, ServerOptions};
use mesh::lifecycle::{DrainTrigger, DrainWatch, drain};
use mesh::secrets::SecretStore;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream as TokioStream;

/// What all pods share.
#[derive(Debug)]
pub struct Mesh {
    pub store: Arc<Store>,
    pub secrets: SecretStore,
    pub metrics: Arc<Metrics>,
    pub workers: Arc<Workers>,
    /// Of the process.
    pub drain: DrainWatch,
    pub resolver: Resolver,
    pub settings: Settings,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// `ENABLE_RESPONSE_BAGGAGE`: the 200 to a CONNECT says who answers.
    pub response_baggage: bool,
    /// `LOCALHOST_APP_TUNNEL`: a sandwiched proxy is reached at loopback.
    pub localhost_app_tunnel: bool,
    pub pool: PoolOptions,
    pub server: ServerOptions,
}

/// As istio-cni names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodId {
    /// The Kubernetes uid, not the workload's.
    pub uid: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.service_account)
    }
}

pub struct Pod {
    pub id: PodId,
    pub mesh: Arc<Mesh>,
    pub sockets: Sockets,
    pub connections: Connections,
    /// By worker.
    pools: Box<[OnceLock<Pool<PodDial>>]>,
    /// Ends everything of this pod at once.
    gone: DrainTrigger,
    /// Started or not, `gone` as tasks see it.
    pub(super) is_gone: DrainWatch,
}

/// Why a pod's proxy could not start.
#[derive(Debug, thiserror::Error)]
#[error("failure to start proxy: listen on port {port}: {error}")]
pub struct StartError {
    pub port: u16,
    pub error: io::Error,
}

/// Tunnels leave from inside the pod.
#[derive(Clone, Debug)]
pub(super) struct PodDial(Sockets);

impl Dial for PodDial {
    async fn dial(&self, remote: SocketAddr, source_ip: Option<IpAddr>) -> io::Result<TokioStream> {
        self.0.dial(remote, source_ip).await
    }
}

impl Pod {
    /// Binds the pod's ports and serves them until [`Self::stop`] or the process drains.
    ///
    /// # Errors
    /// When a port cannot be bound; nothing is left behind then.
    pub async fn start(id: PodId, mesh: Arc<Mesh>, sockets: Sockets) -> Result<Arc<Self>, StartError> {
        let mut bound = Vec::new();
        for port in [OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT] {
            let address = SocketAddr::new(any_address(&sockets), port);
            let listener = sockets.listen(address).await.map_err(|error| StartError { port, error })?;
            bound.push((port, listener));
        }
        let pod = Self::new(id, mesh, sockets);
        for (port, listener) in bound {
            pod.clone().serve(port, listener);
        }
        let seed =
            usize::from(pod.id.uid.as_bytes().iter().fold(0_u8, |seed, byte| seed.wrapping_add(*byte)));
        pod.mesh.workers.for_service(seed).spawn_service(pod.clone().watch_policies());
        Ok(pod)
    }

    /// A pod without listeners.
    #[must_use]
    pub fn new(id: PodId, mesh: Arc<Mesh>, sockets: Sockets) -> Arc<Self> {
        let (gone, is_gone) = drain();
        let pools = (0..mesh.workers.count()).map(|_| OnceLock::new()).collect();
        Arc::new(Self { id, mesh, sockets, connections: Connections::default(), pools, gone, is_gone })
    }

    /// Serves one of the pod's ports on a listener.
    pub fn serve(self: Arc<Self>, port: u16, listener: std::net::TcpListener) {
        let workers = self.mesh.workers.clone();
        let watches = (self.mesh.drain.clone(), self.is_gone.clone());
        let seed = usize::from(port);
        workers.clone().for_service(seed).spawn_service(async move {
            let serve = |worker: &Worker, stream: TcpStream, from: SocketAddr| {
                let (pod, from) = (self.clone(), SocketAddr::new(from.ip().to_canonical(), from.port()));
                let on = worker.clone();
                match port {
                    OUTBOUND_PORT => worker.spawn(outbound::serve(pod, on, stream, from)),
                    INBOUND_PLAINTEXT_PORT => worker.spawn(passthrough::serve(pod, stream, from)),
                    _ => worker.spawn(inbound::serve(pod, on, stream, from)),
                }
            };
            accept(listener, workers, watches, serve).await;
        });
    }

    /// Ends every connection of the pod. Its namespace is usually gone already, so there is nobody to say goodbye to.
    pub fn stop(&self) {
        self.gone.start();
    }

    /// Starts when the pod is gone.
    #[must_use]
    pub fn gone(&self) -> DrainWatch {
        self.is_gone.clone()
    }

    /// The workload istiod says this pod is.
    pub fn find_workload<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<Workload>> {
        snapshot.pod(&self.id.namespace, &self.id.name, &self.id.service_account)
    }

    /// [`Self::find_workload`], waiting for istiod where it must.
    ///
    /// # Errors
    /// When istiod does not tell in time.
    pub async fn workload(&self) -> Result<Arc<Workload>, Failure> {
        let find = |snapshot: &Snapshot| self.find_workload(snapshot).cloned();
        let found = self.mesh.store.wait(limits::OWN_WORKLOAD_WAIT, find).await;
        found.ok_or_else(|| Failure::OwnWorkload(self.id.to_string()))
    }

    pub(super) fn pool(&self, worker: &Worker) -> &Pool<PodDial> {
        self.pools[worker.index()].get_or_init(|| {
            let (secrets, options) = (self.mesh.secrets.clone(), self.mesh.settings.pool.clone());
            Pool::new(PodDial(self.sockets.clone()), secrets, options)
        })
    }

    /// Drops pooled tunnels to a workload that is gone, before its address belongs to somebody else.
    pub fn evict(&self, workload_uid: &str) {
        for pool in self.pools.iter().filter_map(OnceLock::get) {
            pool.evict(workload_uid);
        }
    }

    /// Asks the policies again about every open inbound connection, whenever they or the workload changed.
    ///
    /// Differs from ztunnel: a policy newly attached to the workload closes connections too.
    pub async fn watch_policies(self: Arc<Self>) {
        let mut changes = self.mesh.store.changes();
        let mut judged: Option<(u64, Arc<Workload>)> = None;
        loop {
            tokio::select! {
                () = self.is_gone.started() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            let snapshot = self.mesh.store.load();
            let Some(own) = self.find_workload(&snapshot) else { continue };
            let version = snapshot.policies_version();
            let unchanged =
                |(last, workload): &(u64, Arc<Workload>)| *last == version && Arc::ptr_eq(workload, own);
            if judged.as_ref().is_some_and(unchanged) {
                continue;
            }
            let closed = self.connections.judge(|connection| rbac::authorize(&snapshot, own, connection));
            if closed > 0 {
                tracing::info!(pod = %self.id, closed, "connections closed due to policy change");
            }
            judged = Some((version, own.clone()));
        }
    }
}

/// Dual-stack where the node has IPv6.
fn any_address(sockets: &Sockets) -> IpAddr {
    if sockets.options().ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}
