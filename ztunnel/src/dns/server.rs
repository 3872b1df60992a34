//! The pod's name server on 15053, UDP and TCP.

use crate::dns::answer::{Answer, Kind, answer};
use crate::dns::forward::{Upstreams, read_framed, write_framed};
use crate::dns::names::Zone;
use crate::limits::{DNS_FORWARDS_IN_FLIGHT, DNS_TCP_CONNECTIONS, DNS_TCP_IDLE, DNS_TTL, DNS_UDP_PLAIN};
use crate::proxy::Pod;
use crate::sockets::prepare;
use crate::state::Workload;
use crate::telemetry::{DnsLabels, Failure};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use mesh::lifecycle::DrainWatch;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// One pod's.
struct Server {
    pod: Arc<Pod>,
    zone: Zone,
    upstreams: Upstreams,
    forwards: Semaphore,
}

/// Binds the given addresses and serves them on the pod's worker until the pod goes.
///
/// # Errors
/// When one cannot be bound.
pub async fn serve(
    pod: &Arc<Pod>,
    addresses: &[SocketAddr],
    zone: Zone,
    upstreams: Upstreams,
) -> io::Result<()> {
    let forwards = Semaphore::new(DNS_FORWARDS_IN_FLIGHT);
    let server = Arc::new(Server { pod: pod.clone(), zone, upstreams, forwards });
    let mut bound = Vec::new();
    for address in addresses {
        // Registered with the runtime that serves them, below.
        let udp = pod.sockets.udp(*address).await?.into_std()?;
        bound.push((udp, pod.sockets.listen(*address).await?));
    }
    let seed = addresses.len() + pod.id.name.len();
    for (udp, tcp) in bound {
        let (server, on) = (server.clone(), pod.mesh.workers.for_service(seed));
        on.spawn_service(async move {
            let gone = server.pod.gone();
            let (udp, tcp) = match (UdpSocket::from_std(udp), TcpListener::from_std(tcp)) {
                (Ok(udp), Ok(tcp)) => (Arc::new(udp), tcp),
                (udp, tcp) => return tracing::error!(?udp, ?tcp, "DNS sockets cannot be polled"),
            };
            tokio::select! {
                () = gone.started() => {}
                () = until_drained(&server.pod.mesh.drain) => {}
                () = serve_udp(&server, udp) => {}
                () = serve_tcp(&server, tcp) => {}
            }
        });
    }
    Ok(())
}

/// The successor on the node takes over the port; queries are short, so there is nothing to wait for.
async fn until_drained(drain: &DrainWatch) {
    drain.started().await;
}

async fn serve_udp(server: &Arc<Server>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An answer to a client that is gone comes back as an error of this socket.
            Err(error) => {
                tracing::debug!(%error, "DNS receive");
                continue;
            }
        };
        let (server, socket, query) = (server.clone(), socket.clone(), buffer[..length].to_vec());
        tokio::spawn(async move {
            if let Some(answer) = server.handle(&query, false).await
                && let Err(error) = socket.send_to(&answer, from).await
            {
                tracing::debug!(%error, %from, "DNS answer not sent");
            }
        });
    }
}

async fn serve_tcp(server: &Arc<Server>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(DNS_TCP_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "DNS accept");
                tokio::time::sleep(crate::limits::ACCEPT_PAUSE).await;
                continue;
            }
        };
        let server = server.clone();
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = serve_stream(&server, stream).await {
                tracing::debug!(%error, "DNS connection");
            }
        });
    }
}

async fn serve_stream(server: &Server, stream: TcpStream) -> io::Result<()> {
    let mut stream = prepare(stream.into_std()?)?;
    while let Some(query) = timeout(DNS_TCP_IDLE, read_framed(&mut stream)).await?? {
        let Some(answer) = server.handle(&query, true).await else { break };
        write_framed(&mut stream, &answer).await?;
    }
    stream.shutdown().await
}

