//! Terms -> nf_tables expressions, the kernel's small register machine: load into a register, compare, act on a register.
//!
//! Every term uses registers from the first on and leaves nothing behind for the next. Values in registers have the byte
//! order of where they came from: packet fields big-endian, marks and zones the machine's.
//! Spec: linux/netfilter/nf_tables.h.

use std::net::Ipv4Addr;

use super::attribute::Attributes;
use super::{Compare, Direction, L4, Term};

// enum nft_registers: the verdict, and two of the 128-bit registers.
const VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;

// enum nft_meta_keys
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_SKUID: u32 = 10;
const META_L4PROTO: u32 = 16;

// enum nft_ct_keys
const CT_STATE: u32 = 0;
const CT_DIRECTION: u32 = 1;
const CT_MARK: u32 = 3;
const CT_ZONE: u32 = 17;

// enum nft_payload_bases, and offsets in the headers
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const IP_SADDR: u32 = 12;
const IP_DADDR: u32 = 16;
const L4_SPORT: u32 = 0;
const L4_DPORT: u32 = 2;

const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;

// enum nft_nat_types, enum nft_reject_types; NFPROTO_IPV4
const NAT_SNAT: u32 = 0;
const NAT_DNAT: u32 = 1;
const NFPROTO_IPV4: u32 = 2;
const REJECT_ICMP: u32 = 0;
const REJECT_RESET: u32 = 1;
const ICMP_PORT_UNREACHABLE: u8 = 3;

// enum nft_verdicts and netfilter's own; negative numbers as the wire has them.
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_JUMP: i32 = -3;
const NFT_GOTO: i32 = -4;
const NFT_RETURN: i32 = -5;

/// Interface names are compared whole, padded with zeros (IFNAMSIZ).
const INTERFACE_NAME_BYTES: usize = 16;

/// NFTA_LIST_ELEM
const LIST_ELEMENT: u16 = 1;

/// Appends the expressions of a rule's terms, each as a list element.
pub fn rule(list: &mut Attributes, terms: &[Term]) {
    let mut out = Expressions { list };
    for term in terms {
        out.term(term);
    }
}

struct Expressions<'a> {
    list: &'a mut Attributes,
}

