use super::*;

#[test]
fn timeouts_have_at_most_eight_digits() {
    let cases = [
        (Duration::from_millis(500), "500m"),
        (Duration::from_secs(600), "600000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::MAX, "99999999S"),
    ];
    for (timeout, expect) in cases {
        assert_eq!(grpc_timeout(timeout), expect);
    }
}

#[test]
fn messages_are_framed() {
    assert_eq!(framed(b"ab").unwrap(), &b"\0\0\0\0\x02ab"[..]);
}
