//! One transaction: netlink messages between a begin and an end, which the kernel takes all of or nothing.
//! Spec: linux/netfilter/nfnetlink.h, nf_tables.h.

use super::attribute::Attributes;
use super::{Chain, Family, Rule, Table, encode};

const NETLINK_HEADER_BYTES: usize = 16;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;

const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;

/// Encoded messages, and what each of them is, so that a refusal can be put in words.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// Index = sequence number of the message.
    pub said: Vec<String>,
}

/// A transaction after which the table is exactly this one, whether it was there before or not.
#[must_use]
pub fn replace(table: &Table) -> Batch {
    transaction(|batch| {
        // Deleting a table that is not there would fail the transaction; adding one that is there does not.
        batch.table(NEW_TABLE, table.family, &table.name);
        batch.table(DELETE_TABLE, table.family, &table.name);
        batch.table(NEW_TABLE, table.family, &table.name);
        for chain in &table.chains {
            batch.chain(table, chain);
        }
        for chain in &table.chains {
            for rule in &chain.rules {
                batch.rule(table, chain, rule);
            }
        }
    })
}

/// A transaction after which the table is not there.
#[must_use]
pub fn remove(family: Family, name: &str) -> Batch {
    transaction(|batch| {
        batch.table(NEW_TABLE, family, name);
        batch.table(DELETE_TABLE, family, name);
    })
}

fn transaction(fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::default();
    batch.message((BATCH_BEGIN, 0), (0, SUBSYSTEM), "use nf_tables".into(), &[]);
    fill(&mut batch);
    batch.message((BATCH_END, 0), (0, SUBSYSTEM), "commit".into(), &[]);
    batch
}

impl Batch {
    fn table(&mut self, kind: u16, family: Family, name: &str) {
        let verb = if kind == NEW_TABLE { "add" } else { "delete" };
        let mut a = Attributes::default();
        a.name(1, name);
        self.nft(kind, family, format!("{verb} table ip {name}"), a);
    }

    fn chain(&mut self, table: &Table, chain: &Chain) {
        let mut a = Attributes::default();
        a.name(1, &table.name);
        a.name(3, &chain.name);
        let mut said = format!("add chain ip {} {}", table.name, chain.name);
        if let Some(base) = chain.base {
            a.nest(4, |hook| {
                hook.number(1, base.hook.number());
                hook.put(2, &base.priority.to_be_bytes());
            });
            a.name(7, base.kind.name());
            said += &format!(
                " {{ type {} hook {} priority {}; }}",
                base.kind.name(),
                base.hook.name(),
                base.priority
            );
        }
        self.nft(NEW_CHAIN, table.family, said, a);
    }

    fn rule(&mut self, table: &Table, chain: &Chain, rule: &Rule) {
        let mut a = Attributes::default();
        a.name(1, &table.name);
        a.name(2, &chain.name);
        a.nest(4, |list| encode::rule(list, &rule.terms));
        self.nft(NEW_RULE, table.family, format!("add rule ip {} {} {rule}", table.name, chain.name), a);
    }

    fn nft(&mut self, kind: u16, family: Family, said: String, attributes: Attributes) {
        let flags = if kind == DELETE_TABLE { NLM_F_ACK } else { NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND };
        let Family::Ip = family;
        self.message((SUBSYSTEM << 8 | kind, flags), (2, 0), said, &attributes.into_bytes());
    }

    /// A netlink header, then struct nfgenmsg {family, version 0, resource id big-endian}, then attributes.
    fn message(
        &mut self,
        (kind, flags): (u16, u16),
        (family, resource): (u8, u16),
        said: String,
        body: &[u8],
    ) {
        let length =
            u32::try_from(NETLINK_HEADER_BYTES + 4 + body.len()).expect("a rule stays far below 4 GiB");
        let sequence = u32::try_from(self.said.len()).expect("fewer messages than bytes");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend(0u32.to_ne_bytes()); // port: the kernel fills it in
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
        self.said.push(said);
    }
}
