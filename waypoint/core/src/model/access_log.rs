//! Access logs: where lines go, which requests they are for, and their format, parsed once.
//! Envoy: `config.accesslog.v3`, command operators of "Access logging".

use super::expression::Expression;
use super::log_service::LogService;
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct AccessLog {
    pub output: LogOutput,
    /// All of them must hold.
    pub filter: Option<AccessLogFilter>,
}

#[derive(Clone, Debug)]
pub enum LogOutput {
    Lines { sink: AccessLogSink, format: AccessLogFormat },
    Service(Arc<LogService>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogSink {
    Stdout,
    Stderr,
    File(Arc<str>),
}

#[derive(Clone, Debug)]
pub enum AccessLogFormat {
    Text(Arc<Format>),
    /// Keys in configuration order; a value of one operator keeps its JSON type.
    Json {
        fields: Vec<(Box<str>, JsonField)>,
        omit_empty: bool,
    },
}

#[derive(Clone, Debug)]
pub enum JsonField {
    Value(Arc<Format>),
    Object(Vec<(Box<str>, Self)>),
    List(Vec<Self>),
}

#[derive(Clone, Debug)]
pub enum AccessLogFilter {
    /// `op` on the response code.
    Status {
        op: Comparison,
        value: u32,
    },
    Duration {
        op: Comparison,
        millis: u32,
    },
    /// Any of these flags; empty: any flag at all.
    ResponseFlags(Vec<crate::failure::ResponseFlag>),
    NotHealthCheck,
    /// `envoy.access_loggers.extension_filters.cel`: true, or nothing is logged.
    Expression(Arc<Expression>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    Ge,
    Le,
    Ne,
}

/// A format string cut into pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    pub segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    Literal(Box<str>),
    Operator { operator: Operator, truncate: Option<usize> },
}

/// The command operators we print. An unknown one is a rejection, as in Envoy.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    StartTime(Option<Box<str>>),
    /// `REQ(A?B)`: the first that is present.
    Request {
        name: LogHeader,
        alternative: Option<LogHeader>,
    },
    /// `REQ_WITHOUT_QUERY(A?B)`.
    RequestWithoutQuery {
        name: LogHeader,
        alternative: Option<LogHeader>,
    },
    Response {
        name: LogHeader,
        alternative: Option<LogHeader>,
    },
    Trailer {
        name: LogHeader,
        alternative: Option<LogHeader>,
    },
    Protocol,
    ResponseCode,
    ResponseCodeDetails,
    ResponseFlags,
    ConnectionTerminationDetails,
    UpstreamTransportFailureReason,
    BytesReceived,
    BytesSent,
    Duration,
    RequestDuration,
    ResponseDuration,
    ResponseTxDuration,
    UpstreamHost,
    /// `raw`: its name; otherwise the one it is to be observed by.
    UpstreamCluster {
        raw: bool,
    },
    UpstreamLocalAddress,
    UpstreamRemoteAddress,
    UpstreamRequestAttemptCount,
    DownstreamLocalAddress,
    DownstreamRemoteAddress {
        port: bool,
    },
    DownstreamDirectRemoteAddress {
        port: bool,
    },
    DownstreamPeerUriSan,
    DownstreamLocalUriSan,
    RequestedServerName,
    RouteName,
    /// `GRPC_STATUS`: the name, `NotFound`.
    GrpcStatus,
    /// `GRPC_STATUS_NUMBER`.
    GrpcStatusNumber,
    Hostname,
    /// `FILTER_STATE(key:FORMAT:field)`; the objects we hold: peers and principals.
    FilterState {
        key: Box<str>,
        field: Option<Box<str>>,
    },
    DynamicMetadata {
        filter: Box<str>,
        path: Box<[Box<str>]>,
    },
    ClusterMetadata {
        filter: Box<str>,
        path: Box<[Box<str>]>,
    },
    Environment(Box<str>),
    StreamId,
    TraceId,
    /// `CEL(expression)`.
    Expression(Arc<Expression>),
    /// An operator Envoy has and we hold no value for (`DOWNSTREAM_TLS_CIPHER`): always missing, and warned about.
    Unavailable(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogHeader {
    Method,
    Path,
    Authority,
    Scheme,
    Status,
    Name(HeaderName),
}

/// How often buffered lines are written out. Envoy: 10 s or 64 KiB; istio sets 1 s.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
