//! What happened to one request or connection: the only input of access logs, header formats and metrics.
//!
//! Filled by the IO, field by field, and borrowed while a line is written; it allocates nothing itself. Everything is
//! optional because a record is read at any moment of a request's life: header formats run before there is a response.

use crate::failure::ResponseFlags;
use crate::model::cluster::ServiceRef;
use crate::model::metadata::DynamicMetadata;
use crate::model::node::NodeInfo;
use crate::model::workload::Workload;
use crate::routing::trace_context::TraceContext;
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One HTTP request, or one TCP connection when `request` is `None`.
#[derive(Clone, Debug)]
pub struct RequestRecord<'a> {
    pub start: SystemTime,
    /// From `start` to the last byte sent downstream.
    pub duration: Duration,
    /// From `start` to the last byte received from downstream.
    pub request_duration: Option<Duration>,
    /// From `start` to the first byte received from upstream.
    pub response_duration: Option<Duration>,
    /// From the first byte received from upstream to the last byte sent downstream.
    pub response_tx_duration: Option<Duration>,
    pub protocol: Protocol,
    pub request: Option<RequestHead<'a>>,
    pub response: Option<ResponseHead<'a>>,
    pub flags: ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`: `via_upstream`, or a [`crate::failure::Failure`]'s.
    pub details: Option<&'a str>,
    pub termination_details: Option<&'a str>,
    pub upstream_transport_failure: Option<&'a str>,
    /// Body bytes of the request; on TCP all bytes from downstream.
    pub bytes_received: u64,
    /// Body bytes of the response; on TCP all bytes to downstream.
    pub bytes_sent: u64,
    pub upstream: Upstream<'a>,
    pub downstream: Downstream<'a>,
    pub route_name: Option<&'a str>,
    pub grpc_status: Option<u32>,
    /// `None`: no gRPC, or nobody counts.
    pub grpc_messages: Option<GrpcMessages>,
    pub stream_id: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    /// Our span, where the chain is traced.
    pub trace: Option<TraceContext>,
    /// The chosen cluster's service: `destination_service*` labels.
    pub service: Option<&'a Arc<ServiceRef>>,
    pub hostname: &'a str,
    /// Who writes the record.
    pub node: &'a NodeInfo,
    /// Dry-run and shadow results, JWT claims.
    pub metadata: &'a DynamicMetadata,
}

/// Messages of a gRPC stream, begun or complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcMessages {
    pub request: u64,
    pub response: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http10,
    #[default]
    Http11,
    Http2,
    Tcp,
}

/// The request as received: before rewrites, after nothing.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: &'a str,
    /// With query.
    pub path: &'a str,
    pub authority: &'a str,
    pub scheme: &'a str,
    pub headers: &'a HeaderMap,
    /// `content-type: application/grpc*`.
    pub grpc: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub trailers: Option<&'a HeaderMap>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Upstream<'a> {
    pub cluster: Option<&'a str>,
    /// The name it is to be observed by (`alt_stat_name`).
    pub observable_cluster: Option<&'a str>,
    /// As Envoy prints it: `ip:port`, or `envoy://connect_originate/ip:port` for an HBONE endpoint.
    pub host: Option<&'a str>,
    pub local_address: Option<SocketAddr>,
    pub remote_address: Option<SocketAddr>,
    /// Attempts made, the first included; 0 when no upstream was tried.
    pub attempts: u32,
    /// What WDS knows of the chosen endpoint.
    pub workload: Option<&'a Arc<Workload>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Downstream<'a> {
    /// The CONNECT target: service VIP or pod, and port.
    pub local_address: Option<SocketAddr>,
    /// From x-forwarded-for where trusted, else the client pod.
    pub remote_address: Option<SocketAddr>,
    /// The client pod.
    pub direct_remote_address: Option<SocketAddr>,
    /// URI SAN of the tunnel's client certificate.
    pub peer_principal: Option<&'a Arc<str>>,
    /// Our own URI SAN.
    pub local_principal: Option<&'a Arc<str>>,
    pub requested_server_name: Option<&'a str>,
    /// What WDS knows of the client pod.
    pub workload: Option<&'a Arc<Workload>>,
}

impl RequestHead<'_> {
    /// Of names and values, pseudo headers included. Envoy: `HeaderMap::byteSize`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pseudo = [self.method, self.path, self.authority, self.scheme];
        let names = ":method:path:authority:scheme".len();
        header_bytes(self.headers) + names + pseudo.iter().map(|text| text.len()).sum::<usize>()
    }
}

impl ResponseHead<'_> {
    #[must_use]
    pub fn bytes(&self) -> usize {
        header_bytes(self.headers) + ":status".len() + 3
    }
}

/// Of names and values.
#[must_use]
pub fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

impl RequestRecord<'_> {
    /// An empty record of something that began at `start`; fill it with struct update syntax.
    #[must_use]
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            duration: Duration::ZERO,
            request_duration: None,
            response_duration: None,
            response_tx_duration: None,
            protocol: Protocol::default(),
            request: None,
            response: None,
            flags: ResponseFlags::NONE,
            details: None,
            termination_details: None,
            upstream_transport_failure: None,
            bytes_received: 0,
            bytes_sent: 0,
            upstream: Upstream::default(),
            downstream: Downstream::default(),
            route_name: None,
            grpc_status: None,
            grpc_messages: None,
            stream_id: None,
            trace_id: None,
            trace: None,
            service: None,
            hostname: "",
            node: NodeInfo::NONE,
            metadata: DynamicMetadata::EMPTY,
        }
    }
}
