//! The fields deliberately not honoured, and why each may be ignored.
//!
//! Each function clears such fields of one message; whatever is still set afterwards refuses the unit. So this page is
//! the complete list: a field is either read by its room, or cleared here, or fatal.

use super::pb::{
    cluster, core, cors, dfp, endpoint, ext_authz, fault, grpc_log, hcm, http_rbac, jwt_authn, listener,
    local_ratelimit, mongo_proxy, network_ext_authz, network_rbac, otel_log, ratelimit, route, router,
    tcp_proxy, upstream_http,
};

pub(super) fn listener(listener: &mut listener::Listener) {
    listener.name.clear(); // the resource's name, already used
    listener.stat_prefix.clear(); // Envoy's own statistics
    listener.listener_specifier = None; // `internal_listener`: our tunnels need no socket between the two listeners
    listener.traffic_direction = 0; // only `%TRAFFIC_DIRECTION%`
    listener.use_original_dst = None; // istiod: always false
    listener.metadata = None; // tooling
    listener.per_connection_buffer_limit_bytes = None; // our pumps are bounded by their own limits
    listener.listener_filters_timeout = None; // sniffing has its own bound
    listener.continue_on_listener_filters_timeout = false; // we always go on, see `proxy::tunnel`
    listener.stats_matcher = None; // Envoy's own statistics
}

/// Of `connect_terminate` only: how the socket is opened, which is our acceptor's affair.
pub(super) fn bound_listener(listener: &mut listener::Listener) {
    listener.address = None; // 15008 on every address
    listener.additional_addresses.clear();
    listener.connection_balance_config = None; // our acceptor hands each connection to the least loaded worker
    listener.bind_to_port = None;
    listener.enable_reuse_port = None;
    listener.tcp_backlog_size = None;
    listener.max_connections_to_accept_per_socket_event = None;
    listener.tcp_keepalive = None; // ours is always on
    listener.freebind = None;
}

pub(super) fn filter_chain(chain: &mut listener::FilterChain) {
    chain.name.clear(); // used as the chain's name; `connect_terminate` has one chain only
    chain.metadata = None; // tooling
    chain.transport_socket_connect_timeout = None; // our handshake has its own bound
}

pub(super) fn connection_manager(hcm: &mut hcm::HttpConnectionManager) {
    use hcm::http_connection_manager::CodecType;
    if hcm.codec_type != CodecType::Http3 as i32 {
        hcm.codec_type = 0; // HTTP/1 and HTTP/2 are told apart by the client's preface
    }
    hcm.stat_prefix.clear(); // Envoy's own statistics
    hcm.http2_protocol_options = None; // `allow_connect` was read; windows and stream limits are in `waypoint`'s limits
    hcm.request_id_extension = None; // UUIDs are the only kind istiod configures
    hcm.set_current_client_cert_details = None; // only with APPEND_FORWARD or SANITIZE_SET, which refuse the chain
    hcm.proxy_100_continue = false; // `100 Continue` is always passed on, as istiod wants
    hcm.preserve_external_request_id = false; // an id from the client is always kept: `use_remote_address` is false
    hcm.always_set_request_id_in_response = false; // a convenience of gateways
    hcm.access_log_options = None; // flushing long-lived streams' logs
    hcm.access_log_flush_interval = None;
    hcm.flush_access_log_on_new_request = false;
    hcm.drain_timeout = None; // the tunnel below is drained, not its inner connections
    hcm.drain_timeout_jitter = None;
    hcm.delayed_close_timeout = None; // inner connections end with their tunnel stream
    hcm.stream_flush_timeout = None; // covered by the stream idle timeout
    hcm.internal_address_config = None; // trust in `x-envoy-*` does not depend on addresses here
    hcm.request_headers_timeout = None; // a fixed bound applies, see limits
    hcm.append_local_overload = false;
    hcm.add_proxy_protocol_connection_state = None; // no proxy protocol inside a tunnel
}

