//! Plays a recorded stream into a store.

use crate::recordings::{goldens, recordings};
use prost::Message;
use std::path::Path;
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
    /// The stream of the only waypoint of a scenario.
    pub(crate) fn open(scenario: &str) -> Self {
        let mut of_waypoints =
            recordings().into_iter().filter(|path| path.starts_with(goldens().join(scenario)));
        let path = of_waypoints.next().unwrap_or_else(|| panic!("{scenario} has no waypoint"));
        assert_eq!(of_waypoints.next(), None, "{scenario} has several waypoints");
        Self::read(&path)
    }

    pub(crate) fn read(path: &Path) -> Self {
        let name = path.display();
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut bytes = bytes.as_slice();
        let mut left = Vec::new();
        while !bytes.is_empty() {
            let response = DeltaDiscoveryResponse::decode_length_delimited(&mut bytes).unwrap();
            left.push(response);
        }
        assert!(!left.is_empty(), "{name} holds no responses");
        left.reverse();
        Self { left, store: Store::new("") }
    }

    pub(crate) fn next_response(&mut self) -> Option<(DeltaDiscoveryResponse, Applied)> {
        let response = self.left.pop()?;
        if is_marker(&response) {
            return self.next_response();
        }
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

    /// Everything before the marker that ends this step, counted from 1.
    pub(crate) fn played_to(mut self, step: usize) -> Arc<Snapshot> {
        let mut markers = self.left.iter().enumerate().rev().filter(|(_, response)| is_marker(response));
        // The stream begins with the marker of its first step.
        let end =
            markers.nth(step).map(|(index, _)| index).unwrap_or_else(|| panic!("there is no step {step}"));
        self.left.drain(..=end);
        self.played_out()
    }

    pub(crate) fn played_out(mut self) -> Arc<Snapshot> {
        while self.next_response().is_some() {}
        self.store.snapshot()
    }
}

fn is_marker(response: &DeltaDiscoveryResponse) -> bool {
    response.type_url.ends_with("render.StepMarker")
}
