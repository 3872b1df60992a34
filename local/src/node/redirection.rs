//! What istio-cni writes into a captured pod's network namespace, so that its traffic meets ztunnel's sockets there.
//!
//! Invariant: the same packets are captured as with istio-cni's rules (istio: cni/pkg/iptables, `default.golden`), in the
//! same order of precedence; only the names of table and chains are ours. One table, so installing and removing is one
//! transaction each.

use std::net::Ipv4Addr;

use super::links::{Hop, LinkError, Links, MarkRule, Route};
use super::netns::NetNs;
use super::network::PROBE_SOURCE;
use super::nft::{self, Chain, Compare, Hook, L4, NftError, Rule, Table, Term, kernel};

/// Marks ztunnel's own packets. Istio: 1337.
pub const ZTUNNEL_MARK: u32 = 0x539;
/// Marks connections ztunnel began, so that replies to spoofed client addresses find back to it.
pub const CONNECTION_MARK: u32 = 0x111;
/// The bits of a mark that are Istio's.
pub const MARK_MASK: u32 = 0xfff;

pub const OUTBOUND_PORT: u16 = 15001;
pub const INBOUND_PORT: u16 = 15006;
pub const HBONE_PORT: u16 = 15008;
pub const DNS_PORT: u16 = 15053;

const TABLE: &str = "istio-ambient";
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const REPLY_RULE: MarkRule = MarkRule { mark: CONNECTION_MARK, mask: MARK_MASK, priority: 32764, table: 100 };
const REPLY_ROUTE: Route<'static> =
    Route { to: (Ipv4Addr::UNSPECIFIED, 0), device: "lo", hop: Hop::Local, source: None, table: 100 };

#[derive(Debug, thiserror::Error)]
pub enum RedirectionError {
    #[error(transparent)]
    Rules(#[from] NftError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("entering the pod's network namespace: {0}")]
    Namespace(#[from] std::io::Error),
}

/// Begins to capture. Installing twice is installing once.
pub async fn install(pod: &NetNs) -> Result<(), RedirectionError> {
    let links = Links::open(pod)?;
    links.add_rule(REPLY_RULE).await?;
    links.add_route(REPLY_ROUTE).await?;
    let table = table();
    pod.run(|| kernel::replace(&table))??;
    Ok(())
}

/// Ends capturing; connections under way go on as they were rewritten. Removing what is not there is no error.
pub async fn remove(pod: &NetNs) -> Result<(), RedirectionError> {
    pod.run(|| kernel::remove(nft::Family::Ip, TABLE))??;
    let links = Links::open(pod)?;
    links.remove_route(REPLY_ROUTE).await?;
    links.remove_rule(REPLY_RULE).await?;
    Ok(())
}

/// The rules as data.
#[must_use]
pub fn table() -> Table {
    Table {
        family: nft::Family::Ip,
        name: TABLE.into(),
        chains: vec![
            dns_zone_in(),
            dns_zone_out(),
            Chain::base("mangle-prerouting", Hook::Prerouting, nft::Kind::Filter, nft::MANGLE).with(vec![
                Rule::new([
                    ztunnels(Compare::Is),
                    Term::SetCtMark { keep: !MARK_MASK, value: CONNECTION_MARK },
                ]),
            ]),
            // A `route` chain, so that the restored mark is looked up again and finds table 100.
            Chain::base("mangle-output", Hook::Output, nft::Kind::Route, nft::MANGLE).with(vec![Rule::new(
                [
                    Term::CtMark { mask: MARK_MASK, compare: Compare::Is, value: CONNECTION_MARK },
                    Term::SetMarkFromCt,
                ],
            )]),
            inbound(),
            outbound(),
        ],
    }
}

fn ztunnels(compare: Compare) -> Term {
    Term::Mark { mask: MARK_MASK, compare, value: ZTUNNEL_MARK }
}

/// ztunnel's own DNS queries and their answers get a connection tracking zone of their own: the application's query was
/// rewritten to ztunnel's port, and both may have the same five-tuple.
fn dns_zone_out() -> Chain {
    Chain::base("raw-output", Hook::Output, nft::Kind::Filter, nft::RAW).with(vec![Rule::new([
        ztunnels(Compare::Is),
        Term::Dport(L4::Udp, Compare::Is, 53),
        Term::SetCtZone(1),
    ])])
}

fn dns_zone_in() -> Chain {
    Chain::base("raw-prerouting", Hook::Prerouting, nft::Kind::Filter, nft::RAW).with(vec![Rule::new([
        ztunnels(Compare::IsNot),
        Term::Sport(L4::Udp, Compare::Is, 53),
        Term::SetCtZone(1),
    ])])
}

fn inbound() -> Chain {
    Chain::base("nat-prerouting", Hook::Prerouting, nft::Kind::Nat, nft::DSTNAT).with(vec![
        Rule::new([Term::Saddr(Compare::Is, PROBE_SOURCE, 32), Term::L4(L4::Tcp), Term::Accept]),
        Rule::new([
            Term::Daddr(Compare::IsNot, LOCALHOST, 32),
            Term::Dport(L4::Tcp, Compare::IsNot, HBONE_PORT),
            ztunnels(Compare::IsNot),
            Term::Redirect(INBOUND_PORT),
        ]),
    ])
}

fn outbound() -> Chain {
    Chain::base("nat-output", Hook::Output, nft::Kind::Nat, nft::DSTNAT).with(vec![
        Rule::new([Term::Daddr(Compare::Is, PROBE_SOURCE, 32), Term::L4(L4::Tcp), Term::Accept]),
        Rule::new([
            Term::Oif(Compare::IsNot, "lo".into()),
            ztunnels(Compare::IsNot),
            Term::Dport(L4::Udp, Compare::Is, 53),
            Term::Redirect(DNS_PORT),
        ]),
        Rule::new([
            Term::Daddr(Compare::IsNot, LOCALHOST, 32),
            Term::Dport(L4::Tcp, Compare::Is, 53),
            ztunnels(Compare::IsNot),
            Term::Redirect(DNS_PORT),
        ]),
        Rule::new([
            Term::L4(L4::Tcp),
            Term::Mark { mask: MARK_MASK, compare: Compare::Is, value: CONNECTION_MARK },
            Term::Accept,
        ]),
        // A pod that calls itself by its own address is not captured.
        Rule::new([
            Term::Daddr(Compare::IsNot, LOCALHOST, 32),
            Term::Oif(Compare::Is, "lo".into()),
            Term::Accept,
        ]),
        Rule::new([
            Term::Daddr(Compare::IsNot, LOCALHOST, 32),
            Term::L4(L4::Tcp),
            ztunnels(Compare::IsNot),
            Term::Redirect(OUTBOUND_PORT),
        ]),
    ])
}
