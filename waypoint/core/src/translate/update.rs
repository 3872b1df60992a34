//! One delta response without its envelope.

use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;

/// What a delta response says about one type of resource.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    pub type_url: &'a str,
    pub resources: Vec<Resource<'a>>,
    pub removed: &'a [String],
}

#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
}

impl<'a> Update<'a> {
    /// A resource without content is left out: istiod sends removals as names.
    #[must_use]
    pub fn of(response: &'a DeltaDiscoveryResponse) -> Self {
        let resources = response.resources.iter().filter_map(|resource| {
            Some(Resource { name: &resource.name, bytes: &resource.resource.as_ref()?.value })
        });
        Self {
            type_url: &response.type_url,
            resources: resources.collect(),
            removed: &response.removed_resources,
        }
    }
}
