//! Our own node message, as telemetry speaks of it.

use super::pb::core;
use super::values;
use crate::model::metadata::MetadataValue;
use crate::model::node::NodeInfo;

/// `zone`: where istiod's registry has not been asked, the node's own locality.
#[must_use]
pub fn info(node: &core::Node) -> NodeInfo {
    let metadata = node.metadata.clone().map_or_else(|| MetadataValue::Struct([].into()), values::structure);
    NodeInfo {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        zone: node.locality.as_ref().map_or_else(String::new, |locality| locality.zone.clone()),
        metadata,
    }
}
