//! Links, addresses, routes and routing rules of one network namespace, over rtnetlink.
//!
//! Every operation leaves alone what is already as wanted, so that setting up again is no error.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::netns::NetNs;

#[derive(Debug, thiserror::Error)]
#[error("{action}: {source}")]
pub struct LinkError {
    action: String,
    source: io::Error,
}

/// A netlink socket in a namespace. Needs a tokio runtime, which drives the socket until `Links` is dropped.
pub struct Links {
    handle: Handle,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Hop {
    /// Neighbours are found on the link itself.
    Link,
    /// A gateway that is a neighbour on the link.
    Via(Ipv4Addr),
    /// To this namespace, whatever the address (`ip route add local`).
    Local,
}

#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    pub to: (Ipv4Addr, u8),
    pub device: &'a str,
    pub hop: Hop,
    pub source: Option<Ipv4Addr>,
    pub table: u32,
}

/// The main routing table.
pub const MAIN_TABLE: u32 = 254;

/// `ip rule`: packets with this mark look up that table.
#[derive(Clone, Copy, Debug)]
pub struct MarkRule {
    pub mark: u32,
    pub mask: u32,
    pub priority: u32,
    pub table: u32,
}

impl Links {
    pub fn open(ns: &NetNs) -> io::Result<Self> {
        // The socket belongs to the namespace it is made in; tokio registers it, hence the runtime's context inside.
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, _) = ns.run(|| {
            let _context = runtime.enter();
            rtnetlink::new_connection()
        })??;
        Ok(Self { handle, driver: tokio::spawn(connection) })
    }

    pub async fn index(&self, name: &str) -> Result<u32, LinkError> {
        let found = self.handle.link().get().match_name(name.to_owned()).execute().try_next().await;
        match found {
            Ok(Some(link)) => Ok(link.header.index),
            Ok(None) => {
                Err(LinkError { action: format!("link {name}"), source: io::ErrorKind::NotFound.into() })
            }
            Err(e) => Err(failed(format!("link {name}"), e)),
        }
    }

    pub async fn up(&self, name: &str) -> Result<(), LinkError> {
        let link = LinkUnspec::new_with_index(self.index(name).await?).up().build();
        self.handle.link().set(link).execute().await.map_err(|e| failed(format!("link set {name} up"), e))
    }

    /// A veth pair: `name` here, `peer` in another namespace.
    pub async fn add_veth(&self, name: &str, peer: &str, peer_ns: &NetNs) -> Result<(), LinkError> {
        use std::os::fd::AsFd;
        let other = LinkUnspec::new_with_name(peer).setns_by_fd(peer_ns.as_fd().as_raw_fd()).build();
        let pair = LinkVeth::new(name, peer).set_info_data(InfoData::Veth(InfoVeth::Peer(other))).build();
        self.handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(|e| failed(format!("link add {name} type veth"), e))
    }

    /// Removes a link, and its peer if it has one.
    pub async fn remove(&self, name: &str) -> Result<(), LinkError> {
        let index = self.index(name).await?;
        self.handle.link().del(index).execute().await.map_err(|e| failed(format!("link del {name}"), e))
    }

    pub async fn add_address(&self, device: &str, address: Ipv4Addr, prefix: u8) -> Result<(), LinkError> {
        let index = self.index(device).await?;
        let added = self.handle.address().add(index, address.into(), prefix).execute().await;
        unless_there(added, || format!("addr add {address}/{prefix} dev {device}"))
    }

    pub async fn add_route(&self, route: Route<'_>) -> Result<(), LinkError> {
        let message = self.route(&route).await?;
        let added = self.handle.route().add(message).execute().await;
        unless_there(added, || format!("route add {}/{} dev {}", route.to.0, route.to.1, route.device))
    }

    pub async fn remove_route(&self, route: Route<'_>) -> Result<(), LinkError> {
        let message = self.route(&route).await?;
        let removed = self.handle.route().del(message).execute().await;
        unless_gone(removed, || format!("route del {}/{} dev {}", route.to.0, route.to.1, route.device))
    }

    async fn route(
        &self,
        route: &Route<'_>,
    ) -> Result<rtnetlink::packet_route::route::RouteMessage, LinkError> {
        let index = self.index(route.device).await?;
        let mut message = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(route.to.0, route.to.1)
            .output_interface(index)
            .table_id(route.table);
        message = match route.hop {
            Hop::Link => message.scope(RouteScope::Link),
            Hop::Via(gateway) => message.gateway(gateway),
            Hop::Local => message.scope(RouteScope::Host).kind(RouteType::Local),
        };
        if let Some(source) = route.source {
            message = message.pref_source(source);
        }
        Ok(message.build())
    }

    pub async fn add_rule(&self, rule: MarkRule) -> Result<(), LinkError> {
        let mut request = self.handle.rule().add().v4();
        *request.message_mut() = rule.message();
        unless_there(request.execute().await, || rule.text("add"))
    }

    pub async fn remove_rule(&self, rule: MarkRule) -> Result<(), LinkError> {
        unless_gone(self.handle.rule().del(rule.message()).execute().await, || rule.text("del"))
    }
}

impl MarkRule {
    fn message(self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = rtnetlink::packet_route::AddressFamily::Inet;
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::FwMark(self.mark),
            RuleAttribute::FwMask(self.mask),
            RuleAttribute::Table(self.table),
        ];
        message
    }

    fn text(self, verb: &str) -> String {
        format!(
            "rule {verb} fwmark {:#x}/{:#x} pref {} lookup {}",
            self.mark, self.mask, self.priority, self.table
        )
    }
}

fn failed(action: String, error: rtnetlink::Error) -> LinkError {
    let source = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    };
    LinkError { action, source }
}

fn unless_there(
    result: Result<(), rtnetlink::Error>,
    action: impl FnOnce() -> String,
) -> Result<(), LinkError> {
    unless(result, &[libc::EEXIST], action)
}

/// The kernel answers ESRCH for a route and ENOENT for a rule that is not there.
fn unless_gone(
    result: Result<(), rtnetlink::Error>,
    action: impl FnOnce() -> String,
) -> Result<(), LinkError> {
    unless(result, &[libc::ESRCH, libc::ENOENT], action)
}

fn unless(
    result: Result<(), rtnetlink::Error>,
    fine: &[i32],
    action: impl FnOnce() -> String,
) -> Result<(), LinkError> {
    let Err(error) = result else { return Ok(()) };
    let error = failed(action(), error);
    if error.source.raw_os_error().is_some_and(|code| fine.contains(&code)) { Ok(()) } else { Err(error) }
}
