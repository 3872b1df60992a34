//! Captured pods: what meets ztunnel's sockets, and what does not.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, bail};
use fairway::node::netns::NetNs;
use fairway::node::network::{Network, PROBE_SOURCE};
use fairway::node::redirection::{self, DNS_PORT, HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT, ZTUNNEL_MARK};

use crate::lab::{A, B, NODE, PATIENCE, VIP, at, expect, greeter, greeting, greeting_with, node, pod};

/// Two pods; `A` is captured.
async fn captured() -> anyhow::Result<(Network, Arc<NetNs>, Arc<NetNs>)> {
    let node = node().await?;
    let (a, b) = (pod(&node, A).await?, pod(&node, B).await?);
    redirection::install(&a).await?;
    Ok((node, a, b))
}

pub(crate) async fn outbound_meets_ztunnel() -> anyhow::Result<()> {
    let (_node, a, b) = captured().await?;
    greeter(&a, OUTBOUND_PORT, "ztunnel")?;
    greeter(&b, 8080, "b")?;
    expect(&greeting(&a, at(VIP, 80))?, &format!("ztunnel {VIP}:80 from {A}"))?;
    expect(&greeting(&a, at(B, 8080))?, &format!("ztunnel {B}:8080 from {A}"))?;
    expect(&greeting(&b, at(B, 8080))?, &format!("b {B}:8080 from {B}"))
}

pub(crate) async fn inbound_meets_ztunnel() -> anyhow::Result<()> {
    let (_node, a, b) = captured().await?;
    greeter(&a, INBOUND_PORT, "ztunnel")?;
    greeter(&a, HBONE_PORT, "hbone")?;
    greeter(&a, 8080, "app")?;
    expect(&greeting(&b, at(A, 8080))?, &format!("ztunnel {A}:8080 from {B}"))?;
    expect(&greeting(&b, at(A, HBONE_PORT))?, &format!("hbone {A}:{HBONE_PORT} from {B}"))
}

pub(crate) async fn marked_traffic_is_not_captured() -> anyhow::Result<()> {
    let (_node, a, b) = captured().await?;
    greeter(&a, OUTBOUND_PORT, "ztunnel")?;
    greeter(&b, 8080, "b")?;
    let marked = greeting_with(&a, at(B, 8080), |socket| socket.set_mark(ZTUNNEL_MARK))?;
    expect(&marked, &format!("b {B}:8080 from {A}"))?;
    // Another's mark says nothing.
    let other = greeting_with(&a, at(B, 8080), |socket| socket.set_mark(0x42))?;
    expect(&other, &format!("ztunnel {B}:8080 from {A}"))
}

pub(crate) async fn probes_and_self_calls_are_not_captured() -> anyhow::Result<()> {
    let (node, a, _b) = captured().await?;
    greeter(&a, INBOUND_PORT, "ztunnel")?;
    greeter(&a, OUTBOUND_PORT, "ztunnel")?;
    greeter(&a, 8080, "app")?;
    let probe = greeting_with(node.ns(), at(A, 8080), |socket| socket.bind(&at(PROBE_SOURCE, 0).into()))?;
    expect(&probe, &format!("app {A}:8080 from {PROBE_SOURCE}"))?;
    expect(&greeting(node.ns(), at(A, 8080))?, &format!("ztunnel {A}:8080 from {NODE}"))?;
    expect(&greeting(&a, at(A, 8080))?, &format!("app {A}:8080 from {A}"))?;
    expect(&greeting(&a, at(Ipv4Addr::LOCALHOST, 8080))?, "app 127.0.0.1:8080 from 127.0.0.1")
}

pub(crate) async fn dns_meets_ztunnel() -> anyhow::Result<()> {
    let (node, a, _b) = captured().await?;
    greeter(&a, DNS_PORT, "dns")?;
    greeter(node.ns(), 53, "node")?;
    expect(&greeting(&a, at(NODE, 53))?, &format!("dns {NODE}:53 from {A}"))?;
    let ztunnels = greeting_with(&a, at(NODE, 53), |socket| socket.set_mark(ZTUNNEL_MARK))?;
    expect(&ztunnels, &format!("node {NODE}:53 from {A}"))?;

    // As ztunnel does: on another address the answer would leave with that as its source, and not be rewritten back.
    let proxy = a.udp_bind(at(Ipv4Addr::LOCALHOST, DNS_PORT))?;
    let server = node.ns().udp_bind(at(NODE, 53))?;
    let query = |mark| -> anyhow::Result<Vec<u8>> {
        let client = a.udp_bind(at(Ipv4Addr::UNSPECIFIED, 0))?;
        client.set_read_timeout(Some(PATIENCE))?;
        if let Some(mark) = mark {
            socket2::SockRef::from(&client).set_mark(mark)?;
        }
        client.send_to(b"query", at(NODE, 53))?;
        let (answering, answer): (_, &[u8]) =
            if mark.is_some() { (&server, b"node") } else { (&proxy, b"dns") };
        answering.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = [0; 16];
        let (_, peer) = answering.recv_from(&mut buffer).context("the query")?;
        answering.send_to(answer, peer)?;
        let (n, from) = client.recv_from(&mut buffer).context("the answer")?;
        anyhow::ensure!(from == at(NODE, 53), "the answer came from {from}");
        Ok(buffer[..n].to_vec())
    };
    anyhow::ensure!(query(None)? == b"dns");
    anyhow::ensure!(query(Some(ZTUNNEL_MARK))? == b"node");
    Ok(())
}

/// ztunnel speaks to the application with the client's address; the answer must come back to ztunnel's socket.
pub(crate) async fn original_source_finds_back() -> anyhow::Result<()> {
    let (_node, a, _b) = captured().await?;
    greeter(&a, 8080, "app")?;
    let spoofed = greeting_with(&a, at(A, 8080), |socket| {
        socket.set_mark(ZTUNNEL_MARK)?;
        socket.set_ip_transparent_v4(true)?;
        socket.bind(&at(B, 0).into())
    })?;
    expect(&spoofed, &format!("app {A}:8080 from {B}"))
}

pub(crate) async fn removal_restores() -> anyhow::Result<()> {
    let (_node, a, b) = captured().await?;
    greeter(&a, OUTBOUND_PORT, "ztunnel")?;
    greeter(&a, INBOUND_PORT, "ztunnel")?;
    greeter(&b, 8080, "b")?;
    greeter(&a, 8080, "a")?;
    let outbound = |wanted: &str| expect(&greeting(&a, at(B, 8080))?, &format!("{wanted} {B}:8080 from {A}"));
    let inbound = |wanted: &str| expect(&greeting(&b, at(A, 8080))?, &format!("{wanted} {A}:8080 from {B}"));
    redirection::install(&a).await.context("installing again")?;
    outbound("ztunnel")?;
    redirection::remove(&a).await?;
    redirection::remove(&a).await.context("removing again")?;
    outbound("b")?;
    inbound("a")?;
    let rules = a.run(routing_rules)??;
    anyhow::ensure!(!rules.contains("0x111"), "left behind: {rules}");
    redirection::install(&a).await?;
    inbound("ztunnel")?;
    Ok(())
}

/// `ip rule`, where there is an ip; it is the reader that is not ours.
fn routing_rules() -> anyhow::Result<String> {
    match std::process::Command::new("ip").args(["rule", "list"]).output() {
        Ok(out) => Ok(String::from_utf8(out.stdout)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => bail!("ip rule: {e}"),
    }
}
