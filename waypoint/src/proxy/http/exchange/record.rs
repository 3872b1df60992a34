//! What happened to this request, gathered as it happens and handed to metrics and access logs once at the end.

use super::upload::Upload;
use crate::proxy::connection::{Connection, Tunnel};
use crate::proxy::http::session::ResponseHead;
use crate::proxy::telemetry;
use crate::proxy::upstream::destination::Destination;
use http::{HeaderMap, HeaderValue, Method, Version};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use waypoint_core::failure::{Failure, ResponseFlag, ResponseFlags};
use waypoint_core::grpc::messages::Messages;
use waypoint_core::model::access_log::Format;
use waypoint_core::model::cluster::ServiceRef;
use waypoint_core::model::http_chain::{HttpChain, HttpFilter};
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::model::route::ClusterName;
use waypoint_core::routing::trace_context::TraceContext;
use waypoint_core::store::{ClusterEntry, Snapshot};
use waypoint_core::telemetry::record::{self, Protocol, RequestRecord, Upstream};
use waypoint_core::telemetry::span;

/// What a record is read together with.
pub struct Context<'a> {
    pub snapshot: &'a Arc<Snapshot>,
    pub connection: &'a Connection,
}

pub struct Record {
    pub start: SystemTime,
    started: Instant,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    method: Method,
    path: Box<str>,
    authority: Box<str>,
    version: Version,
    pub scheme: &'static str,
    pub request_headers: HeaderMap,
    pub grpc: bool,
    pub status: Option<u16>,
    response_headers: HeaderMap,
    response_trailers: Option<HeaderMap>,
    pub flags: ResponseFlags,
    pub details: Cow<'static, str>,
    pub route: Option<Arc<str>>,
    pub cluster: Option<ClusterName>,
    observable_cluster: Option<Arc<str>>,
    pub service: Option<Arc<ServiceRef>>,
    pub transport_failure: Option<String>,
    upstream: Option<Destination>,
    upstream_local: Option<SocketAddr>,
    attempts: u32,
    first_byte: Option<Duration>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// gRPC messages, where the chain counts them.
    request_messages: Option<u64>,
    response_messages: Option<Messages>,
    /// What filters tell later filters, routes and the access log.
    pub metadata: DynamicMetadata,
    pub suppress_envoy: bool,
    pub include_attempt_count: bool,
    pub close_after: bool,
    /// Our span, where the chain is traced.
    pub trace: Option<TraceContext>,
    /// As logs print it.
    trace_id: Option<Box<str>>,
    /// We ended the response ourselves: that it did not arrive says nothing of the client.
    pub aborted: bool,
}

impl Record {
    #[must_use]
    pub fn new(tunnel: &Tunnel) -> Self {
        Self {
            start: SystemTime::now(),
            started: Instant::now(),
            source: tunnel.source,
            destination: tunnel.destination(),
            method: Method::GET,
            path: Box::default(),
            authority: Box::default(),
            version: Version::HTTP_11,
            scheme: "http",
            request_headers: HeaderMap::new(),
            grpc: false,
            status: None,
            response_headers: HeaderMap::new(),
            response_trailers: None,
            flags: ResponseFlags::NONE,
            details: Cow::Borrowed(""),
            route: None,
            cluster: None,
            observable_cluster: None,
            service: None,
            transport_failure: None,
            upstream: None,
            upstream_local: None,
            attempts: 0,
            first_byte: None,
            bytes_received: 0,
            bytes_sent: 0,
            request_messages: None,
            response_messages: None,
            metadata: DynamicMetadata::default(),
            suppress_envoy: false,
            include_attempt_count: false,
            close_after: false,
            trace: None,
            trace_id: None,
            aborted: false,
        }
    }

    pub fn requested(&mut self, method: &Method, path: &str, authority: &str, version: Version) {
        self.method = method.clone();
        self.path = path.into();
        self.authority = authority.into();
        self.version = version;
    }

    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    pub fn traced(&mut self, trace: TraceContext) {
        self.trace_id = Some(trace.trace_id_text().into());
        self.trace = Some(trace);
    }

    /// A cluster that is not there is none. Envoy: `%UPSTREAM_CLUSTER%` is empty.
    pub fn leads_to(&mut self, cluster: &ClusterName, entry: Option<&Arc<ClusterEntry>>) {
        self.cluster = entry.map(|_| cluster.clone());
        self.observable_cluster = entry.map(|entry| entry.cluster.observable_name.clone());
        self.service = entry.and_then(|entry| entry.cluster.service.clone());
    }

    pub fn leads_nowhere(&mut self) {
        (self.cluster, self.observable_cluster, self.service) = (None, None, None);
    }

    pub fn flag(&mut self, flag: ResponseFlag) {
        self.flags = self.flags.with(flag);
    }

    pub fn failed(&mut self, failure: &Failure) {
        self.flags = self.flags.union(failure.flags);
        self.details = failure.details.clone();
    }

    pub fn response(&mut self, head: &ResponseHead) {
        self.status = Some(head.status.as_u16());
        self.response_headers = head.headers.clone();
    }

    pub fn trailers(&mut self, trailers: &HeaderMap) {
        self.response_trailers = Some(trailers.clone());
    }

    /// The chain counts the messages of gRPC requests.
    pub fn count_messages(&mut self) {
        if self.grpc {
            self.request_messages = Some(0);
            self.response_messages = Some(Messages::default());
        }
    }

    #[must_use]
    pub fn counts_messages(&self) -> bool {
        self.request_messages.is_some()
    }

    /// The request as far as it has come.
    pub fn uploaded(&mut self, upload: &Upload) {
        self.bytes_received = upload.bytes;
        self.request_messages = upload.messages().or(self.request_messages);
    }

