//! Socket options a redirecting proxy needs, through socket2's safe wrappers.
//!
//! Not a dialer and not an acceptor: sockets come in or go out, what is done with them is the caller's.

use crate::limits;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Where a redirected connection was going (`SO_ORIGINAL_DST`). Fails with `ENOENT` when it was not redirected.
/// An IPv4 connection accepted on a dual-stack socket answers with its IPv4 address.
pub fn original_dst(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let socket = SockRef::from(socket);
    let is_v6 = match socket.local_addr()?.as_socket() {
        Some(SocketAddr::V6(address)) => address.ip().to_ipv4_mapped().is_none(),
        _ => false,
    };
    let address = if is_v6 { socket.original_dst_v6()? } else { socket.original_dst_v4()? };
    address.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// `SO_MARK`; needs `CAP_NET_ADMIN` or `CAP_NET_RAW`.
pub fn set_mark(socket: &impl AsFd, mark: u32) -> io::Result<()> {
    SockRef::from(socket).set_mark(mark)
}

/// `IP_TRANSPARENT`: bind to and accept for addresses that are not ours; needs `CAP_NET_ADMIN`.
pub fn set_transparent(socket: &impl AsFd, domain: Domain) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if domain == Domain::IPV6 {
        socket.set_ip_transparent_v6(true)
    } else {
        socket.set_ip_transparent_v4(true)
    }
}

/// `IP_FREEBIND`: bind to an address that is not (yet) ours, without privileges.
pub fn set_freebind(socket: &impl AsFd, domain: Domain) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if domain == Domain::IPV6 { socket.set_freebind_v6(true) } else { socket.set_freebind_v4(true) }
}

/// `TCP_NODELAY`: both proxies write whole bursts, so Nagle could only delay.
pub fn set_nodelay(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_nodelay(true)
}

/// TCP keepalive times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered probes until the connection is dead.
    pub retries: u32,
}

impl Default for Keepalive {
    /// ztunnel's: 180 s, 180 s, 9.
    fn default() -> Self {
        Self { idle: Duration::from_secs(180), interval: Duration::from_secs(180), retries: 9 }
    }
}

/// Turns TCP keepalive on.
pub fn set_keepalive(socket: &impl AsFd, keepalive: Keepalive) -> io::Result<()> {
    let params = TcpKeepalive::new()
        .with_time(keepalive.idle)
        .with_interval(keepalive.interval)
        .with_retries(keepalive.retries);
    SockRef::from(socket).set_tcp_keepalive(&params)
}

/// How a listener is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenOptions {
    /// `SO_REUSEPORT`: several sockets share the port, within this process or with its successor.
    pub reuse_port: bool,
    /// `IP_TRANSPARENT`.
    pub transparent: bool,
    /// An IPv6 wildcard listener accepts IPv4 too.
    pub dual_stack: bool,
    /// `SO_MARK`, inherited by accepted connections.
    pub mark: Option<u32>,
    /// Accept queue.
    pub backlog: i32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            reuse_port: false,
            transparent: false,
            dual_stack: true,
            mark: None,
            backlog: limits::LISTEN_BACKLOG,
        }
    }
}

/// Binds and listens. `SO_REUSEADDR` is always set: a restart must not wait for TIME_WAIT sockets.
pub fn bind_listener(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if domain == Domain::IPV6 {
        socket.set_only_v6(!options.dual_stack)?;
    }
    if options.transparent {
        set_transparent(&socket, domain)?;
    }
    if let Some(mark) = options.mark {
        socket.set_mark(mark)?;
    }
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    TcpListener::from_std(socket.into())
}

/// A socket to connect with, bound to `source` (which need not be ours) when given.
pub fn outbound_socket(
    remote: SocketAddr,
    source: Option<IpAddr>,
    mark: Option<u32>,
) -> io::Result<TcpSocket> {
    let domain = Domain::for_address(remote);
    let socket = if domain == Domain::IPV6 { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_nodelay(true)?;
    if let Some(mark) = mark {
        set_mark(&socket, mark)?;
    }
    if let Some(source) = source {
        set_transparent(&socket, domain).or_else(|_| set_freebind(&socket, domain))?;
        // Without it a source address has one ephemeral port per connection for all destinations together.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;
