//! Raw resources as they came, for config dumps: what istioctl compares with what istiod sent.
//!
//! Bytes are shared with the decoded message, not copied. Not used to serve traffic.

use crate::delta::Rejection;
use crate::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// One resource as last accepted.
#[derive(Clone, Debug)]
pub struct RawResource {
    pub type_url: Arc<str>,
    pub value: Bytes,
    /// `system_version_info` of the response that brought it: what `version_info` of a dump shows.
    pub version: Arc<str>,
    pub last_updated: SystemTime,
    /// The last version that was refused, and why; cleared by the next good one.
    pub error: Option<String>,
}

/// Shared between the client that fills it and the admin server that prints it.
#[derive(Clone, Debug, Default)]
pub struct RawCache {
    kept: Arc<[&'static str]>,
    types: Arc<Mutex<HashMap<&'static str, BTreeMap<String, RawResource>>>>,
}

impl RawCache {
    /// Keeps resources of these types only; a waypoint's workloads, say, are not in Envoy's dump.
    #[must_use]
    pub fn keeping(types: &[&'static str]) -> Self {
        Self { kept: types.into(), types: Arc::default() }
    }

    pub(crate) fn record(
        &self,
        response: &DeltaDiscoveryResponse,
        rejections: &[Rejection],
        now: SystemTime,
    ) {
        let Some(kept) = self.kept.iter().find(|url| **url == response.type_url) else { return };
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = types.entry(kept).or_default();
        for name in &response.removed_resources {
            resources.remove(name);
        }
        let version: Arc<str> = response.system_version_info.as_str().into();
        for resource in &response.resources {
            if let Some(rejection) = rejections.iter().find(|rejection| rejection.name == resource.name) {
                if let Some(old) = resources.get_mut(&resource.name) {
                    old.error = Some(rejection.reason.clone());
                }
                continue;
            }
            let Some(any) = &resource.resource else { continue };
            let raw = RawResource {
                type_url: any.type_url.as_str().into(),
                value: any.value.clone().into(),
                version: version.clone(),
                last_updated: now,
                error: None,
            };
            resources.insert(resource.name.clone(), raw);
        }
    }

    /// All resources of a type by name.
    #[must_use]
    pub fn resources(&self, type_url: &str) -> Vec<(String, RawResource)> {
        let types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        types.get(type_url).into_iter().flatten().map(|(name, raw)| (name.clone(), raw.clone())).collect()
    }
}
