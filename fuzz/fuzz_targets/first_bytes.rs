//! The first bytes inside a tunnel: telling protocols apart, a ClientHello's name, a request head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypoint::proxy::http::head::{self, HeadRules};
use waypoint::proxy::sniff::{Verdict, Wanted};
use waypoint::proxy::{sni, sniff};

fuzz_target!(|input: &[u8]| {
    let _ = sni::look(input);
    let wanted = Wanted { http: true, tls: true };
    // A verdict stands whatever comes after it.
    let whole = sniff::look(input, wanted);
    for cut in [input.len() / 2, input.len().saturating_sub(1)] {
        let part = sniff::look(&input[..cut], wanted);
        assert!(matches!(part, Verdict::More) || format!("{part:?}") == format!("{whole:?}"));
    }
    for accept_http_10 in [false, true] {
        let rules = HeadRules { bytes: 60 << 10, fields: 100, accept_http_10, preserve_case: accept_http_10 };
        let _ = head::check(input, rules);
    }
});
