//! Passing queries on to the node's name servers, from inside the pod, so that its network policies apply to them.
//!
//! Queries and answers are not interpreted beyond what tells that an answer belongs to a query; each UDP query has a
//! socket (thus a random port) and a random id of its own, as DNS has nothing else against forged answers.

use crate::limits::{CONNECT_TIMEOUT, DNS_UPSTREAM_ROUNDS, DNS_UPSTREAM_TIMEOUT};
use crate::sockets::Sockets;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The node's name servers.
#[derive(Clone, Debug, Default)]
pub struct Upstreams(Arc<[SocketAddr]>);

impl Upstreams {
    /// From `/etc/resolv.conf`.
    #[must_use]
    pub fn system() -> Self {
        match hickory_resolver::system_conf::read_system_conf() {
            Ok((config, _)) => {
                Self::new(config.name_servers.iter().map(|server| SocketAddr::new(server.ip, 53)))
            }
            Err(error) => {
                tracing::warn!(%error, "no name servers: names outside the mesh will not resolve");
                Self::default()
            }
        }
    }

    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(servers.into_iter().collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first answer of any server; by TCP where the client came by TCP.
    ///
    /// # Errors
    /// Of the last server that failed.
    pub async fn ask(&self, sockets: &Sockets, query: &[u8], tcp: bool) -> io::Result<Vec<u8>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no name servers");
        for server in std::iter::repeat_n(&self.0, DNS_UPSTREAM_ROUNDS).flat_map(|servers| servers.iter()) {
            let asked = async {
                if tcp {
                    by_tcp(sockets, *server, query).await
                } else {
                    by_udp(sockets, *server, query).await
                }
            };
            match timeout(DNS_UPSTREAM_TIMEOUT, asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }
}

async fn by_udp(sockets: &Sockets, server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = sockets.udp(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    let sent = with_id(query, fastrand::u16(..))?;
    socket.send(&sent).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let received = &buffer[..length];
        // Whatever else arrives is not for us; the deadline is the caller's.
        if is_answer_to(received, &sent) {
            return with_id(received, id(query)?);
        }
    }
}

async fn by_tcp(sockets: &Sockets, server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = timeout(CONNECT_TIMEOUT, sockets.dial(server, None)).await??;
    let sent = with_id(query, fastrand::u16(..))?;
    write_framed(&mut stream, &sent).await?;
    let received = read_framed(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if is_answer_to(&received, &sent) {
        with_id(&received, id(query)?)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer to the query"))
    }
}

fn id(message: &[u8]) -> io::Result<u16> {
    let first = message.first_chunk::<2>().ok_or(io::ErrorKind::InvalidData)?;
    Ok(u16::from_be_bytes(*first))
}

fn with_id(message: &[u8], id: u16) -> io::Result<Vec<u8>> {
    let mut message = message.to_vec();
    let first = message.first_chunk_mut::<2>().ok_or(io::ErrorKind::InvalidData)?;
    *first = id.to_be_bytes();
    Ok(message)
}

/// Same id, is a response, and repeats the question (case apart: servers may not keep it).
fn is_answer_to(received: &[u8], sent: &[u8]) -> bool {
    const HEADER: usize = 12;
    const RESPONSE: u8 = 0x80;
    if received.len() < HEADER || received[..2] != sent[..2] || received[2] & RESPONSE == 0 {
        return false;
    }
    let Some(question) = question_length(sent) else { return false };
    let end = HEADER + question;
    // A refusal may come without the question.
    let without = received[4..6] == [0, 0];
    without || received.get(HEADER..end).is_some_and(|asked| asked.eq_ignore_ascii_case(&sent[HEADER..end]))
}

/// Bytes of the first question: labels, type, class.
fn question_length(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        if length == 0 {
            let end = at + 4;
            return (end <= message.len()).then_some(end - 12);
        }
    }
}

/// One message of a DNS stream; none at its end.
pub(super) async fn read_framed(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

pub(super) async fn write_framed(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await
}

#[cfg(test)]
mod tests;