impl Expressions<'_> {
    fn term(&mut self, term: &Term) {
        match term {
            Term::Iif(compare, name) => self.interface(META_IIFNAME, *compare, name),
            Term::Oif(compare, name) => self.interface(META_OIFNAME, *compare, name),
            Term::L4(protocol) => self.l4(*protocol),
            Term::Skuid(compare, id) => {
                self.load("meta", META_SKUID);
                self.cmp(*compare, &id.to_ne_bytes());
            }
            Term::Mark { mask, compare, value } => self.masked("meta", META_MARK, (*mask, *compare, *value)),
            Term::CtMark { mask, compare, value } => self.masked("ct", CT_MARK, (*mask, *compare, *value)),
            Term::CtState(bits) => self.masked("ct", CT_STATE, (*bits, Compare::IsNot, 0)),
            Term::CtDirection(direction) => {
                self.load("ct", CT_DIRECTION);
                self.cmp(Compare::Is, &[u8::from(*direction == Direction::Reply)]);
            }
            Term::CtZone(zone) => {
                self.load("ct", CT_ZONE);
                self.cmp(Compare::Is, &zone.to_ne_bytes());
            }
            Term::Saddr(compare, ip, prefix) => self.address(IP_SADDR, *compare, (*ip, *prefix)),
            Term::Daddr(compare, ip, prefix) => self.address(IP_DADDR, *compare, (*ip, *prefix)),
            Term::Sport(l4, compare, port) => self.port((*l4, L4_SPORT), *compare, *port),
            Term::Dport(l4, compare, port) => self.port((*l4, L4_DPORT), *compare, *port),
            Term::OneIn(n) => self.one_in(*n),
            action => self.action(action),
        }
    }

    fn action(&mut self, term: &Term) {
        match term {
            Term::Counter => self.push("counter", |_| {}),
            Term::SetMark { keep, value } => self.change("meta", META_MARK, (*keep, *value)),
            Term::SetCtMark { keep, value } => self.change("ct", CT_MARK, (*keep, *value)),
            Term::SetMarkFromCt => {
                self.load("ct", CT_MARK);
                self.store("meta", META_MARK);
            }
            Term::SetCtZone(zone) => {
                self.immediate(REGISTER_1, &zone.to_ne_bytes());
                self.store("ct", CT_ZONE);
            }
            Term::Notrack => self.push("notrack", |_| {}),
            Term::Redirect(port) => {
                self.immediate(REGISTER_1, &port.to_be_bytes());
                self.push("redir", |a| a.number(1, REGISTER_1));
            }
            Term::Dnat(to) => {
                self.immediate(REGISTER_1, &to.ip().octets());
                self.immediate(REGISTER_2, &to.port().to_be_bytes());
                self.nat(NAT_DNAT, Some(REGISTER_2));
            }
            Term::Snat(to) => {
                self.immediate(REGISTER_1, &to.octets());
                self.nat(NAT_SNAT, None);
            }
            Term::Masquerade => self.push("masq", |_| {}),
            Term::RejectReset => self.push("reject", |a| a.number(1, REJECT_RESET)),
            Term::RejectUnreachable => self.push("reject", |a| {
                a.number(1, REJECT_ICMP);
                a.put(2, &[ICMP_PORT_UNREACHABLE]);
            }),
            verdict => self.verdict(verdict),
        }
    }

    fn verdict(&mut self, term: &Term) {
        let (code, chain) = match term {
            Term::Accept => (NF_ACCEPT, None),
            Term::Drop => (NF_DROP, None),
            Term::Return => (NFT_RETURN, None),
            Term::Jump(chain) => (NFT_JUMP, Some(chain)),
            Term::Goto(chain) => (NFT_GOTO, Some(chain)),
            other => unreachable!("`{other}` is encoded above"),
        };
        self.push("immediate", |a| {
            a.number(1, VERDICT);
            a.nest(2, |data| {
                data.nest(2, |verdict| {
                    verdict.put(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.name(2, chain);
                    }
                });
            });
        });
    }

    fn push(&mut self, name: &str, fill: impl FnOnce(&mut Attributes)) {
        self.list.nest(LIST_ELEMENT, |e| {
            e.name(1, name);
            e.nest(2, fill);
        });
    }

    /// `meta` and `ct` both: destination register 1, key 2.
    fn load(&mut self, from: &str, key: u32) {
        self.push(from, |a| {
            a.number(1, REGISTER_1);
            a.number(2, key);
        });
    }

    fn store(&mut self, to: &str, key: u32) {
        // NFTA_META_SREG is 3, NFTA_CT_SREG 4.
        let source = if to == "ct" { 4 } else { 3 };
        self.push(to, |a| {
            a.number(2, key);
            a.number(source, REGISTER_1);
        });
    }

    fn cmp(&mut self, compare: Compare, value: &[u8]) {
        self.push("cmp", |a| {
            a.number(1, REGISTER_1);
            a.number(2, if compare == Compare::Is { CMP_EQ } else { CMP_NEQ });
            a.nest(3, |data| data.put(1, value));
        });
    }

    /// register = register & mask ^ flip
    fn bitwise(&mut self, mask: [u8; 4], flip: [u8; 4]) {
        self.push("bitwise", |a| {
            a.number(1, REGISTER_1);
            a.number(2, REGISTER_1);
            a.number(3, 4);
            a.nest(4, |data| data.put(1, &mask));
            a.nest(5, |data| data.put(1, &flip));
        });
    }

    fn immediate(&mut self, register: u32, value: &[u8]) {
        self.push("immediate", |a| {
            a.number(1, register);
            a.nest(2, |data| data.put(1, value));
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) {
        self.push("payload", |a| {
            a.number(1, REGISTER_1);
            a.number(2, base);
            a.number(3, offset);
            a.number(4, length);
        });
    }

    fn interface(&mut self, key: u32, compare: Compare, name: &str) {
        let mut bytes = [0; INTERFACE_NAME_BYTES];
        let n = name.len().min(INTERFACE_NAME_BYTES - 1);
        bytes[..n].copy_from_slice(&name.as_bytes()[..n]);
        self.load("meta", key);
        self.cmp(compare, &bytes);
    }

    fn l4(&mut self, protocol: L4) {
        self.load("meta", META_L4PROTO);
        self.cmp(Compare::Is, &[protocol.number()]);
    }

    fn masked(&mut self, from: &str, key: u32, (mask, compare, value): (u32, Compare, u32)) {
        self.load(from, key);
        self.bitwise(mask.to_ne_bytes(), [0; 4]);
        self.cmp(compare, &value.to_ne_bytes());
    }

    /// mark & keep | value, said with & and ^: the bits of `value` are cleared first.
    fn change(&mut self, what: &str, key: u32, (keep, value): (u32, u32)) {
        self.load(what, key);
        self.bitwise((keep & !value).to_ne_bytes(), value.to_ne_bytes());
        self.store(what, key);
    }

    fn address(&mut self, offset: u32, compare: Compare, (ip, prefix): (Ipv4Addr, u8)) {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        self.payload(NETWORK_HEADER, offset, 4);
        if mask != u32::MAX {
            self.bitwise(mask.to_be_bytes(), [0; 4]);
        }
        self.cmp(compare, &(ip.to_bits() & mask).to_be_bytes());
    }

    fn port(&mut self, (l4, offset): (L4, u32), compare: Compare, port: u16) {
        self.l4(l4);
        self.payload(TRANSPORT_HEADER, offset, 2);
        self.cmp(compare, &port.to_be_bytes());
    }

    fn one_in(&mut self, n: u32) {
        self.push("numgen", |a| {
            a.number(1, REGISTER_1);
            a.number(2, n);
            a.number(3, 1); // NFT_NG_RANDOM
            a.number(4, 0);
        });
        self.cmp(Compare::Is, &0u32.to_ne_bytes());
    }

    fn nat(&mut self, kind: u32, port: Option<u32>) {
        self.push("nat", |a| {
            a.number(1, kind);
            a.number(2, NFPROTO_IPV4);
            a.number(3, REGISTER_1);
            if let Some(port) = port {
                a.number(5, port);
            }
        });
    }
}
