//! Short names for the proto modules, so that the rooms read as Envoy's documentation does.

pub(super) use xds_client::proto::envoy::envoy::config::accesslog::v3 as accesslog;
pub(super) use xds_client::proto::envoy::envoy::config::cluster::v3 as cluster;
pub(super) use xds_client::proto::envoy::envoy::config::common::mutation_rules::v3 as mutation_rules;
pub(super) use xds_client::proto::envoy::envoy::config::core::v3 as core;
pub(super) use xds_client::proto::envoy::envoy::config::endpoint::v3 as endpoint;
pub(super) use xds_client::proto::envoy::envoy::config::listener::v3 as listener;
pub(super) use xds_client::proto::envoy::envoy::config::rbac::v3 as rbac;
pub(super) use xds_client::proto::envoy::envoy::config::route::v3 as route;
pub(super) use xds_client::proto::envoy::envoy::config::trace::v3 as trace;
pub(super) use xds_client::proto::envoy::envoy::data::accesslog::v3 as log_data;
pub(super) use xds_client::proto::envoy::envoy::extensions::access_loggers::file::v3 as file_log;
pub(super) use xds_client::proto::envoy::envoy::extensions::access_loggers::filters::cel::v3 as cel_filter;
pub(super) use xds_client::proto::envoy::envoy::extensions::access_loggers::grpc::v3 as grpc_log;
pub(super) use xds_client::proto::envoy::envoy::extensions::access_loggers::open_telemetry::v3 as otel_log;
pub(super) use xds_client::proto::envoy::envoy::extensions::access_loggers::stream::v3 as stream_log;
pub(super) use xds_client::proto::envoy::envoy::extensions::clusters::dynamic_forward_proxy::v3 as dfp_cluster;
pub(super) use xds_client::proto::envoy::envoy::extensions::common::dynamic_forward_proxy::v3 as dfp;
pub(super) use xds_client::proto::envoy::envoy::extensions::common::ratelimit::v3 as common_ratelimit;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::common::fault::v3 as common_fault;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::common::set_filter_state::v3 as filter_state;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::cors::v3 as cors;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::dynamic_forward_proxy::v3 as dfp_filter;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::ext_authz::v3 as ext_authz;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::fault::v3 as fault;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::header_mutation::v3 as header_mutation;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::jwt_authn::v3 as jwt_authn;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::local_ratelimit::v3 as local_ratelimit;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::ratelimit::v3 as ratelimit;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::rbac::v3 as http_rbac;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::router::v3 as router;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::set_filter_state::v3 as http_filter_state;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::http::wasm::v3 as http_wasm;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::ext_authz::v3 as network_ext_authz;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::mongo_proxy::v3 as mongo_proxy;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::rbac::v3 as network_rbac;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::set_filter_state::v3 as network_filter_state;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3 as sni_dfp_filter;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
pub(super) use xds_client::proto::envoy::envoy::extensions::filters::network::wasm::v3 as network_wasm;
pub(super) use xds_client::proto::envoy::envoy::extensions::matching::common_inputs::network::v3 as network_inputs;
pub(super) use xds_client::proto::envoy::envoy::extensions::path::r#match::uri_template::v3 as uri_template;
pub(super) use xds_client::proto::envoy::envoy::extensions::retry::priority::previous_priorities::v3 as previous_priorities;
pub(super) use xds_client::proto::envoy::envoy::extensions::transport_sockets::internal_upstream::v3 as internal_upstream;
pub(super) use xds_client::proto::envoy::envoy::extensions::transport_sockets::proxy_protocol::v3 as proxy_protocol;
pub(super) use xds_client::proto::envoy::envoy::extensions::transport_sockets::tls::v3 as tls;
pub(super) use xds_client::proto::envoy::envoy::extensions::upstreams::http::v3 as upstream_http;
pub(super) use xds_client::proto::envoy::envoy::extensions::wasm::v3 as wasm;
pub(super) use xds_client::proto::envoy::envoy::service::accesslog::v3 as log_stream;
pub(super) use xds_client::proto::envoy::envoy::service::auth::v3 as auth;
pub(super) use xds_client::proto::envoy::envoy::service::ratelimit::v3 as rls;
pub(super) use xds_client::proto::envoy::envoy::r#type::matcher::v3 as matcher;
pub(super) use xds_client::proto::envoy::envoy::r#type::metadata::v3 as metadata;
pub(super) use xds_client::proto::envoy::envoy::r#type::tracing::v3 as tracing;
pub(super) use xds_client::proto::envoy::envoy::r#type::v3 as types;
pub(super) use xds_client::proto::envoy::google::protobuf;
pub(super) use xds_client::proto::envoy::opentelemetry::proto::common::v1 as otlp;
pub(super) use xds_client::proto::envoy::xds::core::v3 as xds_core;
pub(super) use xds_client::proto::envoy::xds::r#type::matcher::v3 as xds_matcher;
pub(super) use xds_client::proto::{stats, workload};

/// `udpa.type.v1.TypedStruct`: the type is named, the content is a JSON-like struct. Not in `envoy-types`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TypedStruct {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<protobuf::Struct>,
}

impl prost::Name for TypedStruct {
    const NAME: &'static str = "TypedStruct";
    const PACKAGE: &'static str = "udpa.type.v1";
}

/// `xds.type.matcher.v3.IPMatcher`. Not in `envoy-types`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IpMatcher {
    #[prost(message, repeated, tag = "1")]
    pub(super) range_matchers: Vec<IpRangeMatcher>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IpRangeMatcher {
    #[prost(message, repeated, tag = "1")]
    pub(super) ranges: Vec<xds_core::CidrRange>,
    #[prost(message, optional, tag = "2")]
    pub(super) on_match: Option<xds_matcher::matcher::OnMatch>,
    #[prost(bool, tag = "3")]
    pub(super) exclusive: bool,
}

impl prost::Name for IpMatcher {
    const NAME: &'static str = "IPMatcher";
    const PACKAGE: &'static str = "xds.type.matcher.v3";
}
