//! Service addresses as clients see them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fairway::node::network::Network;
use fairway::node::services::{self, Protocol, ServiceVip};

use crate::lab::{A, B, C, NODE, PATIENCE, VIP, at, expect, greeter, greeting, node, pod};

fn publish(node: &Network, protocol: Protocol, endpoints: &[Ipv4Addr]) -> anyhow::Result<()> {
    let endpoints = endpoints.iter().map(|ip| SocketAddrV4::new(*ip, 8080)).collect();
    let service = ServiceVip { vip: VIP, port: 80, protocol, endpoints };
    Ok(node.ns().run(|| services::replace(&[service]))??)
}

pub(crate) async fn spreads_and_follows_updates() -> anyhow::Result<()> {
    let node = node().await?;
    let (a, b, c) = (pod(&node, A).await?, pod(&node, B).await?, pod(&node, C).await?);
    greeter(&b, 8080, "b")?;
    greeter(&c, 8080, "c")?;
    let spread = |n| -> anyhow::Result<BTreeMap<String, u32>> {
        let mut seen = BTreeMap::new();
        for _ in 0..n {
            *seen.entry(greeting(&a, at(VIP, 80))?).or_default() += 1;
        }
        Ok(seen)
    };
    let (from_b, from_c) = (format!("b {B}:8080 from {A}"), format!("c {C}:8080 from {A}"));
    publish(&node, Protocol::Tcp, &[B, C])?;
    // Both fair coins of 64 tosses landing on one side: once in 10^19 runs.
    let seen = spread(64)?;
    ensure!(seen.keys().eq([&from_b, &from_c]), "{seen:?}");
    publish(&node, Protocol::Tcp, &[C])?;
    ensure!(spread(16)?.keys().eq([&from_c]));
    publish(&node, Protocol::Tcp, &[B])?;
    ensure!(spread(16)?.keys().eq([&from_b]));
    Ok(())
}

pub(crate) async fn without_endpoints_refuses() -> anyhow::Result<()> {
    let node = node().await?;
    let a = pod(&node, A).await?;
    publish(&node, Protocol::Tcp, &[])?;
    for client in [&a, node.ns()] {
        let began = Instant::now();
        match client.tcp_connect(at(VIP, 80), PATIENCE) {
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {}
            other => bail!("{other:?} after {:?}", began.elapsed()),
        }
    }
    Ok(())
}

pub(crate) async fn a_pod_reaches_itself() -> anyhow::Result<()> {
    let node = node().await?;
    let a = pod(&node, A).await?;
    greeter(&a, 8080, "a")?;
    publish(&node, Protocol::Tcp, &[A])?;
    expect(&greeting(&a, at(VIP, 80))?, &format!("a {A}:8080 from {NODE}"))
}

pub(crate) async fn udp_and_the_node_itself() -> anyhow::Result<()> {
    let node = node().await?;
    let (a, b) = (pod(&node, A).await?, pod(&node, B).await?);
    publish(&node, Protocol::Udp, &[B])?;
    let server = b.udp_bind(at(B, 8080))?;
    let client = a.udp_bind(at(A, 0))?;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    let mut buffer = [0; 16];
    client.send_to(b"ping", at(VIP, 80))?;
    let (_, peer) = server.recv_from(&mut buffer).context("the request")?;
    ensure!(peer == client.local_addr()?, "seen from {peer}");
    server.send_to(b"pong", peer)?;
    let (_, from) = client.recv_from(&mut buffer).context("the answer")?;
    ensure!(from == at(VIP, 80), "answered by {from}");

    greeter(&b, 8080, "b")?;
    publish(&node, Protocol::Tcp, &[B])?;
    expect(&greeting(node.ns(), at(VIP, 80))?, &format!("b {B}:8080 from {NODE}"))
}

/// A busy node: the transaction must fit the socket, without root as well.
pub(crate) async fn holds_many_services() -> anyhow::Result<()> {
    let node = node().await?;
    let (a, b) = (pod(&node, A).await?, pod(&node, B).await?);
    greeter(&b, 8080, "b")?;
    let endpoint = |host: u8, port| SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, host), port);
    let mut all: Vec<_> = (0..300u16)
        .map(|n| ServiceVip {
            vip: Ipv4Addr::new(10, 96, 1, (n % 250).to_le_bytes()[0]),
            port: 1000 + n,
            protocol: Protocol::Tcp,
            endpoints: (0..3).map(|i| endpoint(100 + i, 2000 + n)).collect(),
        })
        .collect();
    all.push(ServiceVip { vip: VIP, port: 80, protocol: Protocol::Tcp, endpoints: vec![endpoint(11, 8080)] });
    node.ns().run(|| services::replace(&all))??;
    expect(&greeting(&a, at(VIP, 80))?, &format!("b {B}:8080 from {A}"))?;
    node.ns().run(|| services::replace(&all))?.context("replacing as many by as many")
}
