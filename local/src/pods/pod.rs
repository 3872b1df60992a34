//! A pod from its namespace to its end: the handle everyone else holds.
//!
//! `create` makes everything but runs nothing, so that traffic can be captured before the first process opens a socket, as a
//! CNI plugin does; `start` runs the containers; `stop` ends them and removes what `create` made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::container::{Board, Container, Ending};
use super::exec::{self, ExecError, ExecRequest};
use super::log::ContainerLog;
use super::probe::Target;
use super::sandbox::{Names, Sandbox, SandboxError};
use super::spec::{
    ContainerSpec, PodEvent, PodEventKind, PodNetwork, PodSpec, PodStatus, Projection, VolumeSource,
};
use super::state::{self, Slot};
use super::volumes::{self, VolumeError};
use crate::limits::NETNS_LINGER;
use crate::node::netns::NetNs;
use crate::node::network::{Network, NetworkError};

/// When minting a token fails it is tried again while the old one is still valid.
const RENEWAL_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum PodError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("volume {name}: {error}")]
    Volume { name: String, error: VolumeError },
    #[error("{0}")]
    Kernel(#[from] std::io::Error),
}

/// Where pods run.
#[derive(Clone, Debug)]
pub struct PodHost {
    network: Network,
    dir: PathBuf,
    veths: Arc<AtomicU32>,
}

impl PodHost {
    /// `dir` holds the pods' files (logs, volumes); it should end with the node.
    #[must_use]
    pub fn new(network: Network, dir: PathBuf) -> Self {
        Self { network, dir, veths: Arc::default() }
    }
}

/// A handle; clones are the same pod.
#[derive(Clone, Debug)]
pub struct Pod {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spec: PodSpec,
    dir: PathBuf,
    network: Network,
    net: Arc<NetNs>,
    /// The node's end of the pair; `None` with hostNetwork.
    veth: Option<String>,
    /// Init containers first.
    containers: Vec<Arc<Container>>,
    board: Arc<Board>,
    /// What projected volumes show now.
    sources: Mutex<HashMap<String, Vec<Projection>>>,
    /// The containers' and volumes' tasks.
    tasks: Mutex<JoinSet<()>>,
    /// Whether it is all gone; held by the one who makes it so.
    stopped: tokio::sync::Mutex<bool>,
}

impl Pod {
    /// Makes namespaces, volumes and roots.
    pub async fn create(
        spec: PodSpec,
        host: &PodHost,
        events: mpsc::UnboundedSender<PodEvent>,
    ) -> Result<Self, PodError> {
        let dir = host.dir.join(&spec.uid);
        std::fs::create_dir_all(&dir)?;
        match Self::assemble(spec, host, dir.clone(), events).await {
            Ok(shared) => Ok(Self { shared: Arc::new(shared) }),
            Err(error) => {
                // The namespace and its link end with their last holder, which was dropped.
                let _ = std::fs::remove_dir_all(dir);
                Err(error)
            }
        }
    }

    async fn assemble(
        spec: PodSpec,
        host: &PodHost,
        dir: PathBuf,
        events: mpsc::UnboundedSender<PodEvent>,
    ) -> Result<Shared, PodError> {
        let network = host.network.clone();
        let (net, veth) = match spec.network {
            PodNetwork::Host => (Arc::clone(network.ns()), None),
            PodNetwork::Own(address) => {
                let net = NetNs::new()?;
                let veth = format!("veth{}", host.veths.fetch_add(1, Ordering::Relaxed));
                network.attach(&net, &veth, address).await?;
                (Arc::new(net), Some(veth))
            }
        };
        let board = Arc::new(Board {
            uid: spec.uid.clone(),
            status: watch::Sender::new(state::fresh(&spec)),
            ending: watch::Sender::new(Ending::No),
            events,
        });
        let maker = Maker {
            net: Arc::clone(&net),
            network: network.clone(),
            board: Arc::clone(&board),
            dir: dir.clone(),
        };
        // Mounting a root takes milliseconds of system calls.
        let (spec, containers) = tokio::task::spawn_blocking(move || {
            let containers = maker.containers(&spec);
            (spec, containers)
        })
        .await
        .map_err(std::io::Error::other)?;
        let containers = containers?;
        let sources = Mutex::new(projections(&spec));
        Ok(Shared {
            spec,
            dir,
            network,
            net,
            veth,
            containers,
            board,
            sources,
            tasks: Mutex::default(),
            stopped: Default::default(),
        })
    }

