//! The rules as the kernel keeps them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use fairway::node::netns::NetNs;
use fairway::node::nft::{self, Chain, Hook, Kind, NftError, Rule, Table, Term, kernel};
use fairway::node::{redirection, services};

use crate::lab::{A, B, VIP};
use fairway::node::services::{Protocol, ServiceVip};

/// What `nft list ruleset` says, or nothing where there is no nft.
fn listed(ns: &NetNs) -> anyhow::Result<Option<String>> {
    let mut command = Command::new("nft");
    command.args(["-n", "list", "ruleset"]);
    ns.start_inside(&mut command);
    match command.output() {
        Ok(out) if out.status.success() => Ok(Some(String::from_utf8(out.stdout)?)),
        Ok(out) => bail!("nft: {}", String::from_utf8_lossy(&out.stderr)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("  (no nft here to read the rules back with)");
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}

/// Compares with a file of `expected/`; with UPDATE_EXPECT in the environment it is written instead, to be reviewed.
fn same(ns: &NetNs, name: &str) -> anyhow::Result<()> {
    let Some(listed) = listed(ns)? else { return Ok(()) };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/expected").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(std::fs::write(path, listed)?);
    }
    let expect = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    ensure!(listed == expect, "the kernel has\n{listed}\n{name} says\n{expect}");
    Ok(())
}

pub(crate) async fn reads_as_written() -> anyhow::Result<()> {
    let ns = NetNs::new()?;
    let table = redirection::table();
    ns.run(|| kernel::replace(&table))??;
    same(&ns, "redirection.nft")?;

    let ns = NetNs::new()?;
    let vip = |port, protocol, endpoints: &[&str]| ServiceVip {
        vip: VIP,
        port,
        protocol,
        endpoints: endpoints.iter().filter_map(|e| e.parse().ok()).collect(),
    };
    let all = [
        vip(80, Protocol::Tcp, &["10.244.0.10:8080", "10.244.0.11:8080", "10.244.0.12:8080"]),
        vip(53, Protocol::Udp, &["10.244.0.10:5353"]),
        vip(443, Protocol::Tcp, &[]),
        vip(443, Protocol::Udp, &[]),
    ];
    ns.run(|| services::replace(&all))??;
    same(&ns, "services.nft")?;

    let ns = NetNs::new()?;
    let table = every_term();
    ns.run(|| kernel::replace(&table))??;
    same(&ns, "terms.nft")
}

/// The terms the two real tables do not use.
fn every_term() -> Table {
    use nft::{Compare, Direction, L4};
    let filter = Chain::base("out", Hook::Output, Kind::Filter, nft::FILTER).with(vec![
        Rule::new([Term::Iif(Compare::Is, "eth0".into()), Term::Counter, Term::Drop]),
        Rule::new([Term::Skuid(Compare::IsNot, 1337), Term::Return]),
        Rule::new([Term::CtState(2 | 4), Term::CtDirection(Direction::Reply), Term::Accept]),
        Rule::new([Term::CtZone(7), Term::Notrack]),
        Rule::new([Term::Saddr(Compare::IsNot, A, 24), Term::SetMark { keep: 0xffff_0000, value: 0x12 }]),
        Rule::new([Term::Sport(L4::Udp, Compare::Is, 53), Term::RejectUnreachable]),
    ]);
    let nat = Chain::base("nat", Hook::Postrouting, Kind::Nat, nft::SRCNAT)
        .with(vec![Rule::new([Term::Daddr(Compare::Is, B, 32), Term::Snat(A)])]);
    Table { family: nft::Family::Ip, name: "terms".into(), chains: vec![filter, nat] }
}

pub(crate) async fn names_what_the_kernel_refused() -> anyhow::Result<()> {
    let ns = NetNs::new()?;
    let chain = Chain::base("fine", Hook::Forward, Kind::Filter, nft::FILTER)
        .with(vec![Rule::new([Term::Accept]), Rule::new([Term::Redirect(15001)])]);
    let table = Table { family: nft::Family::Ip, name: "bad".into(), chains: vec![chain] };
    match ns.run(|| kernel::replace(&table))? {
        Err(NftError::Refused { what, .. }) if what == "add rule ip bad fine redirect to :15001" => {}
        other => bail!("a redirect where there is no NAT: {other:?}"),
    }
    if let Some(listed) = listed(&ns)? {
        ensure!(listed.is_empty(), "a refused transaction left {listed}");
    }
    Ok(())
}

pub(crate) async fn replacing_is_atomic() -> anyhow::Result<()> {
    let ns = NetNs::new()?;
    let table = |rules: Vec<Rule>| Table {
        family: nft::Family::Ip,
        name: "t".into(),
        chains: vec![Chain::base("c", Hook::Input, Kind::Filter, nft::FILTER).with(rules)],
    };
    let good = table(vec![Rule::new([Term::Counter, Term::Accept])]);
    let bad = table(vec![Rule::new([Term::Masquerade])]);
    ns.run(|| kernel::replace(&good))??;
    ns.run(|| kernel::replace(&good))?.context("replacing by the same")?;
    let before = listed(&ns)?;
    ensure!(ns.run(|| kernel::replace(&bad))?.is_err(), "masquerade in an input filter was accepted");
    ensure!(listed(&ns)? == before, "a refused replacement changed the rules");
    ns.run(|| kernel::remove(nft::Family::Ip, "t"))??;
    ns.run(|| kernel::remove(nft::Family::Ip, "t"))?.context("removing what is not there")?;
    ensure!(listed(&ns)?.is_none_or(|l| l.is_empty()), "the table is still there");
    Ok(())
}
