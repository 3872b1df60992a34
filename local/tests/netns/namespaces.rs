//! A namespace as such: threads, sockets and settings inside stay inside.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use fairway::node::netns::NetNs;

use crate::lab::{A, node, pod};

fn interfaces() -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> =
        nix::net::if_::if_nameindex()?.iter().map(|i| i.name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

pub(crate) async fn what_is_inside_stays_inside() -> anyhow::Result<()> {
    let node = node().await?;
    let inside = pod(&node, A).await?;
    ensure!(inside.run(interfaces)?? == ["eth0", "lo"]);
    let thread = inside.spawn(|| (interfaces(), NetNs::current()))?;
    let (names, seen) = thread.join().ok().context("the thread")??;
    ensure!(names? == ["eth0", "lo"]);
    ensure!(seen?.is(&inside) && !NetNs::current()?.is(&inside));
    ensure!(NetNs::open(Path::new("/proc/self/ns/net"))?.is(&NetNs::current()?));

    let other = Arc::new(NetNs::new()?);
    ensure!(other.inode() != inside.inode() && !other.is(&inside));
    let forwards = |ns: &NetNs| ns.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward"));
    other.sysctl("net/ipv4/ip_forward", "1")?;
    ensure!(forwards(&other)??.trim() == "1" && forwards(&inside)??.trim() == "0");
    let refused = other.sysctl("net/ipv4/no_such_setting", "1").err().context("it was accepted")?;
    ensure!(refused.to_string().contains("no_such_setting"), "{refused}");
    Ok(())
}
