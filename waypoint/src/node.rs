//! The xDS node message: how istiod recognises this pod and decides what it serves.
//!
//! Invariant: type `waypoint`, NAMESPACE, INSTANCE_IPS, CLUSTER_ID and SERVICE_ACCOUNT are right, or istiod answers with
//! an empty configuration. Spec: `pilot/pkg/model/context.go` ParseServiceNodeWithMetadata, `pkg/bootstrap/config.go`.

use crate::config::Config;
use crate::env::Env;
use serde_json::{Map, Value as Json};
use xds_client::proto::envoy::envoy::config::core::v3::Node;
use xds_client::proto::envoy::google::protobuf::value::Kind;
use xds_client::proto::envoy::google::protobuf::{ListValue, NullValue, Struct, Value};

/// `waypoint~IP~POD.NS~NS.svc.cluster.local`: exactly four parts.
#[must_use]
pub fn id(config: &Config) -> String {
    let pod = &config.pod;
    let ip = pod.ips.first().map(ToString::to_string).unwrap_or_default();
    format!("waypoint~{ip}~{}.{}~{}", pod.name, pod.namespace, config.domain)
}

#[must_use]
pub fn node(config: &Config, env: &Env<'_>) -> Node {
    Node {
        id: id(config),
        cluster: config.service_cluster.clone(),
        user_agent_name: "fairway-waypoint".to_owned(),
        metadata: Some(to_struct(metadata(config, env))),
        ..Node::default()
    }
}

/// The metadata keys istiod reads, in pilot-agent's precedence: pass-through first, what we know for certain last.
#[must_use]
pub fn metadata(config: &Config, env: &Env<'_>) -> Map<String, Json> {
    let mut metadata = Map::new();
    metadata.insert("ISTIO_VERSION".to_owned(), mesh::version::ISTIO.into());
    for (name, value) in env.with_prefix("ISTIO_META_").filter(|(_, value)| !value.is_empty()) {
        metadata.insert(name.to_owned(), value.into());
    }
    for (_, value) in env.with_prefix("ISTIO_METAJSON_") {
        if let Ok(Json::Object(fields)) = serde_json::from_str(value) {
            metadata.extend(fields);
        }
    }
    let pod = &config.pod;
    let ips = pod.ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let own = [
        ("NAMESPACE", pod.namespace.as_str()),
        ("NAME", pod.name.as_str()),
        ("SERVICE_ACCOUNT", pod.service_account.as_str()),
        ("CLUSTER_ID", config.cluster_id.as_str()),
        ("INSTANCE_IPS", ips.as_str()),
    ];
    metadata.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
    metadata.insert("LABELS".to_owned(), labels(&pod.labels));
    metadata.insert("ANNOTATIONS".to_owned(), object(&pod.annotations));
    metadata.insert("PROXY_CONFIG".to_owned(), config.proxy_config.clone());
    metadata.insert("ENVOY_STATUS_PORT".to_owned(), config.ports.health.into());
    metadata.insert("ENVOY_PROMETHEUS_PORT".to_owned(), config.ports.prometheus.into());
    metadata
}

fn object(pairs: &[(String, String)]) -> Json {
    Json::Object(pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
}

/// Without the one label that changes with every rollout, as pilot-agent.
fn labels(pairs: &[(String, String)]) -> Json {
    let kept: Vec<_> = pairs.iter().filter(|(name, _)| name != "pod-template-hash").cloned().collect();
    object(&kept)
}

fn to_struct(fields: Map<String, Json>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name, to_value(value))).collect() }
}

fn to_value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(NullValue::NullValue as i32),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Json::String(value) => Kind::StringValue(value),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(to_value).collect() })
        }
        Json::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
