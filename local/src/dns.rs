//! The cluster's DNS on the node's address, UDP and TCP: Services, headless pods, and nothing else.
//!
//! There is no way out of the node, so other names do not exist (NXDOMAIN). Spec: the Kubernetes DNS specification 1.1.

pub mod zone;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::limits::{DNS_TCP_IDLE, DNS_TCP_MAX, DNS_UDP_BYTES};
use zone::Zone;

/// Answers from the zone as it is at that moment, for ever.
pub async fn serve(at: SocketAddr, zone: Arc<ArcSwap<Zone>>) -> io::Result<()> {
    let udp = UdpSocket::bind(at).await?;
    let tcp = TcpListener::bind(at).await?;
    tokio::try_join!(serve_udp(udp, &zone), serve_tcp(tcp, &zone)).map(|_| ())
}

async fn serve_udp(socket: UdpSocket, zone: &Arc<ArcSwap<Zone>>) -> io::Result<()> {
    let mut buffer = vec![0; DNS_UDP_BYTES];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(reply) = reply(&buffer[..length], zone, Some(DNS_UDP_BYTES)) else { continue };
        let _ = socket.send_to(&reply, from).await; // who asked may be gone
    }
}

async fn serve_tcp(listener: TcpListener, zone: &Arc<ArcSwap<Zone>>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(DNS_TCP_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let zone = Arc::clone(zone);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(DNS_TCP_IDLE, converse(stream, &zone)).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: TcpStream, zone: &ArcSwap<Zone>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(reply) = reply(&query, zone, None) else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await?;
    }
}

/// `None`: not a query, or too broken to answer.
fn reply(query: &[u8], zone: &ArcSwap<Zone>, limit: Option<usize>) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let answer = zone.load().answer(&query)?;
    let bytes = answer.to_vec().ok()?;
    match limit {
        Some(limit) if bytes.len() > limit => answer.truncate().to_vec().ok(),
        _ => Some(bytes),
    }
}
