//! The tonic shell round [`Delta`](crate::delta::Delta): opens streams, keeps them open, hands responses to a handler.
//!
//! Failure model: a stream may end at any time (istiod closes each after about 30 minutes, istiod restarts, networks
//! fail). The proxy keeps its last configuration, the next stream resumes where the last ended. Only a dropped
//! [`run`] future ends the client.

use crate::backoff::Backoff;
use crate::cache::RawCache;
use crate::delta::{Delta, Rejection, Subscription};
use crate::limits::{MESSAGE_BYTES_MAX, REQUESTS_QUEUED_MAX};
use crate::proto::envoy::envoy::config::core::v3::Node;
use crate::proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use crate::proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Decides about resources. Called on the client's own task, one response at a time.
pub trait Handler: Send {
    /// Applies what can be applied and names the rest; good resources of a partly bad response are kept.
    fn apply(&mut self, response: &DeltaDiscoveryResponse) -> Vec<Rejection>;

    /// What is wanted now, in the order first requests should go out. Asked at start and after each response;
    /// a type must not disappear from the answer, and must not change between wildcard and names.
    fn subscriptions(&self) -> Vec<(&'static str, Subscription)>;

    /// The stream state changed; for logs and readiness.
    fn connected(&mut self, _connected: bool) {}
}

/// Opens one connection to istiod, with roots and credentials as they are now.
pub trait Connect: Send + Sync {
    fn channel(
        &self,
    ) -> impl Future<Output = Result<Channel, Box<dyn std::error::Error + Send + Sync>>> + Send;

    /// Adds the credentials of one stream: token, cluster id.
    ///
    /// # Errors
    /// When the token cannot be read; counted and retried like a failed connection.
    fn authorize(&self, metadata: &mut MetadataMap) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Counters for `istio_xds_*` metrics.
#[derive(Debug, Default)]
pub struct Stats {
    pub responses: AtomicU64,
    pub bytes: AtomicU64,
    pub rejected: AtomicU64,
    pub connection_errors: AtomicU64,
    pub stream_errors: AtomicU64,
    pub stream_reconnects: AtomicU64,
    pub stream_completes: AtomicU64,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub node: Node,
    pub raw: RawCache,
    pub stats: Arc<Stats>,
}

enum Ended {
    /// The server closed the stream in good order, or is going away: expected now and then.
    Expected(Status),
    Failed(Status),
    Complete,
}

/// Runs until dropped.
pub async fn run<C: Connect, H: Handler>(connect: C, mut handler: H, options: Options) {
    let mut delta = Delta::new(options.node.clone());
    let mut backoff = Backoff::default();
    let stats = options.stats.clone();
    loop {
        match open(&connect).await {
            Err(error) => {
                stats.connection_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(error = %Chain(&*error), "istiod connection failed");
            }
            Ok((client, metadata)) => {
                let ended =
                    stream(client, metadata, &mut delta, &mut handler, (&options, &mut backoff)).await;
                handler.connected(false);
                match ended {
                    Ended::Complete => {
                        stats.stream_completes.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!("istiod closed the stream");
                    }
                    Ended::Expected(status) => {
                        stats.stream_reconnects.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(code = ?status.code(), message = status.message(), "istiod stream ended, reconnecting");
                    }
                    Ended::Failed(status) => {
                        stats.stream_errors.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(code = ?status.code(), message = status.message(), "istiod stream failed");
                    }
                }
            }
        }
        tokio::time::sleep(backoff.wait(fastrand::f64())).await;
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;
type Client = AggregatedDiscoveryServiceClient<Channel>;

async fn open<C: Connect>(connect: &C) -> Result<(Client, MetadataMap), Error> {
    let channel = connect.channel().await?;
    let client = Client::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut metadata = MetadataMap::new();
    connect.authorize(&mut metadata)?;
    Ok((client, metadata))
}

async fn stream<H: Handler>(
    mut client: Client,
    metadata: MetadataMap,
    delta: &mut Delta,
    handler: &mut H,
    (options, backoff): (&Options, &mut Backoff),
) -> Ended {
    let (requests, queue) = mpsc::channel(REQUESTS_QUEUED_MAX);
    let first = delta.on_connected().into_iter().chain(wanted(delta, handler)).collect::<Vec<_>>();
    if send(&requests, first).await.is_err() {
        return Ended::Failed(Status::internal("request queue closed"));
    }
    let mut call = tonic::Request::new(ReceiverStream::new(queue));
    *call.metadata_mut() = metadata;
    let mut responses = match client.delta_aggregated_resources(call).await {
        Ok(response) => response.into_inner(),
        Err(status) => return ended(status),
    };
    handler.connected(true);
    loop {
        let response = match responses.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return Ended::Complete,
            Err(status) => return ended(status),
        };
        backoff.reset();
        let answers = receive(&response, delta, handler, options);
        if send(&requests, answers).await.is_err() {
            // The sending half of the call is gone; the receiving half has the reason.
            continue;
        }
    }
}

fn receive<H: Handler>(
    response: &DeltaDiscoveryResponse,
    delta: &mut Delta,
    handler: &mut H,
    options: &Options,
) -> Vec<DeltaDiscoveryRequest> {
    let stats = &options.stats;
    stats.responses.fetch_add(1, Ordering::Relaxed);
    stats.bytes.fetch_add(prost::Message::encoded_len(response) as u64, Ordering::Relaxed);
    if !delta.knows(&response.type_url) {
        tracing::warn!(type_url = response.type_url, "response of a type never asked for, ignored");
        return Vec::new();
    }
    let rejections = handler.apply(response);
    for rejection in &rejections {
        stats.rejected.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            type_url = response.type_url,
            name = rejection.name,
            reason = rejection.reason,
            "resource rejected"
        );
    }
    options.raw.record(response, &rejections, SystemTime::now());
    let mut requests = vec![delta.answer(response, &rejections)];
    requests.extend(wanted(delta, handler));
    requests
}

/// Requests for whatever the handler wants and the server does not know yet.
fn wanted<H: Handler>(delta: &mut Delta, handler: &H) -> Vec<DeltaDiscoveryRequest> {
    let subscriptions = handler.subscriptions();
    subscriptions.into_iter().filter_map(|(type_url, wanted)| delta.subscribe(type_url, wanted)).collect()
}

async fn send(
    queue: &mpsc::Sender<DeltaDiscoveryRequest>,
    requests: Vec<DeltaDiscoveryRequest>,
) -> Result<(), ()> {
    for request in requests {
        queue.send(request).await.map_err(|_| ())?;
    }
    Ok(())
}

/// Which ends are everyday life: istiod's maximum connection age (GOAWAY), its restarts, its deadlines.
fn ended(status: Status) -> Ended {
    match status.code() {
        Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => Ended::Expected(status),
        Code::Unavailable | Code::Internal if is_going_away(&status) => Ended::Expected(status),
        _ => Ended::Failed(status),
    }
}

fn is_going_away(status: &Status) -> bool {
    let text = status.message();
    ["transport is closing", "received prior goaway", "GoAway", "graceful"]
        .iter()
        .any(|known| text.contains(known))
}

/// Prints an error with its sources: "transport error: invalid peer certificate: …".
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
