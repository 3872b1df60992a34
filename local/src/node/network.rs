//! The node's own network: its addresses, and what makes it forward between pods.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::links::{Hop, LinkError, Links, MAIN_TABLE, Route};
use super::netns::NetNs;

/// Where kubelet probes come from in captured pods: istio-cni rewrites their source to this address, and the pods' rules
/// let it pass uncaptured. Here the prober simply uses it.
pub const PROBE_SOURCE: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 127);

#[derive(Clone, Copy, Debug)]
pub struct NodeAddresses {
    /// The node's address; pods use it as their gateway and name server.
    pub node: Ipv4Addr,
    /// Service addresses. Routed to `lo` so that a process on the node gets as far as the rules that rewrite them.
    pub services: (Ipv4Addr, u8),
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0}")]
    Kernel(#[from] io::Error),
}

/// The namespace the node lives in, set up to carry pods.
#[derive(Clone, Debug)]
pub struct Network {
    ns: Arc<NetNs>,
    addresses: NodeAddresses,
}

impl Network {
    /// Sets up the calling thread's namespace.
    pub async fn start(addresses: NodeAddresses) -> Result<Self, NetworkError> {
        Self::start_in(Arc::new(NetNs::current()?), addresses).await
    }

    pub async fn start_in(ns: Arc<NetNs>, addresses: NodeAddresses) -> Result<Self, NetworkError> {
        ns.sysctl("net/ipv4/ip_forward", "1")?;
        for scope in ["all", "default"] {
            // A pod's packet may come back another way than it went (probes, original source addresses).
            ns.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
            ns.sysctl(&format!("net/ipv4/conf/{scope}/send_redirects"), "0")?;
        }
        let links = Links::open(&ns)?;
        links.up("lo").await?;
        links.add_address("lo", addresses.node, 32).await?;
        links.add_address("lo", PROBE_SOURCE, 32).await?;
        let services = Route {
            to: addresses.services,
            device: "lo",
            hop: Hop::Link,
            source: Some(addresses.node),
            table: MAIN_TABLE,
        };
        links.add_route(services).await?;
        Ok(Self { ns, addresses })
    }

    #[must_use]
    pub fn ns(&self) -> &Arc<NetNs> {
        &self.ns
    }

    #[must_use]
    pub fn addresses(&self) -> NodeAddresses {
        self.addresses
    }

    /// Connects a namespace: `veth` on the node, `eth0` with `address` inside, default route through the node. There is no
    /// bridge, so that replies between two pods pass the node's connection tracking, which Service addresses depend on.
    pub async fn attach(&self, pod: &NetNs, veth: &str, address: Ipv4Addr) -> Result<(), NetworkError> {
        let here = Links::open(&self.ns)?;
        here.add_veth(veth, "eth0", pod).await?;
        for scope in ["all", "default", "eth0"] {
            pod.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
        }
        let there = Links::open(pod)?;
        there.up("lo").await?;
        there.add_address("eth0", address, 32).await?;
        there.up("eth0").await?;
        here.up(veth).await?;
        let gateway = self.addresses.node;
        let eth0 = |to, hop| Route { to, device: "eth0", hop, source: None, table: MAIN_TABLE };
        there.add_route(eth0((gateway, 32), Hop::Link)).await?;
        there.add_route(eth0((Ipv4Addr::UNSPECIFIED, 0), Hop::Via(gateway))).await?;
        let to_pod = Route {
            to: (address, 32),
            device: veth,
            hop: Hop::Link,
            source: Some(gateway),
            table: MAIN_TABLE,
        };
        here.add_route(to_pod).await?;
        Ok(())
    }

    pub async fn detach(&self, veth: &str) -> Result<(), NetworkError> {
        Ok(Links::open(&self.ns)?.remove(veth).await?)
    }
}
