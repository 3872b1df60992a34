//! `filter_state_objects`: what Istio's filters keep of the peers, as they would have serialized it.
//! Istio: `WorkloadMetadataObject::serializeAsProto`.

use crate::model::workload::Workload;
use crate::telemetry::format::{Evaluated, filter_state};
use crate::telemetry::record::RequestRecord;
use crate::translate::pb::protobuf::{self, Any};
use prost::{Message, Name};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn objects(names: &[Arc<str>], record: &RequestRecord<'_>) -> HashMap<String, Any> {
    names.iter().filter_map(|name| Some((name.to_string(), object(name, record)?))).collect()
}

fn object(name: &str, record: &RequestRecord<'_>) -> Option<Any> {
    match name {
        "downstream_peer" | "downstream_peer_obj" | "wasm.downstream_peer" => {
            record.downstream.workload.map(|workload| packed(&peer(workload)))
        }
        "upstream_peer" | "upstream_peer_obj" | "wasm.upstream_peer" => {
            record.upstream.workload.map(|workload| packed(&peer(workload)))
        }
        _ => match filter_state(name, None, record) {
            Evaluated::Text(text) => Some(packed(&protobuf::StringValue { value: text.into_owned() })),
            _ => None,
        },
    }
}

fn packed<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn peer(workload: &Workload) -> protobuf::Struct {
    use protobuf::value::Kind;
    let text = |text: &str| protobuf::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let labels = [
        ("service.istio.io/canonical-name", &workload.canonical_name),
        ("service.istio.io/canonical-revision", &workload.canonical_revision),
    ];
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
    let labels = protobuf::Struct { fields: labels.collect() };
    let fields = [
        ("NAME", &workload.name),
        ("NAMESPACE", &workload.namespace),
        ("CLUSTER_ID", &workload.cluster_id),
        ("WORKLOAD_NAME", &workload.workload_name),
        ("IDENTITY", &workload.principal),
    ];
    let known = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let mut fields: HashMap<_, _> = known.map(|(name, value)| (name.to_owned(), text(value))).collect();
    fields.insert("LABELS".to_owned(), protobuf::Value { kind: Some(Kind::StructValue(labels)) });
    protobuf::Struct { fields: fields.into_iter().collect() }
}
