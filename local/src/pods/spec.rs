//! What a pod is told to be, and what it tells about itself. Plain data; nothing of Kubernetes' object model, whose
//! rules (defaults, references, the downward API) are worked out before a `PodSpec` exists.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A pod, whole and resolved: no references to other objects, no `$(NAME)` left.
#[derive(Clone, Debug)]
pub struct PodSpec {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub hostname: String,
    pub network: PodNetwork,
    pub dns: DnsConfig,
    /// Further lines of /etc/hosts.
    pub host_aliases: Vec<(Ipv4Addr, Vec<String>)>,
    pub volumes: Vec<Volume>,
    /// Run one after the other, each to its end, before `containers`.
    pub init_containers: Vec<ContainerSpec>,
    pub containers: Vec<ContainerSpec>,
    pub restart: RestartPolicy,
    /// terminationGracePeriodSeconds
    pub grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodNetwork {
    /// A namespace of its own with this address on `eth0`.
    Own(Ipv4Addr),
    /// hostNetwork: the node's.
    Host,
}

#[derive(Clone, Debug, Default)]
pub struct DnsConfig {
    pub nameservers: Vec<Ipv4Addr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, Debug)]
pub struct ContainerSpec {
    pub name: String,
    pub program: Program,
    pub args: Vec<String>,
    /// The whole environment, in order; a PATH is added if there is none.
    pub env: Vec<(String, String)>,
    pub working_dir: Option<PathBuf>,
    pub mounts: Vec<Mount>,
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A file of this machine, standing in for an image. It is shown in the container as `/.fairway/<file name>`, which no
    /// volume hides.
    Machine(PathBuf),
    /// Looked up in the container: an absolute path, or a name in its PATH.
    Container(String),
}

#[derive(Clone, Debug)]
pub struct Mount {
    pub volume: String,
    /// Absolute path in the container.
    pub path: PathBuf,
    pub sub_path: Option<PathBuf>,
    pub read_only: bool,
}

#[derive(Clone, Debug)]
pub struct Volume {
    pub name: String,
    pub source: VolumeSource,
}

#[derive(Clone, Debug)]
pub enum VolumeSource {
    EmptyDir,
    /// A folder or file of the node (`/run/ztunnel` …); made as a folder when absent.
    HostPath(PathBuf),
    /// ConfigMap, Secret, downward API and projected volumes: files, replaced all at once when they change.
    Projected(Vec<Projection>),
}

#[derive(Clone, Debug)]
pub enum Projection {
    /// Relative path -> content.
    Files(BTreeMap<String, Vec<u8>>),
    Token(TokenSource),
}

/// Mints a service account token valid for the given time.
pub type Mint = Arc<dyn Fn(Duration) -> Result<String, MintError> + Send + Sync>;
pub type MintError = Box<dyn std::error::Error + Send + Sync>;

/// A service account token, renewed at 4/5 of its life.
#[derive(Clone)]
pub struct TokenSource {
    /// Relative path in the volume.
    pub path: String,
    pub lifetime: Duration,
    pub mint: Mint,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("path", &self.path)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub struct Probe {
    pub action: ProbeAction,
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

impl Probe {
    /// Kubernetes' defaults around an action.
    #[must_use]
    pub fn new(action: ProbeAction) -> Self {
        Self {
            action,
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

#[derive(Clone, Debug)]
pub enum ProbeAction {
    /// `host`: another address than the pod's.
    HttpGet {
        host: Option<String>,
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        host: Option<String>,
        port: u16,
    },
    Exec(Vec<String>),
}

/// What happened to a pod, in order, on the channel given to `Pod::create`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    pub uid: String,
    pub kind: PodEventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodEventKind {
    /// A container's process runs.
    Started { container: String },
    /// All containers ready, or no longer all.
    Ready(bool),
    /// A container's process ended.
    Exited { container: String, code: i32, restarts: bool },
    /// A container cannot be started; why.
    Trouble { container: String, message: String },
    /// All processes and the namespace are gone.
    Stopped,
}

/// The pod as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStatus {
    pub phase: PodPhase,
    pub ready: bool,
    pub initialized: bool,
    pub init_containers: Vec<ContainerStatus>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    pub name: String,
    pub state: ContainerState,
    /// How the previous run ended.
    pub last_exit: Option<Exit>,
    pub ready: bool,
    /// Past the startup probe.
    pub started: bool,
    pub restarts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// `ContainerCreating`, `CrashLoopBackOff`, `RunContainerError` …
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running {
        since: SystemTime,
        pid: i32,
    },
    Terminated(Exit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 128 + signal number when a signal ended it.
    pub code: i32,
    pub started: SystemTime,
    pub finished: SystemTime,
}
