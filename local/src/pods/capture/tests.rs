use super::{CaptureReport, PortCount, segment};

/// An Ethernet frame with an IPv4 packet; `options` are extra words of the IP header.
fn frame(protocol: u8, ports: (u16, u16), options: u8, payload: &[u8]) -> Vec<u8> {
    let mut l4 = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    if protocol == 6 {
        l4.resize(20, 0);
        l4[12] = 5 << 4;
    } else {
        l4.resize(8, 0);
    }
    l4.extend(payload);
    let header = 20 + usize::from(options) * 4;
    let mut ip = vec![0; header];
    ip[0] = 0x40 | (5 + options);
    ip[2..4].copy_from_slice(&u16::try_from(header + l4.len()).unwrap().to_be_bytes());
    ip[9] = protocol;
    [vec![0; 12], vec![8, 0], ip, l4].concat()
}

#[test]
fn finds_the_payload() {
    let check = |bytes: &[u8], expect: Option<(u16, &[u8])>| {
        assert_eq!(segment(bytes).map(|s| (s.port, s.payload)), expect);
    };
    check(&frame(6, (40000, 80), 0, b"GET /"), Some((80, b"GET /")));
    check(&frame(6, (15008, 40000), 2, b"x"), Some((15008, b"x")));
    check(&frame(17, (5353, 53), 0, b"q"), Some((53, b"q")));
    check(&frame(1, (0, 0), 0, b"ping"), None);
    let mut padded = frame(6, (80, 40000), 0, b"");
    padded.resize(60, 0); // Ethernet's smallest frame
    check(&padded, Some((80, b"")));
    let whole = frame(6, (40000, 80), 0, b"GET /");
    for n in 0..whole.len() - 5 {
        check(&whole[..n], None);
    }
    let mut arp = whole;
    arp[12..14].copy_from_slice(&[8, 6]);
    check(&arp, None);
}

#[test]
fn counts_ports_and_needles() {
    let mut report = CaptureReport { found: vec![0, 0, 0], ..CaptureReport::default() };
    let needles = [b"secret".to_vec(), b"absent".to_vec(), Vec::new()];
    report.count(&frame(6, (40000, 9080), 0, b"a secret, a secret"), &needles);
    report.count(&frame(6, (9080, 40000), 0, b"ok"), &needles);
    report.count(&[1, 2, 3], &needles);
    assert_eq!(report.packets, 3);
    assert_eq!(report.ports.get(&9080), Some(&PortCount { packets: 2, payload_bytes: 20 }));
    assert_eq!(report.found, [1, 0, 0]);
}
