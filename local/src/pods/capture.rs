//! A sniffer on a pod's link, from the node's side, for a bounded time: counts what passes and looks for given bytes in it.
//!
//! Answers one question, "is my traffic encrypted?", and is no packet dumper: nothing of a payload is kept. A text that is
//! split over two packets is not found.
#![allow(unsafe_code)] // sockaddr_ll has no safe constructor

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use tokio::io::Interest;

use crate::limits::{CAPTURE_MAX, CAPTURE_PORTS_MAX, CAPTURE_SNAP_BYTES};
use crate::node::netns::NetNs;
use crate::node::watched::watched;

const ETHERNET_BYTES: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];

#[derive(Clone, Debug)]
pub struct CaptureRequest {
    pub duration: Duration,
    pub needles: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureReport {
    pub packets: u64,
    pub bytes: u64,
    /// By the lower of a packet's two ports, which in practice is the server's.
    pub ports: BTreeMap<u16, PortCount>,
    /// Packets of further ports, once `CAPTURE_PORTS_MAX` are counted apart.
    pub other: PortCount,
    /// Per needle, in how many packets it was seen.
    pub found: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCount {
    pub packets: u64,
    /// TCP or UDP payload only.
    pub payload_bytes: u64,
}

/// Watches `link` of a namespace. The report is whole when the time is over.
pub async fn capture(node: &NetNs, link: &str, request: &CaptureRequest) -> io::Result<CaptureReport> {
    let socket = watched(node.run(|| open(link))??.into())?;
    let mut report = CaptureReport { found: vec![0; request.needles.len()], ..CaptureReport::default() };
    let mut buffer = vec![0; CAPTURE_SNAP_BYTES];
    let end = tokio::time::sleep(request.duration.min(CAPTURE_MAX));
    tokio::pin!(end);
    loop {
        let read = socket.async_io(Interest::READABLE, |fd| Ok(nix::unistd::read(fd, &mut buffer)?));
        tokio::select! {
            read = read => {
                let n = read?;
                report.count(&buffer[..n], &request.needles);
            }
            () = &mut end => return Ok(report),
        }
    }
}

fn open(link: &str) -> io::Result<Socket> {
    let index = nix::net::if_::if_nametoindex(link)?;
    let every = u16::try_from(libc::ETH_P_ALL).expect("an ethertype has 16 bits").to_be();
    // Without a protocol it receives nothing until bound, so nothing of other links either.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large and aligned enough for every kind of address, sockaddr_ll among them.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = u16::try_from(libc::AF_PACKET).expect("a family has 16 bits");
    address.sll_protocol = every;
    address.sll_ifindex = index.cast_signed();
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("20 bytes");
    // SAFETY: a sockaddr_ll of that length was just written.
    socket.bind(&unsafe { SockAddr::new(storage, length) })?;
    Ok(socket)
}

impl CaptureReport {
    fn count(&mut self, frame: &[u8], needles: &[Vec<u8>]) {
        self.packets += 1;
        self.bytes += frame.len() as u64;
        let Some(segment) = segment(frame) else { return };
        let full = self.ports.len() >= CAPTURE_PORTS_MAX && !self.ports.contains_key(&segment.port);
        let count = if full { &mut self.other } else { self.ports.entry(segment.port).or_default() };
        count.packets += 1;
        count.payload_bytes += segment.payload.len() as u64;
        for (needle, found) in needles.iter().zip(&mut self.found) {
            let there =
                !needle.is_empty() && segment.payload.windows(needle.len()).any(|w| w == needle.as_slice());
            *found += u64::from(there);
        }
    }
}

struct Segment<'a> {
    port: u16,
    payload: &'a [u8],
}

/// The TCP or UDP part of an Ethernet frame with IPv4.
fn segment(frame: &[u8]) -> Option<Segment<'_>> {
    let (ethernet, ip) = frame.split_at_checked(ETHERNET_BYTES)?;
    if ethernet.get(12..14)? != ETHERTYPE_IPV4 {
        return None;
    }
    let header = usize::from(ip.first()? & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    // A segment the link is to cut up may have no length of its own in the header.
    let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
    let l4 = ip.get(header..end)?;
    let header = match ip.get(9)? {
        6 => usize::from(l4.get(12)? >> 4) * 4,
        17 => 8,
        _ => return None,
    };
    let port = |at| Some(u16::from_be_bytes([*l4.get(at)?, *l4.get(at + 1)?]));
    Some(Segment { port: port(0)?.min(port(2)?), payload: l4.get(header..)? })
}

#[cfg(test)]
mod tests;
