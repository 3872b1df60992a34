//! Plays a recorded stream into a store.

use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use waypoint_core::store::{Applied, Snapshot, Store};
use waypoint_core::translate::update::Update;
use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;

pub(crate) struct Stream {
    left: Vec<DeltaDiscoveryResponse>,
    pub(crate) store: Store,
}

impl Stream {
    pub(crate) fn open(scenario: &str) -> Self {
        let path = format!("{}/tests/goldens/{scenario}/stream.binpb", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut bytes = bytes.as_slice();
        let mut left = Vec::new();
        while !bytes.is_empty() {
            let response = DeltaDiscoveryResponse::decode_length_delimited(&mut bytes).unwrap();
            if !response.type_url.ends_with("render.StepMarker") {
                left.push(response);
            }
        }
        assert!(!left.is_empty(), "{path} holds no responses");
        left.reverse();
        Self { left, store: Store::new("") }
    }

    pub(crate) fn next_response(&mut self) -> Option<(DeltaDiscoveryResponse, Applied)> {
        let response = self.left.pop()?;
        let applied = self.store.apply(&Update::of(&response), Duration::ZERO);
        Some((response, applied))
    }

    /// Applies responses up to and including the first of this kind.
    pub(crate) fn skip_to(&mut self, kind: &str) {
        while let Some((response, _)) = self.next_response() {
            if response.type_url.ends_with(kind) {
                return;
            }
        }
        panic!("no response of {kind}");
    }

    pub(crate) fn played_out(mut self) -> Arc<Snapshot> {
        while self.next_response().is_some() {}
        self.store.snapshot()
    }
}
