//! Whatever istiod sends becomes a value or a rejection, never a panic; and the same again says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use waypoint_core::store::Store;

fuzz_target!(|input: &[u8]| {
    let Some(update) = fairway_fuzz::update(input) else { return };
    let mut store = Store::new("");
    let first = store.apply(&update, Duration::ZERO);
    let again = store.apply(&update, Duration::ZERO);
    assert_eq!(format!("{:?}", first.rejections), format!("{:?}", again.rejections));
});
