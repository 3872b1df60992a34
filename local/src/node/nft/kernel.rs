//! Sends transactions to the kernel, in the calling thread's network namespace, and reads what it says of them.
//!
//! The kernel works a transaction off within the send, so the answers are there when it returns; nothing is waited for.

use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, setsockopt, sockopt,
};

use super::batch::{self, Batch};
use super::{Family, Table};

/// Room for a transaction and its acknowledgements. A Service with its endpoints takes about 1 KiB.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
const NLMSG_ERROR: u16 = 2;

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The rule, chain or table, as `nft` would write it, and the kernel's answer.
    #[error("the kernel refused `{what}`: {error}{}", hint(*.error))]
    Refused { what: String, error: Errno },
    #[error("talking to nf_tables: {0}")]
    Socket(#[from] io::Error),
    #[error("nf_tables did not confirm the last of {sent} messages")]
    Unconfirmed { sent: usize },
}

/// Makes the table exactly this one.
pub fn replace(table: &Table) -> Result<(), NftError> {
    send(&batch::replace(table))
}

/// Removes a table; that it is not there is no error.
pub fn remove(family: Family, name: &str) -> Result<(), NftError> {
    send(&batch::remove(family, name))
}

fn send(batch: &Batch) -> Result<(), NftError> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .map_err(io::Error::from)?;
    // FORCE needs privilege over the whole machine; without it the kernel's own maximum has to do.
    if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES).map_err(io::Error::from)?;
    }
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES).map_err(io::Error::from)?;
    }
    let kernel = NetlinkAddr::new(0, 0);
    socket::sendto(socket.as_raw_fd(), &batch.bytes, &kernel, MsgFlags::empty()).map_err(io::Error::from)?;

    let mut confirmed = false;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(n) => n,
            Err(Errno::EAGAIN) => break,
            Err(e) => return Err(io::Error::from(e).into()),
        };
        for answer in answers(&buffer[..n]) {
            if answer.code != 0 {
                return Err(refused(batch, &answer));
            }
            // The last message before the end is the last that is acknowledged.
            confirmed |= answer.sequence + 2 == batch.said.len();
        }
    }
    if confirmed { Ok(()) } else { Err(NftError::Unconfirmed { sent: batch.said.len() }) }
}

struct Answer {
    sequence: usize,
    /// 0 or -errno
    code: i32,
}

/// struct nlmsghdr, then in an error message `int error` and the header of the message it is about.
fn answers(bytes: &[u8]) -> Vec<Answer> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    let mut found = Vec::new();
    let mut at = 0;
    while let (Some(length), Some(kind), Some(sequence)) = (word(at), word(at + 4), word(at + 8)) {
        let length = length as usize;
        if length < 16 {
            break;
        }
        if (kind & 0xffff) as u16 == NLMSG_ERROR
            && let Some(code) = word(at + 16)
        {
            found.push(Answer { sequence: sequence as usize, code: code.cast_signed() });
        }
        at += length.next_multiple_of(4);
    }
    found
}

fn refused(batch: &Batch, answer: &Answer) -> NftError {
    let what =
        batch.said.get(answer.sequence).cloned().unwrap_or_else(|| format!("message {}", answer.sequence));
    NftError::Refused { what, error: Errno::from_raw(-answer.code) }
}

/// What the kernel's number usually means here.
fn hint(error: Errno) -> &'static str {
    match error {
        Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT => " (has this kernel nf_tables? try: modprobe nf_tables)",
        Errno::ENOENT => {
            " (a kernel module is missing, e.g. nft_redir, nft_nat, nft_ct, nft_numgen, nft_reject_ipv4)"
        }
        Errno::EPERM => " (needs CAP_NET_ADMIN over this network namespace)",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
