//! nf_tables rules as data: tables, chains and rules of typed terms, printed as `nft` would write them.
//!
//! Not a general front end: it has the terms a pod's capture and a node's Services need. `encode` turns a rule into
//! expressions, `batch` a table into one transaction of netlink messages, `kernel` sends it; no `nft` binary is involved.
//! Spec: linux/netfilter/nf_tables.h.

pub mod attribute;
pub mod batch;
pub mod encode;
pub mod kernel;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

pub use kernel::NftError;

/// Hook priorities, as netfilter names them (linux/netfilter_ipv4.h).
pub const RAW: i32 = -300;
pub const MANGLE: i32 = -150;
pub const DSTNAT: i32 = -100;
pub const FILTER: i32 = 0;
pub const SRCNAT: i32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ip,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub family: Family,
    pub name: String,
    /// A chain stands before those that jump to it.
    pub chains: Vec<Chain>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub name: String,
    /// Where the kernel enters it; `None` for a chain only rules lead to.
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// A base chain's place; its policy is accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    pub hook: Hook,
    pub kind: Kind,
    pub priority: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Filter,
    Nat,
    /// Looks the route up again when the mark changed; output only.
    Route,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub terms: Vec<Term>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Is,
    IsNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Original,
    Reply,
}

/// What a rule asks of a packet, and what it does to it, in order; the first question that fails ends the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    Iif(Compare, String),
    Oif(Compare, String),
    L4(L4),
    /// The user of the socket that sends it.
    Skuid(Compare, u32),
    Mark {
        mask: u32,
        compare: Compare,
        value: u32,
    },
    CtMark {
        mask: u32,
        compare: Compare,
        value: u32,
    },
    /// Any of these bits: invalid 1, established 2, related 4, new 8, untracked 64.
    CtState(u32),
    CtDirection(Direction),
    CtZone(u16),
    Saddr(Compare, Ipv4Addr, u8),
    Daddr(Compare, Ipv4Addr, u8),
    Sport(L4, Compare, u16),
    Dport(L4, Compare, u16),
    /// One packet in n, at random.
    OneIn(u32),
    Counter,
    /// mark = mark & keep | value
    SetMark {
        keep: u32,
        value: u32,
    },
    SetCtMark {
        keep: u32,
        value: u32,
    },
    SetMarkFromCt,
    SetCtZone(u16),
    Notrack,
    Redirect(u16),
    Dnat(SocketAddrV4),
    Snat(Ipv4Addr),
    Masquerade,
    RejectReset,
    RejectUnreachable,
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

impl Chain {
    #[must_use]
    pub fn base(name: &str, hook: Hook, kind: Kind, priority: i32) -> Self {
        Self { name: name.into(), base: Some(Base { hook, kind, priority }), rules: Vec::new() }
    }

    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { name: name.into(), base: None, rules: Vec::new() }
    }

    #[must_use]
    pub fn with(self, rules: Vec<Rule>) -> Self {
        Self { rules, ..self }
    }
}

impl Rule {
    #[must_use]
    pub fn new<const N: usize>(terms: [Term; N]) -> Self {
        Self { terms: terms.into() }
    }
}

impl L4 {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl Hook {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Is => "",
            Self::IsNot => "!= ",
        })
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iif(c, name) => write!(f, "iifname {c}\"{name}\""),
            Self::Oif(c, name) => write!(f, "oifname {c}\"{name}\""),
            Self::L4(protocol) => write!(f, "meta l4proto {}", protocol.name()),
            Self::Skuid(c, id) => write!(f, "meta skuid {c}{id}"),
            Self::Mark { mask, compare, value } => {
                write!(f, "meta mark & {mask:#x} {} {value:#x}", sign(*compare))
            }
            Self::CtMark { mask, compare, value } => {
                write!(f, "ct mark & {mask:#x} {} {value:#x}", sign(*compare))
            }
            Self::CtState(bits) => write!(f, "ct state & {bits:#x} != 0"),
            Self::CtDirection(Direction::Original) => f.write_str("ct direction original"),
            Self::CtDirection(Direction::Reply) => f.write_str("ct direction reply"),
            Self::CtZone(zone) => write!(f, "ct zone {zone}"),
            Self::Saddr(c, ip, prefix) => write!(f, "ip saddr {c}{}", Prefix(*ip, *prefix)),
            Self::Daddr(c, ip, prefix) => write!(f, "ip daddr {c}{}", Prefix(*ip, *prefix)),
            Self::Sport(l4, c, port) => write!(f, "{} sport {c}{port}", l4.name()),
            Self::Dport(l4, c, port) => write!(f, "{} dport {c}{port}", l4.name()),
            Self::OneIn(n) => write!(f, "numgen random mod {n} 0"),
            Self::Counter => f.write_str("counter"),
            Self::SetMark { keep, value } => write!(f, "meta mark set meta mark & {keep:#x} | {value:#x}"),
            Self::SetCtMark { keep, value } => write!(f, "ct mark set ct mark & {keep:#x} | {value:#x}"),
            Self::SetMarkFromCt => f.write_str("meta mark set ct mark"),
            Self::SetCtZone(zone) => write!(f, "ct zone set {zone}"),
            Self::Notrack => f.write_str("notrack"),
            Self::Redirect(port) => write!(f, "redirect to :{port}"),
            Self::Dnat(to) => write!(f, "dnat to {to}"),
            Self::Snat(to) => write!(f, "snat to {to}"),
            Self::Masquerade => f.write_str("masquerade"),
            Self::RejectReset => f.write_str("reject with tcp reset"),
            Self::RejectUnreachable => f.write_str("reject"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Is => "==",
        Compare::IsNot => "!=",
    }
}

struct Prefix(Ipv4Addr, u8);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 32 { write!(f, "{}", self.0) } else { write!(f, "{}/{}", self.0, self.1) }
    }
}

#[cfg(test)]
mod tests;
