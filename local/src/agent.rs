//! The node agent: one task that owns the cluster's objects and carries out what the controllers decide.
//!
//! Everything that happens (a request, a pod's event, a line from istiod) is one `Event`; after each the agent settles: the
//! controllers run, then pods, Service addresses, DNS, the ingress and istiod follow. Nobody else writes objects, so there
//! are no locks. What takes time runs in tasks of its own and comes back as an event.

mod feed;
mod heard;
mod objects;
mod pods;
mod programs;
mod requests;
mod waits;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc;

use crate::cluster::addresses::{self, Pool};
use crate::cluster::admission::admit;
use crate::cluster::builtin::{self, Machine, ZTUNNEL_RUN};
use crate::cluster::controllers::Controllers;
use crate::cluster::images::Images;
use crate::cluster::tokens::Signer;
use crate::cluster::{Now, Store, endpoints};
use crate::control::Reply;
use crate::control::server::{self, Call};
use crate::dns::zone::Zone;
use crate::ingress::{self, Way};
use crate::istiod::{self, Istiod};
use crate::node::network::{Network, NodeAddresses};
use crate::node::services::{self, ServiceVip};
use crate::node::zds_server::ZdsServer;
use crate::pods::log::ContainerLog;
use crate::pods::pod::PodHost;
use crate::pods::spec::PodEvent;

pub use programs::Programs;

/// What the node is started with.
#[derive(Debug)]
pub struct Settings {
    /// A folder that ends with the node.
    pub home: PathBuf,
    pub images: Images,
    pub programs: Programs,
    /// Without: no istiod, ztunnel and waypoints; pods talk to each other as in a plain cluster.
    pub mesh: bool,
    pub ingress: std::net::TcpListener,
    pub control: std::os::unix::net::UnixListener,
}

pub(crate) type Replies = mpsc::UnboundedSender<Reply>;

#[derive(Debug)]
pub(crate) enum Event {
    Call(Call),
    Pod(PodEvent),
    Created {
        uid: String,
        outcome: Result<pods::Created, String>,
    },
    Captured {
        uid: String,
        captured: bool,
        outcome: Result<(), String>,
    },
    Istiod(istiod::Event),
    ZtunnelConnections(usize),
    /// Whether every proxy knows all that is ready.
    Heard(bool),
    Retry,
}

pub(crate) struct Agent {
    home: PathBuf,
    images: Images,
    programs: Programs,
    mesh: bool,
    machine: Machine,
    store: Store,
    controllers: Controllers,
    pod_addresses: Pool,
    signer: Arc<Signer>,
    running: HashMap<String, pods::Running>,
    host: PodHost,
    network: Network,
    zds: Option<ZdsServer>,
    ztunnels: usize,
    feed: feed::Feed,
    istiod_log: Option<ContainerLog>,
    waits: Vec<waits::Waiting>,
    vips: Vec<ServiceVip>,
    zone: Arc<ArcSwap<Zone>>,
    way: Arc<ArcSwapOption<Way>>,
    events: mpsc::UnboundedSender<Event>,
    pod_events: mpsc::UnboundedSender<PodEvent>,
    down: Vec<Replies>,
}

/// Runs the node until it is told to end.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let services = (Ipv4Addr::new(10, 96, 0, 0), 16);
    let network = Network::start(NodeAddresses { node: addresses::NODE, services })
        .await
        .context("the node's network")?;
    let (events, mut happened) = mpsc::unbounded_channel();
    let (pod_events, mut from_pods) = mpsc::unbounded_channel();
    let (zone, way) = (Arc::new(ArcSwap::default()), Arc::new(ArcSwapOption::default()));
    let mut agent = Agent {
        host: PodHost::new(network.clone(), settings.home.join("pods")),
        home: settings.home,
        images: settings.images,
        programs: settings.programs,
        mesh: settings.mesh,
        machine: machine(),
        store: Store::default(),
        controllers: Controllers { mesh: settings.mesh, ..Controllers::default() },
        pod_addresses: Pool::pods(),
        signer: Arc::new(Signer::generate().map_err(|_| anyhow::anyhow!("no key for tokens could be made"))?),
        running: HashMap::new(),
        network,
        zds: None,
        ztunnels: 0,
        feed: feed::Feed::default(),
        istiod_log: None,
        waits: Vec::new(),
        vips: Vec::new(),
        zone: Arc::clone(&zone),
        way: Arc::clone(&way),
        events: events.clone(),
        pod_events,
        down: Vec::new(),
    };
    settings.ingress.set_nonblocking(true)?;
    settings.control.set_nonblocking(true)?;
    tokio::spawn(ingress::serve(tokio::net::TcpListener::from_std(settings.ingress)?, way));
    let dns = crate::dns::serve(SocketAddr::from((addresses::NODE, 53)), zone);
    tokio::spawn(async move {
        if let Err(error) = dns.await {
            tracing::error!(%error, "the cluster's DNS ended");
        }
    });
    if agent.mesh {
        agent.start_mesh()?;
    }
    agent.install()?;
    let calls = events.clone();
    let control = tokio::net::UnixListener::from_std(settings.control)?;
    tokio::spawn(server::serve(control, move |call| {
        let _ = calls.send(Event::Call(call)); // the node is ending
    }));
    tokio::spawn(async move {
        while let Some(event) = from_pods.recv().await {
            if events.send(Event::Pod(event)).is_err() {
                return;
            }
        }
    });
    agent.settle();
    while agent.down.is_empty() {
        let Some(event) = happened.recv().await else { break };
        agent.handle(event);
        // What piled up meanwhile is settled once.
        while let Ok(event) = happened.try_recv() {
            agent.handle(event);
        }
        agent.settle();
    }
    for replies in agent.down {
        let _ = replies.send(Reply::Done); // it need not wait for us
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await; // lets the reply out
    Ok(())
}

