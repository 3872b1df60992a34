//! `/config_dump`: what istiod sent, as Envoy prints it: proto JSON with original field names, straight from the bytes.
//!
//! `mask` returns only the named sections. Envoy: `admin/v3/config_dump.proto`.

use super::Surfaces;
use http::StatusCode;
use mesh::admin::{AdminRequest, AdminResponse, json, text};
use prost::Message as _;
use serde_json::{Map, Value as Json, json as object};
use std::time::SystemTime;
use xds_client::cache::RawResource;
use xds_client::dump::{DumpError, message_to_json, to_json};
use xds_client::type_url;

const PREFIX: &str = "type.googleapis.com/envoy.admin.v3.";

/// Sections in Envoy's order, with the fields a mask may name.
const SECTIONS: [(&str, &[&str]); 6] = [
    ("BootstrapConfigDump", &["bootstrap"]),
    ("ClustersConfigDump", &["dynamic_active_clusters", "dynamic_warming_clusters", "static_clusters"]),
    ("EndpointsConfigDump", &["dynamic_endpoint_configs", "static_endpoint_configs"]),
    ("ListenersConfigDump", &["dynamic_listeners", "static_listeners"]),
    ("RoutesConfigDump", &["dynamic_route_configs", "static_route_configs"]),
    ("SecretsConfigDump", &["dynamic_active_secrets", "dynamic_warming_secrets", "static_secrets"]),
];

pub(super) fn config_dump(surfaces: &Surfaces, request: &AdminRequest) -> AdminResponse {
    let mask = request.query("mask");
    let mask: Option<Vec<&str>> = mask.as_deref().map(|mask| mask.split(',').collect());
    let with_endpoints = request.query("include_eds").is_some();
    let mut configs = Vec::new();
    for (name, fields) in SECTIONS {
        let wanted = match &mask {
            Some(mask) => fields.iter().any(|field| mask.contains(field)),
            None => name != "EndpointsConfigDump" || with_endpoints,
        };
        if wanted {
            match section(surfaces, name) {
                Ok(section) => configs.push(section),
                Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name}: {error}\n")),
            }
        }
    }
    json(&object!({ "configs": configs }))
}

fn section(surfaces: &Surfaces, name: &str) -> Result<Json, DumpError> {
    let mut section = match name {
        "BootstrapConfigDump" => bootstrap(surfaces)?,
        "ClustersConfigDump" => {
            object!({ "dynamic_active_clusters": resources(surfaces, type_url::CLUSTER, "cluster")? })
        }
        "EndpointsConfigDump" => {
            object!({ "dynamic_endpoint_configs": resources(surfaces, type_url::ENDPOINT, "endpoint_config")? })
        }
        "ListenersConfigDump" => object!({ "dynamic_listeners": listeners(surfaces)? }),
        "RoutesConfigDump" => object!({ "static_route_configs": routes(surfaces)? }),
        _ => object!({ "dynamic_active_secrets": secrets(surfaces) }),
    };
    if let Json::Object(fields) = &mut section {
        let mut typed = Map::from_iter([("@type".to_owned(), format!("{PREFIX}{name}").into())]);
        typed.append(fields);
        return Ok(Json::Object(typed));
    }
    Ok(section)
}

fn bootstrap(surfaces: &Surfaces) -> Result<Json, DumpError> {
    let node = "type.googleapis.com/envoy.config.core.v3.Node";
    let mut node = message_to_json(node, &surfaces.node.encode_to_vec())?;
    if let Json::Object(fields) = &mut node {
        fields.remove("@type"); // a plain field of the bootstrap, no Any
    }
    Ok(object!({ "bootstrap": { "node": node }, "last_updated": timestamp(SystemTime::now()) }))
}

fn resources(surfaces: &Surfaces, type_url: &str, field: &str) -> Result<Vec<Json>, DumpError> {
    let raws = surfaces.raw.resources(type_url);
    raws.iter().map(|(_, raw)| Ok(state(raw, field, &to_json(raw)?))).collect()
}

fn state(raw: &RawResource, field: &str, resource: &Json) -> Json {
    object!({ "version_info": &*raw.version, field: resource, "last_updated": timestamp(raw.last_updated) })
}

fn listeners(surfaces: &Surfaces) -> Result<Vec<Json>, DumpError> {
    let raws = surfaces.raw.resources(type_url::LISTENER);
    let listener = |(name, raw): &(String, RawResource)| {
        Ok(object!({ "name": name, "active_state": state(raw, "listener", &to_json(raw)?) }))
    };
    raws.iter().map(listener).collect()
}

/// A waypoint's routes are all inline in its listeners.
fn routes(surfaces: &Surfaces) -> Result<Vec<Json>, DumpError> {
    let mut found = Vec::new();
    for (_, raw) in surfaces.raw.resources(type_url::LISTENER) {
        let listener = to_json(&raw)?;
        let chains = listener.get("filter_chains").and_then(Json::as_array).into_iter().flatten();
        let filters = chains.filter_map(|chain| chain.get("filters")?.as_array()).flatten();
        for config in filters.filter_map(|filter| filter.get("typed_config")?.get("route_config")) {
            let mut config = config.clone();
            if let Json::Object(fields) = &mut config {
                fields.insert("@type".into(), type_url::ROUTE.into());
            }
            found.push(object!({ "route_config": config, "last_updated": timestamp(raw.last_updated) }));
        }
    }
    Ok(found)
}

/// Our own certificate and its roots under the names istiod's listeners use; keys are never shown.
fn secrets(surfaces: &Surfaces) -> Vec<Json> {
    let Some(identity) = surfaces.process.secrets.current(&surfaces.process.identity) else {
        return Vec::new();
    };
    let certificate = identity.certificate();
    let pem = |infos: &[mesh::identity::CertificateInfo]| -> String {
        infos.iter().map(|info| info.pem.as_str()).collect()
    };
    let encoded = |text: String| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let secret = |name: &str, field: &str, value: Json| {
        let secret = object!({ "@type": type_url::SECRET, "name": name, field: value });
        object!({ "name": name, "last_updated": timestamp(certificate.not_before), "secret": secret })
    };
    let chain = object!({
        "certificate_chain": { "inline_bytes": encoded(pem(&certificate.chain_info)) },
        "private_key": { "inline_bytes": encoded("[redacted]".to_owned()) },
    });
    let roots = object!({ "trusted_ca": { "inline_bytes": encoded(pem(&certificate.roots_info)) } });
    vec![secret("default", "tls_certificate", chain), secret("ROOTCA", "validation_context", roots)]
}

pub(super) fn timestamp(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
