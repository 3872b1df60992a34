//! A route configuration as istiod inlines it: translated without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::{Message as _, Name as _};
use waypoint_core::translate::ecds::Extensions;
use waypoint_core::translate::listener;
use xds_client::proto::envoy::envoy::config::listener::v3 as pb;
use xds_client::proto::envoy::envoy::config::route::v3::RouteConfiguration;
use xds_client::proto::envoy::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use xds_client::proto::envoy::google::protobuf::Any;

fuzz_target!(|input: &[u8]| {
    let Ok(routes) = RouteConfiguration::decode(input) else { return };
    let hcm = hcm::HttpConnectionManager {
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(routes)),
        ..Default::default()
    };
    let any = Any { type_url: hcm::HttpConnectionManager::type_url(), value: hcm.encode_to_vec() };
    let config_type = Some(pb::filter::ConfigType::TypedConfig(any));
    let filters = vec![pb::Filter { config_type, ..Default::default() }];
    let filter_chains = vec![pb::FilterChain { name: "a".into(), filters, ..Default::default() }];
    let bytes = pb::Listener { filter_chains, ..Default::default() }.encode_to_vec();
    let _ = listener::translate("main_internal", &bytes, &Extensions::default(), None);
});
