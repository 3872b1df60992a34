//! kube-proxy's part: Service addresses become addresses of ready pods, in the node's network namespace.
//!
//! The source address is kept, so that ztunnel and policies see the client. The one exception is a pod that reaches itself
//! through its Service: with its own address as the source it would drop the packet, so that is masqueraded, as kube-proxy
//! does. The whole table is replaced in one transaction; connections under way keep their endpoint.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::nft::{self, Chain, Compare, Hook, L4, NftError, Rule, Table, Term, kernel};

const TABLE: &str = "fairway-services";
/// Hairpin packets between the rewriting and the masquerading. kube-proxy: 0x4000.
const HAIRPIN_MARK: u32 = 0x4000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// One port of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceVip {
    pub vip: Ipv4Addr,
    pub port: u16,
    pub protocol: Protocol,
    pub endpoints: Vec<SocketAddrV4>,
}

/// Replaces all Services of the calling thread's network namespace.
pub fn replace(services: &[ServiceVip]) -> Result<(), NftError> {
    kernel::replace(&table(services))
}

/// The rules as data.
#[must_use]
pub fn table(services: &[ServiceVip]) -> Table {
    let mut chains = vec![
        dispatch("prerouting", Hook::Prerouting),
        dispatch("output", Hook::Output),
        Chain::base("postrouting", Hook::Postrouting, nft::Kind::Nat, nft::SRCNAT).with(vec![Rule::new([
            Term::Mark { mask: HAIRPIN_MARK, compare: Compare::Is, value: HAIRPIN_MARK },
            Term::SetMark { keep: !HAIRPIN_MARK, value: 0 },
            Term::Masquerade,
        ])]),
        refuse("forward", Hook::Forward, services),
        refuse("local", Hook::Output, services),
    ];
    let endpoints: BTreeSet<_> =
        services.iter().flat_map(|s| s.endpoints.iter().map(|e| (s.protocol, *e))).collect();
    // A chain must exist before a rule leads to it: endpoints, then the Services, then the list of all.
    let mut tail: Vec<Chain> = endpoints.into_iter().map(|(protocol, to)| endpoint(protocol, to)).collect();
    tail.push(Chain::plain("services").with(services.iter().flat_map(choose).collect()));
    chains.splice(0..0, tail);
    Table { family: nft::Family::Ip, name: TABLE.into(), chains }
}

fn dispatch(name: &str, hook: Hook) -> Chain {
    Chain::base(name, hook, nft::Kind::Nat, nft::DSTNAT)
        .with(vec![Rule::new([Term::Jump("services".into())])])
}

/// One rule per endpoint; rule i of n takes one in the remaining n-i connections, the last one all that are left.
fn choose(service: &ServiceVip) -> impl Iterator<Item = Rule> + '_ {
    let n = service.endpoints.len();
    service.endpoints.iter().enumerate().map(move |(i, to)| {
        let mut terms = meant_for(service).to_vec();
        let left = u32::try_from(n - i).unwrap_or(u32::MAX);
        if left > 1 {
            terms.push(Term::OneIn(left));
        }
        terms.push(Term::Goto(endpoint_chain(service.protocol, *to)));
        Rule { terms }
    })
}

fn endpoint(protocol: Protocol, to: SocketAddrV4) -> Chain {
    Chain::plain(&endpoint_chain(protocol, to)).with(vec![
        Rule::new([
            Term::Saddr(Compare::Is, *to.ip(), 32),
            Term::SetMark { keep: !HAIRPIN_MARK, value: HAIRPIN_MARK },
        ]),
        Rule::new([Term::L4(protocol.into()), Term::Dnat(to)]),
    ])
}

/// A Service without endpoints answers at once instead of timing out.
fn refuse(name: &str, hook: Hook, services: &[ServiceVip]) -> Chain {
    let rules = services.iter().filter(|s| s.endpoints.is_empty()).map(|service| {
        let mut terms = meant_for(service).to_vec();
        terms.push(match service.protocol {
            Protocol::Tcp => Term::RejectReset,
            Protocol::Udp => Term::RejectUnreachable,
        });
        Rule { terms }
    });
    Chain::base(name, hook, nft::Kind::Filter, nft::FILTER).with(rules.collect())
}

fn meant_for(service: &ServiceVip) -> [Term; 2] {
    [
        Term::Daddr(Compare::Is, service.vip, 32),
        Term::Dport(service.protocol.into(), Compare::Is, service.port),
    ]
}

fn endpoint_chain(protocol: Protocol, to: SocketAddrV4) -> String {
    format!("{}-{}-{}", L4::from(protocol).name(), to.ip(), to.port())
}

impl From<Protocol> for L4 {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

#[cfg(test)]
mod tests;
