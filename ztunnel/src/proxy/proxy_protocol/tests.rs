use crate::proxy::proxy_protocol::header;
use mesh::identity::SpiffeId;

#[test]
fn the_header_as_ztunnel_sends_it() {
    let identity = SpiffeId::parse("spiffe://cluster.local/ns/default/sa/client").unwrap();
    let bytes = header("10.99.0.2:51800".parse().unwrap(), "10.98.0.1:80".parse().unwrap(), Some(&identity));
    assert_eq!(bytes[..12], *b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(bytes[12..16], [0x21, 0x11, 0x00, 58]);
    assert_eq!(bytes[16..28], [10, 99, 0, 2, 10, 98, 0, 1, 0xca, 0x58, 0, 80]);
    assert_eq!(bytes[28..31], [0xd0, 0, 43]);
    assert_eq!(bytes[31..], *identity.as_str().as_bytes());
}

#[test]
fn mixed_families_are_ipv6() {
    let bytes = header("10.0.0.1:1".parse().unwrap(), "[::2]:2".parse().unwrap(), None);
    assert_eq!((bytes[13], bytes.len()), (0x21, 16 + 36));
    assert_eq!(bytes[26..32], [0xff, 0xff, 10, 0, 0, 1], "the source, mapped");
}
