use std::net::Ipv4Addr;

use super::attribute::Attributes;
use super::{Chain, Compare, Family, Hook, Kind, L4, Rule, Table, Term, batch, encode};

/// Bytes as hexadecimal words of four, as the kernel would read them.
fn hex(bytes: &[u8]) -> String {
    let words = bytes.chunks(4).map(|word| word.iter().map(|b| format!("{b:02x}")).collect::<String>());
    words.collect::<Vec<_>>().join(" ")
}

fn encoded(term: Term) -> String {
    let mut list = Attributes::default();
    encode::rule(&mut list, &[term]);
    hex(&list.into_bytes())
}

#[test]
fn rules_read_as_nft_writes_them() {
    let check = |terms: Vec<Term>, expect: &str| assert_eq!(Rule { terms }.to_string(), expect);
    let (ip, mask) = (Ipv4Addr::new(10, 244, 0, 0), 0xfff);
    check(
        vec![Term::Daddr(Compare::IsNot, Ipv4Addr::LOCALHOST, 32), Term::Accept],
        "ip daddr != 127.0.0.1 accept",
    );
    check(vec![Term::Saddr(Compare::Is, ip, 16), Term::Drop], "ip saddr 10.244.0.0/16 drop");
    check(
        vec![Term::Dport(L4::Tcp, Compare::IsNot, 15008), Term::Redirect(15006)],
        "tcp dport != 15008 redirect to :15006",
    );
    check(vec![Term::Mark { mask, compare: Compare::Is, value: 0x539 }], "meta mark & 0xfff == 0x539");
    check(
        vec![Term::Oif(Compare::Is, "lo".into()), Term::OneIn(3), Term::Goto("x".into())],
        "oifname \"lo\" numgen random mod 3 0 goto x",
    );
    check(vec![Term::Dnat("10.0.0.1:80".parse().unwrap())], "dnat to 10.0.0.1:80");
}

#[cfg(target_endian = "little")]
#[test]
fn attributes_are_padded_and_nested() {
    let mut a = Attributes::default();
    a.name(1, "lo");
    a.number(2, 0x0102_0304);
    a.nest(3, |inner| inner.put(1, &[9]));
    assert_eq!(hex(&a.into_bytes()), "07000100 6c6f0000 08000200 01020304 0c000380 05000100 09000000");
}

#[cfg(target_endian = "little")]
#[test]
fn terms_become_expressions() {
    let check = |term, expect: &str| {
        assert_eq!(encoded(term), expect.split_whitespace().collect::<Vec<_>>().join(" "));
    };
    // A list element with the name "immediate", padded, and its data: register 0 (verdict), code 1.
    check(
        Term::Accept,
        "30000180 0e000100 696d6d65 64696174 65000000
         1c000280 08000100 00000000
         10000280 0c000280 08000100 00000001",
    );
    // Load two bytes at offset 2 of the transport header after the protocol was compared with 6.
    check(
        Term::Dport(L4::Tcp, Compare::Is, 80),
        "24000180 09000100 6d657461 00000000 14000280 08000100 00000001 08000200 00000010
         2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 05000100 06000000
         34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300 00000002 08000400 00000002
         2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 06000100 00500000",
    );
    // The port in the packet's byte order, the NAT's register 1.
    check(
        Term::Redirect(15001),
        "2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 06000100 3a990000
         1c000180 0a000100 72656469 72000000 0c000280 08000100 00000001",
    );
    // A zone has two bytes in the machine's order.
    check(
        Term::SetCtZone(1),
        "2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 06000100 01000000
         20000180 07000100 63740000 14000280 08000200 00000011 08000400 00000001",
    );
}

#[test]
fn interface_names_fill_their_sixteen_bytes() {
    for name in ["lo", "exactly15chars_", "longer-than-an-interface-name"] {
        let text = encoded(Term::Oif(Compare::Is, name.into()));
        let shown: String = name.bytes().take(15).map(|b| format!("{b:02x}")).collect();
        let padded = format!("{shown:0<32}");
        assert!(text.replace(' ', "").ends_with(&padded), "{name}: {text}");
    }
}

#[test]
fn a_table_is_one_transaction_that_says_what_it_is() {
    let table = Table {
        family: Family::Ip,
        name: "t".into(),
        chains: vec![
            Chain::plain("later").with(vec![Rule::new([Term::Return])]),
            Chain::base("in", Hook::Input, Kind::Filter, 0)
                .with(vec![Rule::new([Term::Jump("later".into())])]),
        ],
    };
    let batch = batch::replace(&table);
    let expect = [
        "use nf_tables",
        "add table ip t",
        "delete table ip t",
        "add table ip t",
        "add chain ip t later",
        "add chain ip t in { type filter hook input priority 0; }",
        "add rule ip t later return",
        "add rule ip t in jump later",
        "commit",
    ];
    assert_eq!(batch.said, expect);
    // Each message's length leads to the next one, and the sequence numbers count them.
    let (mut at, mut sequence) = (0, 0u32);
    while at < batch.bytes.len() {
        let word = |i: usize| u32::from_ne_bytes(batch.bytes[at + i..at + i + 4].try_into().unwrap());
        assert_eq!(word(8), sequence);
        at += word(0) as usize;
        sequence += 1;
    }
    assert_eq!((at, sequence as usize), (batch.bytes.len(), expect.len()));
}