/// `connect_terminate`'s connection manager: CONNECT only, answered by our HBONE server with its own limits.
pub(super) fn connect_manager(hcm: &mut hcm::HttpConnectionManager) {
    hcm.server_name.clear(); // the answer to CONNECT has no `server`
    hcm.server_header_transformation = 0;
    hcm.forward_client_cert_details = 0; // no request leaves with these headers
    hcm.upgrade_configs.clear(); // CONNECT is all the HBONE server accepts
    hcm.stream_idle_timeout = None; // tunnels live as long as both ends want
    hcm.use_remote_address = None;
    hcm.normalize_path = None; // CONNECT has no path
    hcm.merge_slashes = false;
    hcm.path_with_escaped_slashes_action = 0;
    hcm.common_http_protocol_options = None; // idle tunnels connections are ztunnel's to close
    hcm.generate_request_id = None;
}

pub(super) fn router(router: &mut router::Router) {
    router.dynamic_stats = None; // Envoy's own statistics
    router.start_child_span = false; // tracing
    router.suppress_grpc_request_failure_code_stats = false; // Envoy's own statistics
}

pub(super) fn route_configuration(config: &mut route::RouteConfiguration) {
    config.validate_clusters = None; // a missing cluster is answered per request
    config.metadata = None; // tooling
}

pub(super) fn virtual_host(host: &mut route::VirtualHost) {
    host.metadata = None; // tooling
    host.virtual_clusters.clear(); // Envoy's own statistics
    host.include_attempt_count_in_response = false; // a debugging aid of sidecars
}

pub(super) fn route(route: &mut route::Route) {
    route.tracing = None; // sampling and tags of spans
    route.stat_prefix.clear(); // Envoy's own statistics
    route.per_request_buffer_limit_bytes = None; // retry buffers have their own bound
    route.request_body_buffer_limit = None;
}

pub(super) fn route_action(route: &mut route::RouteAction) {
    route.early_data_policy = None; // no TLS early data inside a tunnel
    route.flush_timeout = None; // covered by the idle timeouts
    if route.priority == core::RoutingPriority::Default as i32 {
        route.priority = 0;
    }
}

pub(super) fn mirror(mirror: &mut route::route_action::RequestMirrorPolicy) {
    mirror.trace_sampled = None; // tracing
}

pub(super) fn fault(fault: &mut fault::HttpFault) {
    fault.disable_downstream_cluster_stats = false; // Envoy's own statistics
    fault.filter_metadata = None; // for access logs only
}

pub(super) fn cors(policy: &mut cors::CorsPolicy) {
    policy.shadow_enabled = None; // evaluates without effect
}

pub(super) fn ext_authz(filter: &mut ext_authz::ExtAuthz) {
    filter.stat_prefix.clear(); // Envoy's own statistics
    filter.charge_cluster_response_stats = None;
    filter.emit_filter_state_stats = false; // for access logs only
    filter.filter_metadata = None;
    filter.emit_client_span = None; // tracing
    filter.validate_mutations = false; // always validated
    filter.enforce_response_header_limits = false; // responses are always bounded, see `waypoint`'s limits
}

pub(super) fn network_ext_authz(filter: &mut network_ext_authz::ExtAuthz) {
    filter.stat_prefix.clear(); // Envoy's own statistics
    filter.send_tls_alert_on_denial = false; // no TLS of the client's ends here, so there is none to alert
}

/// `plain`: no bucket is for a descriptor.
pub(super) fn local_rate_limit(limit: &mut local_ratelimit::LocalRateLimit, plain: bool) {
    limit.stat_prefix.clear(); // Envoy's own statistics
    if plain {
        // What only says how descriptors are made and counted.
        limit.rate_limits.clear();
        limit.stage = 0;
        limit.vh_rate_limits = 0;
        limit.always_consume_default_token_bucket = None;
    }
}

pub(super) fn rate_limit(limit: &mut ratelimit::RateLimit) {
    limit.stat_prefix.clear(); // Envoy's own statistics
}

/// Values are no formats, and so never empty, unless a runtime flag of Envoy's that is off says otherwise.
pub(super) fn generic_key(entry: &mut route::rate_limit::action::GenericKey) {
    entry.default_value.clear();
}

pub(super) fn header_value_match(entry: &mut route::rate_limit::action::HeaderValueMatch) {
    entry.default_value.clear();
}

pub(super) fn query_parameter_value_match(entry: &mut route::rate_limit::action::QueryParameterValueMatch) {
    entry.default_value.clear();
}

pub(super) fn http_rbac(rbac: &mut http_rbac::Rbac) {
    rbac.track_per_rule_stats = false; // Istio's inclusion list leaves them out
}

