//! A CONNECT authority on its way to a chain: any text finds one or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use waypoint_core::store::{Snapshot, Sniffed, Store, Target};
use waypoint_core::translate::update::Update;
use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;

static STREAM: &[u8] =
    include_bytes!("../../conformance/goldens/14-serviceentry-egress/waypoint-egress-waypoint/stream.binpb");

/// A snapshot with addresses, ranges and wildcard hosts.
fn snapshot() -> &'static Arc<Snapshot> {
    static SNAPSHOT: OnceLock<Arc<Snapshot>> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let (mut store, mut stream) = (Store::new(""), STREAM);
        while !stream.is_empty() {
            let response = DeltaDiscoveryResponse::decode_length_delimited(&mut stream).expect("a golden");
            store.apply(&Update::of(&response), Duration::ZERO);
        }
        store.snapshot()
    })
}

fuzz_target!(|authority: &str| {
    let target = Target { address: authority.parse().ok(), authority };
    let _ = snapshot().chain(&target, Sniffed::NotYet);
    let _ = snapshot().chain(&target, Sniffed::Unknown);
});
