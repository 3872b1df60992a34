use super::*;
use ApplicationProtocol::{H2c, Http10, Http11, Tls};

fn check(bytes: &[u8], expect: Verdict) {
    let got = look(bytes, Wanted { http: true, tls: true });
    assert_eq!(got, expect, "{}", bytes.escape_ascii());
}

#[test]
fn verdicts() {
    check(b"", Verdict::More);
    check(b"GET / HTTP/1.1\r\nHost: x\r\n", Verdict::Protocol(Http11));
    check(b"GET / HTTP/1.1\n", Verdict::Protocol(Http11));
    check(b"POST /a HTTP/1.0\r\n", Verdict::Protocol(Http10));
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Verdict::Protocol(H2c));
    check(b"PRI * HTTP/2.0\r\n\r\nSM", Verdict::More);
    check(b"P", Verdict::More);
    check(b"PO", Verdict::More);
    check(b"GE", Verdict::More);
    check(b"GET /no/end", Verdict::More);
    check(b"GETX / HTTP/1.1\r\n", Verdict::Other);
    check(b"GET /x\r\n", Verdict::Other);
    check(b"GET / HTTP/2.0\r\n", Verdict::Other);
    check(b"HELLO WORLD\r\n", Verdict::Other);
    check(b"get / HTTP/1.1\r\n", Verdict::Other);
    check(b"\x01\x02", Verdict::Other);
    check(b"\x16\x03\x01\x02\x00\x01", Verdict::Protocol(Tls));
    check(b"\x16\x03", Verdict::More);
    check(b"\x16\x03\x01\x02\x00\x02", Verdict::Other);
}

#[test]
fn only_what_is_wanted() {
    let hello = b"\x16\x03\x01\x02\x00\x01";
    assert_eq!(look(hello, Wanted { http: true, tls: false }), Verdict::Other);
    assert_eq!(look(b"GET / HTTP/1.1\r\n", Wanted { http: false, tls: true }), Verdict::Other);
}

#[test]
fn a_verdict_never_changes_with_more_bytes() {
    for whole in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest",
        b"\x16\x03\x03\x00\x10\x01abc",
        b"HELLO",
    ] {
        let mut decided = None;
        for end in 0..=whole.len() {
            match (look(&whole[..end], Wanted { http: true, tls: true }), decided) {
                (Verdict::More, None) => {}
                (verdict, None) => decided = Some(verdict),
                (verdict, Some(before)) => assert_eq!(verdict, before, "after {end} bytes"),
            }
        }
        assert!(decided.is_some());
    }
}
