use super::*;
use crate::translate::pb::{protobuf, route, router};
use crate::translate::tests::pack;
use pb_listener::filter::ConfigType::TypedConfig;
use prost::Message;

fn context(required: bool, sans: Vec<tls::SubjectAltNameMatcher>) -> tls::DownstreamTlsContext {
    let validation =
        tls::CertificateValidationContext { match_typed_subject_alt_names: sans, ..Default::default() };
    let combined = tls::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(validation),
        ..Default::default()
    };
    let kind = tls::common_tls_context::ValidationContextType::CombinedValidationContext(combined);
    tls::DownstreamTlsContext {
        require_client_certificate: Some(protobuf::BoolValue { value: required }),
        common_tls_context: Some(tls::CommonTlsContext {
            validation_context_type: Some(kind),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn san(pattern: pb_matcher::string_matcher::MatchPattern) -> tls::SubjectAltNameMatcher {
    tls::SubjectAltNameMatcher {
        san_type: tls::subject_alt_name_matcher::SanType::Uri as i32,
        matcher: Some(pb_matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: false }),
        oid: String::new(),
    }
}

fn prefix(text: &str) -> tls::SubjectAltNameMatcher {
    san(pb_matcher::string_matcher::MatchPattern::Prefix(text.into()))
}

fn http_filter<M: prost::Message + prost::Name>(name: &str, config: &M) -> hcm::HttpFilter {
    let config_type = Some(hcm::http_filter::ConfigType::TypedConfig(pack(config)));
    hcm::HttpFilter { name: name.into(), config_type, ..Default::default() }
}

fn connect_route(cluster: &str) -> route::RouteConfiguration {
    let matched = route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::ConnectMatcher(Default::default())),
        ..Default::default()
    };
    let action = route::RouteAction {
        cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let one = route::Route {
        r#match: Some(matched),
        action: Some(route::route::Action::Route(action)),
        ..Default::default()
    };
    let host = route::VirtualHost { domains: vec!["*".into()], routes: vec![one], ..Default::default() };
    route::RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }
}

fn listener(context: &tls::DownstreamTlsContext, filters: Vec<hcm::HttpFilter>, cluster: &str) -> Vec<u8> {
    let manager = hcm::HttpConnectionManager {
        http_filters: filters,
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(connect_route(
            cluster,
        ))),
        ..Default::default()
    };
    let socket = core::transport_socket::ConfigType::TypedConfig(pack(context));
    let chain = pb_listener::FilterChain {
        transport_socket: Some(core::TransportSocket { name: "tls".into(), config_type: Some(socket) }),
        filters: vec![pb_listener::Filter {
            name: "hcm".into(),
            config_type: Some(TypedConfig(pack(&manager))),
        }],
        ..Default::default()
    };
    pb_listener::Listener {
        name: "connect_terminate".into(),
        filter_chains: vec![chain],
        ..Default::default()
    }
    .encode_to_vec()
}

fn router() -> Vec<hcm::HttpFilter> {
    vec![http_filter("router", &router::Router::default())]
}

fn refusal(bytes: &[u8]) -> Option<String> {
    let terminate = translate(bytes, &mut Warnings::default()).unwrap();
    terminate.refusal.map(|refusal| refusal.details.to_string())
}

#[test]
fn trust_domains_become_prefixes() {
    let context = context(true, vec![prefix("spiffe://a/"), prefix("spiffe://b/")]);
    let terminate =
        translate(&listener(&context, router(), "main_internal"), &mut Warnings::default()).unwrap();
    assert_eq!(terminate.accepted_san_prefixes, ["spiffe://a/".into(), "spiffe://b/".into()]);
    assert_eq!(terminate.refusal, None);
}

#[test]
fn anything_else_refuses_every_connect() {
    let good = context(true, vec![prefix("spiffe://a/")]);
    let mut unknown = router();
    unknown.insert(0, http_filter("example.unknown.filter", &core::Node::default()));
    let exact = san(pb_matcher::string_matcher::MatchPattern::Exact("spiffe://a/ns/b/sa/c".into()));
    let cases = [
        (listener(&good, unknown, "main_internal"), "unsupported_filter{example.unknown.filter}"),
        (listener(&good, router(), "elsewhere"), "unsupported_routes{connect_terminate}"),
        (
            listener(&context(false, Vec::new()), router(), "main_internal"),
            "unsupported_transport_socket{no_client_certificate_required}",
        ),
        (
            listener(&context(true, vec![exact]), router(), "main_internal"),
            "unsupported_transport_socket{match_typed_subject_alt_names}",
        ),
        (pb_listener::Listener::default().encode_to_vec(), "unsupported_listener{filter_chains}"),
    ];
    for (bytes, expect) in cases {
        assert_eq!(refusal(&bytes).as_deref(), Some(expect));
    }
}
