use super::*;

fn header(version: ProxyProtocol, source: &str, destination: &str) -> Vec<u8> {
    let client = Some((source.parse().unwrap(), destination.parse().unwrap()));
    ProxyHeader { version, client }.encode()
}

#[test]
fn version_1_is_a_line() {
    for (source, destination, expect) in [
        ("10.0.0.1:4000", "10.96.0.7:80", "PROXY TCP4 10.0.0.1 10.96.0.7 4000 80\r\n"),
        ("[fd00::1]:4000", "[fd00::2]:80", "PROXY TCP6 fd00::1 fd00::2 4000 80\r\n"),
        ("[::ffff:10.0.0.1]:4000", "10.96.0.7:80", "PROXY TCP4 10.0.0.1 10.96.0.7 4000 80\r\n"),
        ("10.0.0.1:4000", "[fd00::2]:80", "PROXY TCP6 ::ffff:10.0.0.1 fd00::2 4000 80\r\n"),
    ] {
        let got = header(ProxyProtocol::V1, source, destination);
        assert_eq!(String::from_utf8(got).unwrap(), expect);
    }
}

#[test]
fn version_2_is_binary() {
    let got = header(ProxyProtocol::V2, "10.0.0.1:4000", "10.96.0.7:80");
    let expect =
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x60\x00\x07\x0f\xa0\x00\x50";
    assert_eq!(got, expect);
    let got = header(ProxyProtocol::V2, "[fd00::1]:4000", "[fd00::2]:80");
    assert_eq!((got.len(), &got[12..16]), (16 + 36, &[0x21, 0x21, 0, 36][..]));
}

#[test]
fn connections_of_our_own_name_no_client() {
    let own = |version| ProxyHeader { version, client: None }.encode();
    assert_eq!(own(ProxyProtocol::V1), b"PROXY UNKNOWN\r\n");
    assert_eq!(own(ProxyProtocol::V2)[12..], [0x20, 0, 0, 0]);
}
