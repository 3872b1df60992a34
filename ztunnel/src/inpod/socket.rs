//! Packets with descriptors over a unix socket of type SEQPACKET, asynchronously.

use crate::inpod::protocol::ProtocolError;
use crate::limits::ZDS_PACKET;
use crate::sockets::pollable;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg, send,
    socket,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One connection.
#[derive(Debug)]
pub struct Packets(AsyncFd<OwnedFd>);

#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl Packets {
    /// # Errors
    /// When nobody listens at `path`.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        let address = UnixAddr::new(path)?;
        loop {
            match connect(fd.as_raw_fd(), &address) {
                Ok(()) => return Self::new(fd),
                // Of a unix socket: the accept queue is full. There is no event that tells when it is not.
                Err(Errno::EAGAIN) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a connected, non-blocking socket.
    ///
    /// # Errors
    /// When it cannot be polled.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(pollable(fd, Interest::READABLE | Interest::WRITABLE)?))
    }

    /// The next packet; empty at the end.
    ///
    /// # Errors
    /// When the socket fails, or something was cut off.
    pub async fn receive(&self) -> Result<(Vec<u8>, Vec<OwnedFd>), PacketError> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(received) = ready.try_io(|fd| receive(fd.as_raw_fd())) {
                let (packet, descriptors, truncated) = received?;
                return if truncated {
                    Err(ProtocolError::Truncated.into())
                } else {
                    Ok((packet, descriptors))
                };
            }
        }
    }

    /// # Errors
    /// When the socket fails.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        loop {
            let mut ready = self.0.writable().await?;
            let flags = MsgFlags::MSG_NOSIGNAL;
            if let Ok(sent) = ready.try_io(|fd| Ok(send(fd.as_raw_fd(), packet, flags)?)) {
                return sent.map(|_| ());
            }
        }
    }
}

type Received = (Vec<u8>, Vec<OwnedFd>, bool);

fn receive(fd: RawFd) -> io::Result<Received> {
    let mut buffer = [0; ZDS_PACKET];
    // Room for more than the one descriptor we expect, to see that there were more.
    let mut space = cmsg_space!([RawFd; 4]);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let truncated = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            descriptors.extend(fds.into_iter().map(own));
        }
    }
    let length = message.bytes;
    Ok((buffer[..length].to_vec(), descriptors, truncated))
}

#[allow(unsafe_code)] // the kernel has just made this descriptor for us; nothing else knows its number
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: SCM_RIGHTS installed `fd` as a new descriptor of this process, handed out exactly once by `cmsgs`.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
