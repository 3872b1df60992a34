//! Joints between parts that do not know each other: pods with their DNS, xDS with the channel to istiod.

use crate::config::Config;
use crate::dns::{self, Upstreams, Zone};
use crate::inpod::{Start, WorkloadInfo};
use crate::proxy::{Mesh, Pod, PodId};
use crate::sockets::{Namespace, NamespaceThread, SocketOptions, Sockets};
use mesh::channel::{Auth, ChannelOptions, connect};
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use xds_client::client::Connect;
use xds_client::proto::envoy::envoy::config::core::v3::Node;
use xds_client::proto::envoy::google::protobuf::{ListValue, NullValue, Struct, Value, value::Kind};

/// Starts the proxy of a pod inside its namespace.
pub(super) struct PodStarter {
    pub(super) mesh: Arc<Mesh>,
    pub(super) thread: NamespaceThread,
    pub(super) sockets: SocketOptions,
    pub(super) dns: Option<(u16, Zone, Upstreams)>,
}

impl Start for PodStarter {
    type Proxy = Arc<Pod>;

    async fn start(&self, uid: &str, info: &WorkloadInfo, netns: Arc<Namespace>) -> Result<Arc<Pod>, String> {
        let id = PodId {
            uid: uid.into(),
            name: info.name.clone(),
            namespace: info.namespace.clone(),
            service_account: info.service_account.clone(),
        };
        let sockets = Sockets::inside(netns, self.thread.clone(), self.sockets);
        let pod = Pod::start(id, self.mesh.clone(), sockets).await.map_err(|error| error.to_string())?;
        if let Some((port, zone, upstreams)) = &self.dns {
            let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, *port))];
            if self.sockets.ipv6 {
                addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, *port)));
            }
            if let Err(error) = dns::serve(&pod, &addresses, zone.clone(), upstreams.clone()).await {
                pod.stop();
                return Err(format!("failure to start proxy: DNS port {port}: {error}"));
            }
        }
        Ok(pod)
    }

    fn stop(&self, pod: Arc<Pod>) {
        pod.stop();
    }
}

/// Connections to istiod, with roots and token as they are at the time.
pub(super) struct Istiod {
    pub(super) channel: ChannelOptions,
    pub(super) auth: Auth,
}

impl Connect for Istiod {
    async fn channel(&self) -> Result<Channel, Box<dyn Error + Send + Sync>> {
        Ok(connect(&self.channel).await?)
    }

    fn authorize(&self, metadata: &mut MetadataMap) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.auth.apply(metadata)?)
    }
}

/// Who we are to istiod: it checks the namespace against the token, and picks what a node needs to know by the rest.
pub(super) fn istiod_node(config: &Config) -> Node {
    let known = [
        ("NAME", &config.pod_name),
        ("NAMESPACE", &config.pod_namespace),
        ("INSTANCE_IPS", &config.instance_ip),
        ("NODE_NAME", &config.node_name),
        ("CLUSTER_ID", &config.cluster_id),
        ("ISTIO_VERSION", &mesh::version::ISTIO.to_owned()),
    ];
    let known = known.into_iter().map(|(key, value)| (key.to_owned(), text(value)));
    // What the environment says wins, as in ztunnel.
    let told = config.metadata.iter().map(|(key, value)| (key.clone(), json(value)));
    Node {
        id: config.node_id(),
        metadata: Some(Struct { fields: known.chain(told).collect() }),
        ..Default::default()
    }
}

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

fn json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(NullValue::NullValue as i32),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(json).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}