fn machine() -> Machine {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    Machine { cpus, memory: total.unwrap_or_default() * 1024 }
}

impl Agent {
    fn start_mesh(&mut self) -> anyhow::Result<()> {
        let sockets = self.host_path(ZTUNNEL_RUN);
        std::fs::create_dir_all(&sockets).with_context(|| sockets.display().to_string())?;
        let zds = ZdsServer::bind(&sockets.join("ztunnel.sock")).context("the ZDS socket")?;
        let (mut connected, events) = (zds.connected(), self.events.clone());
        tokio::spawn(async move {
            while connected.changed().await.is_ok() {
                let number = *connected.borrow_and_update();
                if events.send(Event::ZtunnelConnections(number)).is_err() {
                    return;
                }
            }
        });
        self.zds = Some(zds);
        let program =
            self.programs.find("fairway-istiod").map_err(|e| anyhow::anyhow!("fairway-istiod: {e}"))?;
        for name in ["ztunnel", "waypoint"] {
            self.programs.find(name).map_err(|e| anyhow::anyhow!("{name}: {e}; or start with --no-mesh"))?;
        }
        let log = ContainerLog::create(&self.home.join("istiod.log")).context("istiod's log")?;
        self.istiod_log = Some(log.clone());
        let token_key =
            self.signer.public_pem().map_err(|_| anyhow::anyhow!("the tokens' key cannot be written"))?;
        let istiod = Istiod { program, folder: self.home.clone(), token_key, log };
        let (from_istiod, mut received) = mpsc::unbounded_channel();
        tokio::spawn(istiod.keep(from_istiod));
        let events = self.events.clone();
        tokio::spawn(async move {
            while let Some(event) = received.recv().await {
                if events.send(Event::Istiod(event)).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn install(&mut self) -> anyhow::Result<()> {
        let mut now = self.now();
        for object in builtin::objects(self.machine, self.mesh) {
            let status = object.json.get("status").cloned();
            let mut object = admit(object, &self.store, &mut self.controllers.vips, &mut now)?;
            if let Some(status) = status {
                object.json["status"] = status;
            }
            self.store.put(object);
        }
        Ok(())
    }

    fn now(&self) -> Now {
        Now { time: chrono::Utc::now(), chance: fastrand::u64(..) }
    }

    /// Where a hostPath of pods lies on this machine: in the node's own folder.
    fn host_path(&self, path: &str) -> PathBuf {
        self.home.join("host").join(path.trim_start_matches('/').replacen("var/run", "run", 1))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Call(call) => self.call(call),
            Event::Pod(event) => self.pod_event(&event),
            Event::Created { uid, outcome } => self.pod_created(&uid, outcome),
            Event::Captured { uid, captured, outcome } => self.pod_captured(&uid, captured, outcome),
            Event::Istiod(event) => self.hear(event),
            Event::ZtunnelConnections(number) => self.ztunnels = number,
            Event::Heard(heard) => self.heard(heard),
            Event::Retry => {}
        }
    }

    /// Brings everything in line with the objects.
    fn settle(&mut self) {
        let mut now = self.now();
        self.controllers.reconcile(&mut self.store, &mut now);
        self.settle_pods();
        self.controllers.reconcile(&mut self.store, &mut now);
        let changes = self.store.take_changes();
        if !changes.is_empty() {
            self.settle_network();
            self.refresh_volumes(&changes);
            self.feed.tell(&changes);
        }
        self.settle_waits();
    }

    fn settle_network(&mut self) {
        let vips = endpoints::vips(&self.store);
        if vips != self.vips {
            match services::replace(&vips) {
                Ok(()) => self.vips = vips,
                Err(error) => tracing::error!(%error, "the rules of the Services"),
            }
        }
        self.zone.store(Arc::new(Zone::of(&self.store)));
        let pod = self.ingress_pod();
        self.way.store(pod.zip(ingress::target(&self.store)).map(|(pod, to)| Arc::new(Way { pod, to })));
    }
}

/// Key → what is said about an object once, not at every look.
pub(crate) type Said = BTreeMap<String, String>;
