//! What fuzz targets and their seeds share: a resource as one input.

use waypoint_core::translate::update::{Resource, Update};
use xds_client::type_url;

/// An input's first byte says what the rest is.
pub const KINDS: &[(&str, &str)] = &[
    (type_url::LISTENER, "main_internal"),
    (type_url::LISTENER, "connect_terminate"),
    (type_url::CLUSTER, "cluster"),
    (type_url::ENDPOINT, "cluster"),
    (type_url::WORKLOAD, "workload"),
    (type_url::EXTENSION_CONFIG, "extension"),
];

/// The update of an input, as it would come from istiod.
pub fn update(input: &[u8]) -> Option<Update<'_>> {
    let (kind, bytes) = input.split_first()?;
    let (type_url, name) = KINDS.get(usize::from(*kind))?;
    Some(Update { type_url, resources: vec![Resource { name, bytes }], removed: &[] })
}