impl Server {
    /// The answer to a message; none for what is no query at all.
    async fn handle(&self, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let Ok(request) = Message::from_vec(bytes) else {
            let id = u16::from_be_bytes(*bytes.first_chunk::<2>()?);
            return encode(&Message::error_msg(id, OpCode::Query, ResponseCode::FormErr), u16::MAX);
        };
        // Two proxies answering each other's answers would never stop.
        if request.metadata.message_type != MessageType::Query {
            return None;
        }
        let limit = if tcp { u16::MAX } else { request.max_payload().max(DNS_UDP_PLAIN) };
        let local = match answerable(&request) {
            Some((query, kind)) => match self.answer(query, kind, tcp).await {
                Ok(local) => local.map(|(name, answer)| respond(&request, query, &name, &answer)),
                Err(failure) => {
                    tracing::debug!(target: "dns", pod = %self.pod.id, %failure, "query failed");
                    Some(refuse(&request, ResponseCode::ServFail))
                }
            },
            None => None,
        };
        match local {
            Some(response) => encode(&response, limit),
            None => self.forward(&request, bytes, tcp).await,
        }
    }

    /// From the snapshot; none where it knows nothing of the name.
    async fn answer(
        &self,
        query: &Query,
        kind: Kind,
        tcp: bool,
    ) -> Result<Option<(String, Answer)>, Failure> {
        let own = self.pod.workload().await?;
        self.count(&own, kind, tcp);
        let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let snapshot = self.pod.mesh.store.load();
        let Some(mut found) = answer(&snapshot, &own, &name, kind, &self.zone) else { return Ok(None) };
        fastrand::shuffle(&mut found.addresses);
        tracing::debug!(
            target: "dns",
            query = ?kind, // first: the macro cannot begin with a dotted name
            src.workload = &*own.name,
            src.namespace = &*own.namespace,
            domain = name,
            result = &*found.service.key,
            endpoints = ?found.addresses,
            "query"
        );
        Ok(Some((name, found)))
    }

    fn count(&self, own: &Workload, kind: Kind, tcp: bool) {
        let labels = DnsLabels {
            request_query_type: if kind == Kind::A { "a" } else { "aaaa" },
            request_protocol: if tcp { "tcp" } else { "udp" },
            source_canonical_service: own.canonical_name.to_string(),
            source_canonical_revision: own.canonical_revision.to_string(),
        };
        self.pod.mesh.metrics.dns_requests.get_or_create(&labels).inc();
    }

    async fn forward(&self, request: &Message, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let metrics = &self.pod.mesh.metrics;
        metrics.dns_upstream_requests.inc();
        let asked = match self.forwards.try_acquire() {
            Ok(_slot) => self.upstreams.ask(&self.pod.sockets, bytes, tcp).await,
            Err(_) => Err(io::Error::other("too many queries in flight")),
        };
        match asked {
            Ok(answer) => Some(answer),
            Err(error) => {
                metrics.dns_upstream_failures.inc();
                tracing::debug!(target: "dns", pod = %self.pod.id, %error, "no answer from upstream");
                encode(&refuse(request, ResponseCode::ServFail), u16::MAX)
            }
        }
    }
}

/// The one question we may know the answer to.
fn answerable(request: &Message) -> Option<(&Query, Kind)> {
    let [query] = &*request.queries else { return None };
    let plain = request.metadata.op_code == OpCode::Query && query.query_class() == DNSClass::IN;
    let kind = match query.query_type() {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        _ => return None,
    };
    plain.then_some((query, kind))
}

fn response_to(request: &Message) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.iter().cloned());
    response
}

fn refuse(request: &Message, code: ResponseCode) -> Message {
    let mut response = response_to(request);
    response.metadata.response_code = code;
    response
}

fn respond(request: &Message, query: &Query, name: &str, answer: &Answer) -> Message {
    let mut response = response_to(request);
    response.metadata.authoritative = true;
    let mut owner = query.name().clone();
    if let Some(canonical) =
        answer.canonical.as_ref().and_then(|canonical| Name::from_ascii(format!("{canonical}.")).ok())
        && !answer.addresses.is_empty()
    {
        tracing::trace!(target: "dns", name, %canonical, "search domain stripped");
        response.add_answer(Record::from_rdata(owner, DNS_TTL, RData::CNAME(CNAME(canonical.clone()))));
        owner = canonical;
    }
    for ip in &answer.addresses {
        let data = match ip {
            IpAddr::V4(ip) => RData::A(A(*ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(*ip)),
        };
        response.add_answer(Record::from_rdata(owner.clone(), DNS_TTL, data));
    }
    response
}

/// The bytes, cut to a truncated answer where the client cannot take them.
fn encode(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= usize::from(limit) { Some(bytes) } else { message.truncate().to_vec().ok() }
}
