//! Who we are towards istiod and towards services that take our telemetry. Envoy: `config.core.v3.Node`.

use super::metadata::MetadataValue;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// `waypoint~IP~POD.NS~NS.svc.DOMAIN`.
    pub id: String,
    /// `<service account>.<namespace>`.
    pub cluster: String,
    pub zone: String,
    /// A struct.
    pub metadata: MetadataValue,
}

impl NodeInfo {
    /// Nobody, for records that are not ours to fill.
    pub const NONE: &'static Self = &Self {
        id: String::new(),
        cluster: String::new(),
        zone: String::new(),
        metadata: MetadataValue::Struct(BTreeMap::new()),
    };
}
