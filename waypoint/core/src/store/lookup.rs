//! Walks the filter chain matcher: destination address, port, then the sniffed protocol, to one chain.
//!
//! Pure: sniffing itself is the IO's; this says whether it is needed. Envoy: `Network::MatchTree` over
//! `DestinationIPInput`, `DestinationPortInput`, `ApplicationProtocolInput`.

use super::snapshot::Target;
use crate::model::listener::{ApplicationProtocol, ChainMatcher, FilterChain, IpTable, MainInternal};
use std::sync::Arc;

/// What is known of the client's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Nobody looked yet.
    NotYet,
    Protocol(ApplicationProtocol),
    /// Looked, and it is none of the known ones, or the client stays silent.
    Unknown,
}

#[derive(Clone, Debug)]
pub enum ChainDecision {
    Chain(Arc<FilterChain>),
    /// The tree branches on the protocol here: look at the client's first bytes and ask again.
    NeedProtocol {
        http: bool,
        tls: bool,
    },
    /// No chain: 503 to the CONNECT, flag NR.
    None,
}

pub(crate) fn chain(listener: &MainInternal, target: &Target<'_>, sniffed: Sniffed) -> ChainDecision {
    let Some(root) = &listener.matcher else { return ChainDecision::None };
    match walk(root, target, sniffed) {
        Walk::Chain(name) => {
            listener.chains.get(name).cloned().map_or(ChainDecision::None, ChainDecision::Chain)
        }
        Walk::NeedProtocol => {
            let inspected = |ports: &Option<crate::model::listener::InspectedPorts>| {
                let port = target.address.map(|address| address.port());
                ports.as_ref().is_some_and(|ports| port.is_none_or(|port| ports.contains(port)))
            };
            let (http, tls) = (inspected(&listener.inspectors.http), inspected(&listener.inspectors.tls));
            if http || tls {
                ChainDecision::NeedProtocol { http, tls }
            } else {
                // No inspector runs for this port, so Envoy would find no protocol either.
                chain(listener, target, Sniffed::Unknown)
            }
        }
        Walk::None => ChainDecision::None,
    }
}

enum Walk<'a> {
    Chain(&'a str),
    NeedProtocol,
    None,
}

fn walk<'a>(matcher: &'a ChainMatcher, target: &Target<'_>, sniffed: Sniffed) -> Walk<'a> {
    let (found, on_no_match) = match matcher {
        ChainMatcher::Chain(name) => return Walk::Chain(name),
        ChainMatcher::DestinationIp(table) => return walk_ips(table, target, sniffed),
        ChainMatcher::DestinationPort { ports, on_no_match } => {
            let found = target.address.and_then(|address| ports.get(&address.port()));
            (found, on_no_match.as_deref())
        }
        ChainMatcher::ConnectAuthority { authorities, on_no_match } => {
            (authorities.get(target.authority), on_no_match.as_deref())
        }
        ChainMatcher::ApplicationProtocol { protocols, on_no_match } => match sniffed {
            Sniffed::NotYet => return Walk::NeedProtocol,
            Sniffed::Unknown => (None, on_no_match.as_deref()),
            Sniffed::Protocol(protocol) => {
                let found = protocols.iter().find(|(known, _)| *known == protocol).map(|(_, next)| next);
                (found, on_no_match.as_deref())
            }
        },
    };
    first([found, on_no_match].into_iter().flatten(), target, sniffed)
}

/// Longest prefix first; one that leads nowhere gives way to the next shorter.
fn walk_ips<'a>(table: &'a IpTable, target: &Target<'_>, sniffed: Sniffed) -> Walk<'a> {
    let ip = target.address.map(|address| address.ip().to_canonical());
    let host = ip.and_then(|ip| table.hosts.get(&ip));
    let within =
        table.prefixes.iter().filter(|(net, _)| ip.is_some_and(|ip| net.contains(&ip))).map(|(_, next)| next);
    first(host.into_iter().chain(within).map(|next| &**next).chain(&table.on_no_match), target, sniffed)
}

fn first<'a>(
    branches: impl Iterator<Item = &'a ChainMatcher>,
    target: &Target<'_>,
    sniffed: Sniffed,
) -> Walk<'a> {
    let mut results = branches.map(|branch| walk(branch, target, sniffed));
    results.find(|walk| !matches!(walk, Walk::None)).unwrap_or(Walk::None)
}

#[cfg(test)]
mod tests;
