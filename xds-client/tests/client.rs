//! The client against a scripted delta-ADS server on loopback: ACK, NACK, subscriptions that follow resources, and what
//! a second stream resumes with.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use xds_client::cache::RawCache;
use xds_client::client::{Connect, Handler, Options, Stats, run};
use xds_client::delta::{Rejection, Subscription};
use xds_client::proto::envoy::envoy::config::core::v3::Node;
use xds_client::proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use xds_client::proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use xds_client::proto::envoy::google::protobuf::Any;
use xds_client::type_url::{CLUSTER, ENDPOINT};

/// Each accepted stream is handed to the test: what the client sends, and a way to answer.
struct Script(mpsc::UnboundedSender<ServerStream>);

struct ServerStream {
    token: String,
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::UnboundedSender<Result<DeltaDiscoveryResponse, Status>>,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Script {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("state of the world"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let token = request
            .metadata()
            .get("authorization")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let (responses, mut queue) = mpsc::unbounded_channel();
        self.0
            .send(ServerStream { token, requests: request.into_inner(), responses })
            .map_err(|_| Status::unavailable("test over"))?;
        let stream = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        Ok(Response::new(Box::pin(stream)))
    }
}

impl ServerStream {
    async fn next(&mut self) -> DeltaDiscoveryRequest {
        let request = tokio::time::timeout(Duration::from_secs(20), self.requests.next()).await;
        request.expect("a request in time").expect("an open stream").expect("a good request")
    }

    fn push(&self, type_url: &str, nonce: &str, names: &[&str]) {
        let resources = names.iter().map(|name| Resource {
            name: (*name).into(),
            version: format!("{nonce}-version"),
            resource: Some(Any { type_url: type_url.into(), value: vec![] }),
            ..Default::default()
        });
        let response = DeltaDiscoveryResponse {
            type_url: type_url.into(),
            nonce: nonce.into(),
            system_version_info: "v1".into(),
            resources: resources.collect(),
            ..Default::default()
        };
        self.responses.send(Ok(response)).expect("the client is there");
    }
}

/// Takes every cluster not called `bad*` and wants the endpoints of those it took.
#[derive(Default)]
struct Clusters {
    taken: BTreeSet<String>,
}

impl Handler for Clusters {
    fn apply(&mut self, response: &DeltaDiscoveryResponse) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        for resource in response.resources.iter().filter(|_| response.type_url == CLUSTER) {
            if resource.name.starts_with("bad") {
                rejections.push(Rejection { name: resource.name.clone(), reason: "type: unknown".into() });
            } else {
                self.taken.insert(resource.name.clone());
            }
        }
        rejections
    }

    fn subscriptions(&self) -> Vec<(&'static str, Subscription)> {
        vec![(CLUSTER, Subscription::Wildcard), (ENDPOINT, Subscription::Names(self.taken.clone()))]
    }
}

struct Dial {
    endpoint: Endpoint,
    tokens: Arc<std::sync::atomic::AtomicU32>,
}

impl Connect for Dial {
    async fn channel(&self) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.endpoint.connect().await?)
    }

    fn authorize(&self, metadata: &mut MetadataMap) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let token = self.tokens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        metadata.insert("authorization", format!("Bearer {token}").parse()?);
        Ok(())
    }
}

async fn server() -> (Endpoint, mpsc::UnboundedReceiver<ServerStream>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (streams, accepted) = mpsc::unbounded_channel();
    let service = AggregatedDiscoveryServiceServer::new(Script(streams));
    tokio::spawn(
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (Endpoint::from_shared(format!("http://{address}")).expect("a URI"), accepted)
}

#[tokio::test]
async fn acks_nacks_follows_resources_and_resumes() {
    let started = Instant::now();
    let (endpoint, mut streams) = server().await;
    let raw = RawCache::keeping(&[CLUSTER]);
    let stats = Arc::new(Stats::default());
    let node = Node { id: "waypoint~10.0.0.1~w.ns~ns.svc.cluster.local".into(), ..Default::default() };
    let options = Options { node, raw: raw.clone(), stats: stats.clone() };
    let client = tokio::spawn(run(Dial { endpoint, tokens: Arc::default() }, Clusters::default(), options));

    let mut first = streams.recv().await.expect("a stream");
    assert_eq!(first.token, "Bearer 0");
    let request = first.next().await;
    assert_eq!((request.type_url.as_str(), request.node.is_some()), (CLUSTER, true));

    first.push(CLUSTER, "n1", &["a", "bad-one", "b"]);
    let nack = first.next().await;
    assert_eq!(nack.response_nonce, "n1");
    assert_eq!(nack.error_detail.expect("a NACK").message, "bad-one: type: unknown");
    let endpoints = first.next().await;
    assert_eq!(
        (endpoints.type_url.as_str(), endpoints.resource_names_subscribe.clone()),
        (ENDPOINT, vec!["a".to_owned(), "b".to_owned()])
    );

    first.push(ENDPOINT, "n2", &["a", "b"]);
    let ack = first.next().await;
    assert_eq!((ack.response_nonce.as_str(), ack.error_detail.is_none()), ("n2", true));
    let kept: Vec<_> = raw.resources(CLUSTER).into_iter().map(|(name, _)| name).collect();
    assert_eq!(kept, ["a", "b"]);

    // istiod's maximum connection age ends streams like this.
    first.responses.send(Err(Status::unavailable("received prior goaway: code: NO_ERROR"))).expect("open");
    drop(first);
    let mut second = streams.recv().await.expect("another stream");
    assert_eq!(second.token, "Bearer 1", "credentials are read again for each stream");
    let resumed = second.next().await;
    let held: BTreeMap<_, _> = resumed.initial_resource_versions.into_iter().collect();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["a", "b"], "what was refused is not held");
    assert_eq!(held["a"], "n1-version");
    assert_eq!(second.next().await.resource_names_subscribe, ["a", "b"]);
    assert_eq!(stats.stream_reconnects.load(std::sync::atomic::Ordering::Relaxed), 1);
    client.abort();
    eprintln!("two streams in {:?}", started.elapsed());
}
