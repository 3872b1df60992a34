//! From istiod's responses to a published snapshot.

use crate::config::Config;
use crate::limits;
use crate::proxy::upstream::origination::TlsContexts;
use mesh::channel::{Auth, ChannelOptions};
use mesh::lifecycle::ReadyToken;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use waypoint_core::model::endpoint::Assignment;
use waypoint_core::store::{SharedSnapshot, Store, WantedDns};
use waypoint_core::telemetry::metrics::Metrics;
use waypoint_core::translate::update::Update;
use xds_client::client::{Connect, Handler};
use xds_client::delta::{Rejection, Subscription};
use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use xds_client::type_url;

/// How often health and slow start move on.
const TICK: Duration = Duration::from_secs(1);

/// How long the last value of a vanished pod's metrics can still be scraped: two of the usual scrape intervals.
const METRICS_SWEEP: Duration = Duration::from_secs(60);

/// The store with its publication; shared by the xDS client and the resolver.
#[derive(Clone)]
pub(super) struct Configuration {
    store: Arc<Mutex<Store>>,
    pub snapshots: SharedSnapshot,
    /// Made before the snapshot that needs them is seen.
    pub tls: Arc<TlsContexts>,
    metrics: Arc<Metrics>,
    published: Arc<watch::Sender<u64>>,
    started: Instant,
}

impl Configuration {
    #[must_use]
    pub(super) fn new(
        network: &str,
        metrics: Arc<Metrics>,
        started: Instant,
    ) -> (Self, watch::Receiver<u64>) {
        let (published, seen) = watch::channel(0);
        let store = Arc::new(Mutex::new(Store::new(network)));
        let (snapshots, tls) = (SharedSnapshot::default(), Arc::default());
        (Self { store, snapshots, tls, metrics, published: Arc::new(published), started }, seen)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, store: &Store) {
        let snapshot = store.snapshot();
        let version = snapshot.version;
        self.tls.prepare(&snapshot);
        let uncounted = self.metrics.count_rbac(snapshot.rbac_filters());
        if uncounted > 0 {
            tracing::warn!(
                uncounted,
                "too many series of RBAC: the decisions of some filters are not counted"
            );
        }
        self.snapshots.publish(snapshot);
        self.published.send_replace(version);
    }

    /// Moves ejections and slow start on and drops metrics of pods that are gone, for as long as the process lives.
    pub(super) async fn tick(self) {
        let mut tick = tokio::time::interval(TICK);
        let mut swept = Instant::now();
        loop {
            tick.tick().await;
            if swept.elapsed() >= METRICS_SWEEP {
                swept = Instant::now();
                let snapshot = self.snapshots.load_full();
                self.metrics.sweep(|uid| snapshot.workloads.by_uid(uid).is_some());
            }
            let snapshot = self.snapshots.load_full();
            for hosts in snapshot.clusters.values().filter_map(|entry| entry.hosts.as_ref()) {
                hosts.tick(self.started.elapsed());
            }
        }
    }

    /// Looks at files with certificates from time to time.
    pub(super) async fn watch_files(self) {
        let mut tick = tokio::time::interval(limits::FILE_REFRESH);
        loop {
            tick.tick().await;
            self.tls.prepare(&self.snapshots.load_full());
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    pub(super) fn wanted_dns(&self) -> Vec<WantedDns> {
        self.lock().wanted_dns()
    }

    /// New addresses of a DNS cluster.
    pub(super) fn resolved(&self, cluster: &str, assignment: Assignment) {
        let mut store = self.lock();
        if store.resolved(cluster, assignment, self.started.elapsed()) {
            self.publish(&store);
        }
    }
}

/// Decides about resources on the client's task.
pub(super) struct Configurator {
    pub configuration: Configuration,
    /// Kept until clusters and listeners have been accepted once.
    pub unready: Option<ReadyToken>,
}

impl Handler for Configurator {
    fn apply(&mut self, response: &DeltaDiscoveryResponse) -> Vec<Rejection> {
        let begin = Instant::now();
        let mut store = self.configuration.lock();
        let applied = store.apply(&Update::of(response), self.configuration.started.elapsed());
        for (name, warning) in &applied.warnings {
            tracing::warn!(
                type_url = response.type_url,
                name,
                ?warning,
                "configuration is not fully honoured"
            );
        }
        if applied.changed {
            self.configuration.publish(&store);
        }
        tell_push(response, begin.elapsed());
        if store.ready()
            && let Some(unready) = self.unready.take()
        {
            unready.ready();
        }
        applied
            .rejections
            .into_iter()
            .map(|rejection| Rejection {
                reason: format!("{}: {}", rejection.path, rejection.reason),
                name: rejection.name,
            })
            .collect()
    }

    fn subscriptions(&self) -> Vec<(&'static str, Subscription)> {
        let store = self.configuration.lock();
        // Envoy's order: clusters, their endpoints, then the listeners that use them.
        vec![
            (type_url::CLUSTER, Subscription::Wildcard),
            (type_url::ENDPOINT, Subscription::Names(store.wanted_eds())),
            (type_url::LISTENER, Subscription::Wildcard),
            (type_url::WORKLOAD, Subscription::Wildcard),
            (type_url::EXTENSION_CONFIG, Subscription::Names(store.wanted_ecds())),
            (type_url::SECRET, Subscription::Names(store.wanted_sds())),
        ]
    }

    fn connected(&mut self, connected: bool) {
        if connected {
            tracing::info!("connected to istiod");
        }
    }
}

/// Envoy tells of clusters and listeners too, and not of endpoints, which change all the time.
fn tell_push(response: &DeltaDiscoveryResponse, took: Duration) {
    let kind = response.type_url.rsplit('.').next().unwrap_or_default();
    let (resources, removed) = (response.resources.len(), response.removed_resources.len());
    match response.type_url.as_str() {
        type_url::CLUSTER | type_url::LISTENER => {
            tracing::info!(kind, resources, removed, ?took, "configuration applied");
        }
        _ => tracing::debug!(kind, resources, removed, ?took, "configuration applied"),
    }
}

/// How this pod reaches istiod.
pub(super) struct Istiod {
    options: ChannelOptions,
    auth: Auth,
}

impl Istiod {
    #[must_use]
    pub(super) fn new(config: &Config) -> Self {
        Self { options: config.xds_channel(), auth: config.auth(&config.xds_headers) }
    }
}

impl Connect for Istiod {
    async fn channel(&self) -> Result<Channel, Box<dyn Error + Send + Sync>> {
        Ok(mesh::channel::connect(&self.options).await?)
    }

    fn authorize(&self, metadata: &mut MetadataMap) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.auth.apply(metadata)?)
    }
}
