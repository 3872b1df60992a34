//! One ZDS connection: packets on a SOCK_SEQPACKET socket, strictly one request and then its answer.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use mesh::proto::zds::{
    AddWorkload, DelWorkload, SnapshotSent, Version, WorkloadInfo, WorkloadRequest, WorkloadResponse,
    ZdsHello, workload_request, workload_response,
};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, listen,
    recv, sendmsg, socket,
};
use prost::Message;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::What;
use crate::limits::{ZDS_ACK_DEADLINE, ZDS_PACKET_MAX};
use crate::node::watched::watched;

const NON_BLOCKING: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

pub(super) struct Listener {
    socket: AsyncFd<OwnedFd>,
}

impl Listener {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, NON_BLOCKING, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::new(8)?)?;
        Ok(Self { socket: watched(fd)? })
    }

    pub(super) async fn accept(&self) -> io::Result<Connection> {
        let accepted =
            self.socket.async_io(Interest::READABLE, |fd| Ok(accept4(fd.as_raw_fd(), NON_BLOCKING)?));
        let fd = own(accepted.await?);
        Ok(Connection { socket: watched(fd)? })
    }
}

/// A descriptor that was just made for us.
#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: accept4 returned it, so it is open and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(super) struct Connection {
    socket: AsyncFd<OwnedFd>,
}

impl Connection {
    /// ztunnel speaks first, and says which version.
    pub(super) async fn expect_hello(&self) -> io::Result<()> {
        let packet = self.receive().await?;
        let hello = ZdsHello::decode(packet.as_slice()).map_err(invalid)?;
        match hello.version() {
            Version::V1 => Ok(()),
            other @ Version::NotUsed => {
                Err(invalid(format!("unknown version {other:?} ({})", hello.version)))
            }
        }
    }

    /// Sends one change and waits for the answer: `Err` is ztunnel's reason why not.
    pub(super) async fn tell(&self, what: &What) -> io::Result<Result<(), String>> {
        let (payload, fd) = match what {
            What::Add(workload) => {
                let info = WorkloadInfo {
                    name: workload.name.clone(),
                    namespace: workload.namespace.clone(),
                    service_account: workload.service_account.clone(),
                };
                let add = AddWorkload { uid: workload.uid.clone(), workload_info: Some(info) };
                (workload_request::Payload::Add(add), Some(workload.netns.as_fd().as_raw_fd()))
            }
            What::Remove(uid) => (workload_request::Payload::Del(DelWorkload { uid: uid.clone() }), None),
        };
        self.ask(payload, fd).await
    }

    pub(super) async fn snapshot_sent(&self) -> io::Result<()> {
        let answer = self.ask(workload_request::Payload::SnapshotSent(SnapshotSent {}), None).await?;
        answer.map_err(|e| invalid(format!("ztunnel refused the snapshot: {e}")))
    }

    /// Waits for the end of the connection. ztunnel has nothing to say unasked, so a packet is an end as well.
    pub(super) async fn ended(&self) -> io::Result<()> {
        match self.packet().await? {
            packet if packet.is_empty() => Ok(()),
            packet => Err(invalid(format!("{} unsolicited bytes", packet.len()))),
        }
    }

    async fn ask(
        &self,
        payload: workload_request::Payload,
        fd: Option<RawFd>,
    ) -> io::Result<Result<(), String>> {
        let bytes = WorkloadRequest { payload: Some(payload) }.encode_to_vec();
        if bytes.len() > ZDS_PACKET_MAX {
            return Err(invalid(format!("a request of {} bytes, {ZDS_PACKET_MAX} are allowed", bytes.len())));
        }
        self.send(&bytes, fd).await?;
        let packet = self.receive().await?;
        match WorkloadResponse::decode(packet.as_slice()).map_err(invalid)?.payload {
            Some(workload_response::Payload::Ack(ack)) if ack.error.is_empty() => Ok(Ok(())),
            Some(workload_response::Payload::Ack(ack)) => Ok(Err(ack.error)),
            None => Err(invalid("an answer without content")),
        }
    }

    async fn send(&self, bytes: &[u8], fd: Option<RawFd>) -> io::Result<()> {
        let fds: Vec<RawFd> = fd.into_iter().collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
        let sent = self.socket.async_io(Interest::WRITABLE, |socket| {
            Ok(sendmsg::<()>(
                socket.as_raw_fd(),
                &[IoSlice::new(bytes)],
                control,
                MsgFlags::MSG_NOSIGNAL,
                None,
            )?)
        });
        let n = within(sent).await?;
        if n == bytes.len() { Ok(()) } else { Err(invalid("a packet was sent in part")) }
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        let packet = within(self.packet()).await?;
        if packet.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(packet) }
    }

    async fn packet(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; ZDS_PACKET_MAX];
        // MSG_TRUNC: the length the packet had, not what fitted.
        let received = self.socket.async_io(Interest::READABLE, |socket| {
            Ok(recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC)?)
        });
        let n = received.await?;
        if n > ZDS_PACKET_MAX {
            return Err(invalid(format!("a packet of {n} bytes, {ZDS_PACKET_MAX} are allowed")));
        }
        buffer.truncate(n);
        Ok(buffer)
    }
}

async fn within<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ZDS_ACK_DEADLINE, what).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