    /// Runs the containers, init containers first. To be called once.
    pub fn start(&self) {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.run().await });
        for (name, sources) in projections(&self.shared.spec) {
            if let Some(wait) = volumes::renew_after(&sources) {
                let shared = Arc::clone(&self.shared);
                self.spawn(async move { shared.renew(&name, wait).await });
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    #[must_use]
    pub fn spec(&self) -> &PodSpec {
        &self.shared.spec
    }

    #[must_use]
    pub fn status(&self) -> PodStatus {
        self.shared.board.status.borrow().clone()
    }

    /// The status and its changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<PodStatus> {
        self.shared.board.status.subscribe()
    }

    /// The pod's own network namespace; `None` with hostNetwork.
    #[must_use]
    pub fn netns(&self) -> Option<&Arc<NetNs>> {
        self.shared.veth.as_ref().map(|_| &self.shared.net)
    }

    #[must_use]
    pub fn veth(&self) -> Option<&str> {
        self.shared.veth.as_deref()
    }

    #[must_use]
    pub fn log(&self, container: &str) -> Option<&ContainerLog> {
        self.shared.containers.iter().find(|c| c.spec.name == container).map(|c| &c.log)
    }

    /// Runs a command in a container.
    pub async fn exec(&self, request: ExecRequest) -> Result<i32, ExecError> {
        let mut running = self.shared.containers.iter().filter(|c| !c.slot.init);
        let container = match &request.container {
            None => running.next().ok_or(ExecError::NotCreated)?,
            Some(name) => {
                running.find(|c| c.spec.name == *name).ok_or_else(|| ExecError::Container(name.clone()))?
            }
        };
        exec::run(&container.room, request).await
    }

    /// Replaces what a projected volume shows. Tokens among the sources are minted anew.
    pub fn update_volume(&self, name: &str, sources: Vec<Projection>) -> Result<(), VolumeError> {
        self.shared.sources().insert(name.to_owned(), sources);
        self.shared.rewrite(name)
    }

    /// Ends the pod: SIGTERM, the grace period, SIGKILL; then its namespace, volumes and logs are gone.
    pub async fn stop(&self) {
        self.stop_within(self.shared.spec.grace).await;
    }

    /// `stop` with another grace period. A second call may shorten the first one's; both return when all is gone.
    pub async fn stop_within(&self, grace: Duration) {
        let shared = &self.shared;
        shared.end(if grace.is_zero() { Ending::Forced } else { Ending::Asked });
        let gone = async {
            let mut stopped = shared.stopped.lock().await;
            if !*stopped {
                shared.remove().await;
                *stopped = true;
            }
        };
        tokio::pin!(gone);
        if tokio::time::timeout(grace, &mut gone).await.is_err() {
            shared.end(Ending::Forced);
            gone.await;
        }
    }
}

impl Shared {
    fn end(&self, how: Ending) {
        self.board.ending.send_modify(|ending| *ending = how.max(*ending));
    }

    /// Waits for the processes to end, then removes what `create` made.
    async fn remove(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
        if let Some(veth) = &self.veth {
            tokio::time::sleep(NETNS_LINGER).await;
            if let Err(error) = self.network.detach(veth).await {
                tracing::debug!(pod = self.spec.name, %error, "its link was gone already");
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        self.board.tell(PodEventKind::Stopped);
    }

    async fn run(&self) {
        let (init, main) = self.containers.split_at(self.spec.init_containers.len());
        for container in init {
            if container.keep().await != 0 || *self.board.ending.borrow() > Ending::No {
                return;
            }
        }
        let mut running = JoinSet::new();
        for container in main {
            let container = Arc::clone(container);
            running.spawn(async move { container.keep().await });
        }
        while running.join_next().await.is_some() {}
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Projection>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a projected volume as its sources are now; the lock keeps two writers apart.
    fn rewrite(&self, name: &str) -> Result<(), VolumeError> {
        let sources = self.sources();
        let Some(sources) = sources.get(name) else { return Ok(()) };
        volumes::write(&self.dir.join("volumes").join(name), &volumes::files(sources)?)
    }

    /// Keeps a volume's tokens young.
    async fn renew(&self, name: &str, every: Duration) {
        let mut ending = self.board.ending.subscribe();
        let mut wait = every;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ending.wait_for(|e| *e > Ending::No) => return,
            }
            wait = match self.rewrite(name) {
                Ok(()) => every,
                Err(error) => {
                    tracing::warn!(pod = self.spec.name, volume = name, %error, "token not renewed");
                    RENEWAL_RETRY
                }
            };
        }
    }
}

struct Maker {
    net: Arc<NetNs>,
    network: Network,
    board: Arc<Board>,
    dir: PathBuf,
}

impl Maker {
    fn containers(&self, spec: &PodSpec) -> Result<Vec<Arc<Container>>, PodError> {
        let mut volumes = HashMap::new();
        for volume in &spec.volumes {
            let at = volumes::make(&self.dir.join("volumes"), volume)
                .map_err(|error| PodError::Volume { name: volume.name.clone(), error })?;
            volumes.insert(volume.name.as_str(), at);
        }
        let names = Names {
            hostname: &spec.hostname,
            address: self.address(spec),
            dns: &spec.dns,
            aliases: &spec.host_aliases,
        };
        let sandbox = Sandbox::create(Arc::clone(&self.net), &self.dir, &names)?;
        let slots = |init, list: &[ContainerSpec]| {
            list.iter().enumerate().map(|(index, c)| (Slot { init, index }, c.clone())).collect::<Vec<_>>()
        };
        let all = [slots(true, &spec.init_containers), slots(false, &spec.containers)].concat();
        all.into_iter()
            .map(|(slot, container)| {
                let room = Arc::new(sandbox.room(&container, |name| volumes.get(name).cloned())?);
                let log = ContainerLog::create(&log_path(&self.dir, &container.name))?;
                let target = Target {
                    node: Arc::clone(self.network.ns()),
                    address: names.address,
                    room: Arc::clone(&room),
                };
                let (policy, grace, board) = (spec.restart, spec.grace, Arc::clone(&self.board));
                Ok(Arc::new(Container { slot, spec: container, policy, grace, room, log, target, board }))
            })
            .collect()
    }

    fn address(&self, spec: &PodSpec) -> std::net::Ipv4Addr {
        match spec.network {
            PodNetwork::Own(address) => address,
            PodNetwork::Host => self.network.addresses().node,
        }
    }
}

fn log_path(dir: &Path, container: &str) -> PathBuf {
    dir.join(format!("{container}.log"))
}

fn projections(spec: &PodSpec) -> HashMap<String, Vec<Projection>> {
    let projected = spec.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Projected(sources) => Some((volume.name.clone(), sources.clone())),
        VolumeSource::EmptyDir | VolumeSource::HostPath(_) => None,
    });
    projected.collect()
}