pub(super) fn network_rbac(rbac: &mut network_rbac::Rbac) {
    // ONE_TIME_ON_FIRST_BYTE and CONTINUOUS are the same for rules that never change during a connection.
    rbac.enforcement_type = 0;
}

pub(super) fn mongo(mongo: &mut mongo_proxy::MongoProxy) {
    mongo.stat_prefix.clear(); // statistics of operations
    mongo.commands.clear();
}

pub(super) fn tcp_proxy(proxy: &mut tcp_proxy::TcpProxy) {
    proxy.access_log_flush_interval = None; // only the end of a connection is logged
    proxy.flush_access_log_on_connected = false;
    proxy.access_log_options = None;
    proxy.max_connect_attempts = None; // a connection that reached no application is tried elsewhere anyway
}

pub(super) fn otel_log(config: &mut otel_log::OpenTelemetryAccessLogConfig) {
    config.stat_prefix.clear(); // Envoy's own statistics
    config.formatters.clear(); // their operators are known (and print as missing) or rejected
    config.buffer_flush_interval = None; // batches leave every second, or as soon as they are long
    config.filter_state_objects_to_log.clear(); // named in a warning
}

pub(super) fn grpc_log(config: &mut grpc_log::CommonGrpcAccessLogConfig) {
    config.transport_api_version = 0; // v3 is the only one
    config.buffer_flush_interval = None; // batches leave every second, or as soon as they are long
    config.grpc_stream_retry_policy = None; // a batch that fails is lost, and counted
}

pub(super) fn substitution_format(format: &mut core::SubstitutionFormatString) {
    format.formatters.clear(); // their operators are known (and print as missing) or rejected
    format.content_type.clear(); // of local replies only
    format.json_format_options = None; // key order only
}

pub(super) fn cluster(cluster: &mut cluster::Cluster) {
    cluster.stats_matcher = None;
    cluster.track_cluster_stats = None;
    cluster.track_timeout_budgets = false;
    cluster.cleanup_interval = None; // ORIGINAL_DST hosts live in the pool, which has its own idle timeout
    cluster.metadata = None; // `istio.services` and `istio.config` are read before
    cluster.per_connection_buffer_limit_bytes = None; // our pumps are bounded by their own limits
    cluster.typed_dns_resolver_config = None; // ours asks the pod's resolver, as c-ares does
    cluster.dns_jitter = None; // each cluster has its own timer, started when it came
    // Of DNS clusters, read before; they mean nothing to others, and istiod sets the family on some of those.
    cluster.dns_lookup_family = 0;
    cluster.dns_refresh_rate = None;
    cluster.dns_failure_refresh_rate = None;
    cluster.respect_dns_ttl = false;
    cluster.wait_for_warm_on_init = None; // requests to a warming cluster wait, others do not
    cluster.close_connections_on_host_health_failure = false; // pooled connections of an ejected host are not reused
    cluster.ignore_health_on_host_removal = false; // a removed host goes at once; there are no active health checks
    cluster.preconnect_policy = None; // an optimisation
}

pub(super) fn common_lb(config: &mut cluster::cluster::CommonLbConfig) {
    config.update_merge_window = None; // updates are merged by istiod's debouncing
    config.close_connections_on_host_set_change = false; // pools follow the workloads
    config.consistent_hashing_lb_config = None; // `use_hostname_for_hashing` applies to DNS hosts, which hash by address
    config.ignore_new_hosts_until_first_hc = false; // no active health checks
}

pub(super) fn outlier(outlier: &mut cluster::OutlierDetection) {
    // Success-rate and failure-percentage ejection: istiod always switches the former off (enforcing 0) and has no
    // field for the latter.
    outlier.success_rate_minimum_hosts = None;
    outlier.success_rate_request_volume = None;
    outlier.success_rate_stdev_factor = None;
    outlier.failure_percentage_minimum_hosts = None;
    outlier.failure_percentage_request_volume = None;
    outlier.failure_percentage_threshold = None;
    outlier.max_ejection_time_jitter = None; // spreads un-ejections
    outlier.successful_active_health_check_uneject_host = None; // no active health checks
}

pub(super) fn thresholds(thresholds: &mut cluster::circuit_breakers::Thresholds) {
    thresholds.track_remaining = false; // Envoy's own statistics
    thresholds.max_connection_pools = None; // pools are per worker and identity, and bounded
}

