//! TCP to what is not in the mesh: all addresses of a host, one after the other, not waiting long for any.
//! Spec: RFC 8305 ("happy eyeballs"); Envoy: `HappyEyeballsConnectionImpl`.

use crate::limits;
use futures::stream::{FuturesUnordered, StreamExt as _};
use mesh::net::Keepalive;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use waypoint_core::model::cluster::TcpKeepalive;

/// The first connection that comes up.
///
/// # Errors
/// Of the last address tried.
pub(super) async fn connect(
    first: SocketAddr,
    others: &[SocketAddr],
    keepalive: Option<TcpKeepalive>,
) -> io::Result<TcpStream> {
    let stream = if others.is_empty() { TcpStream::connect(first).await } else { race(first, others).await }?;
    stream.set_nodelay(true)?;
    mesh::net::set_keepalive(&stream, keepalive.map_or_else(Keepalive::default, settings))?;
    Ok(stream)
}

/// Starts another address whenever the ones before it failed or take too long.
async fn race(first: SocketAddr, others: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = alternate(first, others).into_iter();
    let mut dialling = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let more = waiting.next().map(|address| dialling.push(TcpStream::connect(address))).is_some();
        let next = if more {
            timeout(limits::NEXT_ADDRESS, dialling.next()).await
        } else {
            Ok(dialling.next().await)
        };
        match next {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) => return Err(last),
            Err(_) => {}
        }
    }
}

/// Families in turn, beginning with that of the first address.
fn alternate(first: SocketAddr, others: &[SocketAddr]) -> Vec<SocketAddr> {
    let all = || std::iter::once(first).chain(others.iter().copied());
    let mut same = all().filter(|address| address.is_ipv4() == first.is_ipv4());
    let mut other = all().filter(|address| address.is_ipv4() != first.is_ipv4());
    let mut order = Vec::with_capacity(others.len() + 1);
    loop {
        let pair = [same.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

fn settings(settings: TcpKeepalive) -> Keepalive {
    let default = Keepalive::default();
    Keepalive {
        idle: settings.time.unwrap_or(default.idle),
        interval: settings.interval.unwrap_or(default.interval),
        retries: settings.probes.unwrap_or(default.retries),
    }
}

#[cfg(test)]
mod tests;
