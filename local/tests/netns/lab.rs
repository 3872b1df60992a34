//! A node with bare namespaces for pods, and the few kinds of peers the tests speak to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fairway::node::netns::NetNs;
use fairway::node::network::{Network, NodeAddresses};
use socket2::{Domain, SockRef, Socket, Type};

pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 10);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 11);
pub(crate) const C: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 12);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn node() -> anyhow::Result<Network> {
    let addresses = NodeAddresses { node: NODE, services: (Ipv4Addr::new(10, 96, 0, 0), 16) };
    Ok(Network::start_in(Arc::new(NetNs::new()?), addresses).await?)
}

pub(crate) async fn pod(node: &Network, address: Ipv4Addr) -> anyhow::Result<Arc<NetNs>> {
    static LINKS: AtomicU32 = AtomicU32::new(0);
    let ns = NetNs::new()?;
    node.attach(&ns, &format!("test{}", LINKS.fetch_add(1, Ordering::Relaxed)), address).await?;
    Ok(Arc::new(ns))
}

pub(crate) fn at(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(ip, port))
}

/// Listens on every address of a namespace and greets each connection with `greeting` and where it was meant for.
pub(crate) fn greeter(ns: &NetNs, port: u16, greeting: &str) -> anyhow::Result<()> {
    let listener = ns.tcp_listen(at(Ipv4Addr::UNSPECIFIED, port))?;
    serve(listener, greeting.to_owned());
    Ok(())
}

fn serve(listener: TcpListener, greeting: String) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let meant = original_destination(&stream).map_or_else(|| "nowhere".into(), |a| a.to_string());
            let from = stream.peer_addr().map_or_else(|_| "?".into(), |a| a.ip().to_string());
            let _ = writeln!(stream, "{greeting} {meant} from {from}");
        }
    });
}

/// Where the connection was going before it was redirected; else the listener's own address.
pub(crate) fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    match SockRef::from(stream).original_dst_v4() {
        Ok(address) => address.as_socket(),
        Err(_) => stream.local_addr().ok(),
    }
}

/// What the peer says to a connection made from a namespace.
pub(crate) fn greeting(ns: &NetNs, to: SocketAddr) -> anyhow::Result<String> {
    let stream = ns.tcp_connect(to, PATIENCE).with_context(|| format!("connecting to {to}"))?;
    said(stream)
}

/// The same with a socket of one's own making: a mark, a source address, transparent.
pub(crate) fn greeting_with(
    ns: &NetNs,
    to: SocketAddr,
    prepare: impl FnOnce(&Socket) -> std::io::Result<()> + Send,
) -> anyhow::Result<String> {
    let socket = ns.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        prepare(&socket)?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        std::io::Result::Ok(socket)
    })?;
    said(socket.with_context(|| format!("connecting to {to}"))?.into())
}

fn said(mut stream: TcpStream) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

pub(crate) fn expect(got: &str, wanted: &str) -> anyhow::Result<()> {
    if got == wanted { Ok(()) } else { bail!("got {got:?}, wanted {wanted:?}") }
}

/// Polls until `f` says yes.
pub(crate) async fn until(what: &str, mut f: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !f() {
        if began.elapsed() > PATIENCE {
            bail!("after {PATIENCE:?} still not: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