    /// Body bytes of the response, as the endpoint sent them.
    pub fn answered(&mut self, data: &[u8]) {
        if let Some(messages) = &mut self.response_messages {
            messages.pass(data);
        }
    }

    /// An attempt begins: what is said of the one before it no longer counts.
    pub fn attempt(&mut self, to: &Destination, number: u32) {
        self.upstream = Some(to.clone());
        self.upstream_local = None;
        self.transport_failure = None;
        self.attempts = number;
    }

    pub fn upstream_responded(&mut self, local: Option<SocketAddr>) {
        self.upstream_local = local;
        self.first_byte = Some(self.started.elapsed());
    }

    fn grpc_status(&self) -> Option<u32> {
        let maps = [self.response_trailers.as_ref(), Some(&self.response_headers)];
        let value = maps.into_iter().flatten().find_map(|map| map.get("grpc-status"));
        value.filter(|_| self.grpc)?.to_str().ok()?.parse().ok()
    }

    /// Runs `read` with the record as telemetry wants it: everything borrowed.
    fn with<T>(&self, context: &Context<'_>, read: impl FnOnce(&RequestRecord<'_>) -> T) -> T {
        self.over(context, (&self.request_headers, &self.response_headers), read)
    }

    fn over<T>(
        &self,
        context: &Context<'_>,
        (request_headers, response_headers): (&HeaderMap, &HeaderMap),
        read: impl FnOnce(&RequestRecord<'_>) -> T,
    ) -> T {
        let duration = self.started.elapsed();
        let host = self.upstream.as_ref().map(Destination::label);
        let remote_ip = waypoint_core::matching::ip::remote_ip(request_headers, self.source.ip());
        let remote_port = if remote_ip == self.source.ip() { self.source.port() } else { 0 };
        let text = |name: &str| request_headers.get(name).and_then(|value| value.to_str().ok());
        let record = RequestRecord {
            duration,
            request_duration: None,
            response_duration: self.first_byte,
            response_tx_duration: self.first_byte.map(|first| duration.saturating_sub(first)),
            protocol: match self.version {
                Version::HTTP_2 => Protocol::Http2,
                Version::HTTP_10 => Protocol::Http10,
                _ => Protocol::Http11,
            },
            request: Some(record::RequestHead {
                method: self.method.as_str(),
                path: &self.path,
                authority: &self.authority,
                scheme: self.scheme,
                headers: request_headers,
                grpc: self.grpc,
            }),
            response: self.status.map(|status| record::ResponseHead {
                status,
                headers: response_headers,
                trailers: self.response_trailers.as_ref(),
            }),
            flags: self.flags,
            details: Some(&*self.details).filter(|details| !details.is_empty()),
            upstream_transport_failure: self.transport_failure.as_deref(),
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            grpc_messages: self
                .request_messages
                .zip(self.response_messages.as_ref())
                .map(|(request, response)| record::GrpcMessages { request, response: response.count() }),
            upstream: Upstream {
                cluster: self.cluster.as_deref(),
                observable_cluster: self.observable_cluster.as_deref(),
                host: host.as_deref(),
                local_address: self.upstream_local,
                remote_address: None,
                attempts: self.attempts,
                workload: self.upstream.as_ref().and_then(|upstream| upstream.workload.as_ref()),
            },
            downstream: record::Downstream {
                remote_address: Some(SocketAddr::new(remote_ip, remote_port)),
                ..telemetry::downstream(
                    &context.connection.worker,
                    &context.connection.tunnel,
                    context.snapshot,
                )
            },
            route_name: self.route.as_deref(),
            grpc_status: self.grpc_status(),
            stream_id: text("x-request-id"),
            service: self.service.as_ref(),
            trace_id: self.trace_id.as_deref(),
            trace: self.trace,
            hostname: &context.connection.worker.process.hostname,
            node: &context.connection.worker.process.node,
            metadata: &self.metadata,
            ..RequestRecord::new(self.start)
        };
        read(&record)
    }

    /// A configured header value; nothing where it prints to nothing, or to what no header can hold.
    #[must_use]
    pub fn render(&self, context: &Context<'_>, format: &Format) -> Option<HeaderValue> {
        self.with(context, |record| value(format, record))
    }

    /// The same over request headers as they are now.
    #[must_use]
    pub fn render_request(
        &self,
        context: &Context<'_>,
        format: &Format,
        now: &HeaderMap,
    ) -> Option<HeaderValue> {
        self.over(context, (now, &self.response_headers), |record| value(format, record))
    }

    /// The same over response headers as they are now.
    #[must_use]
    pub fn render_response(
        &self,
        context: &Context<'_>,
        format: &Format,
        now: &HeaderMap,
    ) -> Option<HeaderValue> {
        self.over(context, (&self.request_headers, now), |record| value(format, record))
    }

    /// The end: metrics, log lines and the span. `operation` is what the route calls it.
    pub fn write(&self, context: &Context<'_>, chain: &HttpChain, operation: Option<&str>) {
        let stats = chain.filters.iter().find_map(|filter| match filter {
            HttpFilter::Stats(stats) => Some(stats),
            _ => None,
        });
        self.with(context, |record| {
            let worker = &context.connection.worker;
            telemetry::write(worker, record, stats, &chain.access_logs);
            if let (Some(tracing), Some(trace)) = (&chain.tracing, self.trace.filter(|trace| trace.sampled)) {
                let span = span::span(tracing, trace, operation, record);
                if !worker.spans.push(tracing, span) {
                    worker.process.exports.spans.dropped(1);
                }
            }
        });
    }
}

fn value(format: &Format, record: &RequestRecord<'_>) -> Option<HeaderValue> {
    let text = waypoint_core::telemetry::format::header(format, record);
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}