pub(super) fn protocol_options(options: &mut upstream_http::HttpProtocolOptions) {
    options.header_validation_config = None; // responses are always validated
}

pub(super) fn common_http(options: &mut core::HttpProtocolOptions) {
    options.max_connection_duration_jitter = None; // spreads closing; ours close as requests come
    options.max_headers_count = None; // response limits are in `waypoint`'s limits
    options.max_response_headers_kb = None;
}

/// What of HTTP/1 towards endpoints is fixed here.
pub(super) fn upstream_http1(options: &mut core::Http1ProtocolOptions) {
    options.header_key_format = None; // names keep their case where the chain keeps it
    options.enable_trailers = false; // always passed on
    options.use_balsa_parser = None; // the parser is hyper's
}

/// What of HTTP/2 towards endpoints is fixed here.
pub(super) fn upstream_http2(options: &mut core::Http2ProtocolOptions) {
    options.initial_stream_window_size = None; // windows are in `waypoint`'s limits
    options.initial_connection_window_size = None;
    options.hpack_table_size = None; // h2's
    options.max_outbound_frames = None; // h2's own bounds against floods
    options.max_outbound_control_frames = None;
    options.max_consecutive_inbound_frames_with_empty_payload = None;
    options.max_inbound_priority_frames_per_stream = None;
    options.max_inbound_window_update_frames_per_data_frame_sent = None;
    options.allow_connect = false; // requests with CONNECT never get this far
    options.stream_error_on_invalid_http_messaging = false; // h2 resets the stream
    options.override_stream_error_on_invalid_http_message = None;
    options.use_oghttp2_codec = None; // the codec is h2's
    options.enable_huffman_encoding = None;
}

pub(super) fn keepalive(settings: &mut core::KeepaliveSettings) {
    settings.interval_jitter = None; // connections begin at different times
    settings.connection_idle_interval = None; // a connection is looked at before it is used again
}

pub(super) fn connection_options(options: &mut cluster::UpstreamConnectionOptions) {
    options.set_local_interface_name_on_upstream_connections = false; // for Envoy's logs only
    options.happy_eyeballs_config = None; // the order among families is fixed, see `upstream::dial`
}

pub(super) fn dns_cache(cache: &mut dfp::DnsCacheConfig) {
    cache.name.clear(); // names are kept by themselves: the same name has the same addresses in every cache
    cache.dns_min_refresh_rate = None; // bounds are in `waypoint`'s limits
    cache.host_ttl = None;
    cache.max_hosts = None;
    cache.dns_query_timeout = None;
    cache.dns_cache_circuit_breaker = None;
    cache.disable_dns_refresh_on_failure = false; // names are asked for when they are wanted
    cache.use_tcp_for_dns_lookups = false; // the resolver falls back to TCP by itself
    cache.typed_dns_resolver_config = None; // ours asks the pod's resolver, as c-ares does
    cache.preresolve_hostnames.clear(); // an optimisation
}

pub(super) fn assignment(assignment: &mut endpoint::ClusterLoadAssignment) {
    assignment.cluster_name.clear(); // the resource's name
    if let Some(policy) = &mut assignment.policy {
        policy.endpoint_stale_after = None; // a lost istiod must not lose endpoints
        policy.weighted_priority_health = false; // health by count is Envoy's default
    }
}

pub(super) fn lb_endpoint(endpoint: &mut endpoint::LbEndpoint) {
    endpoint.metadata = None; // the known parts are read before
}

pub(super) fn endpoint(endpoint: &mut endpoint::Endpoint) {
    endpoint.health_check_config = None; // no active health checks
    endpoint.observability_name.clear();
}

pub(super) fn jwt_filter(filter: &mut jwt_authn::JwtAuthentication) {
    filter.stat_prefix.clear(); // Envoy's own statistics
}

pub(super) fn jwt_provider(provider: &mut jwt_authn::JwtProvider) {
    provider.jwt_cache_config = None; // a cache changes no answer
}

pub(super) fn remote_jwks(remote: &mut jwt_authn::RemoteJwks) {
    // Keys are always fetched beside the requests; a listener is never held back for them, requests with tokens wait.
    if let Some(fetch) = remote.async_fetch.as_mut() {
        fetch.fast_listener = false;
    }
}
