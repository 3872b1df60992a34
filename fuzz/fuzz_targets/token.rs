//! Tokens and key sets from strangers: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypoint_core::policy::jwt::{jwks, token};

fuzz_target!(|input: &[u8]| {
    let _ = jwks::parse(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(token) = token::parse(text) {
        assert!(text.as_bytes().starts_with(token.signed()));
        let _ = (token.payload(), token.issuer(), token.subject());
    }
});
