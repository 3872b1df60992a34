//! The commands' end of the control protocol. Blocking: a command does one thing.

use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::{Reply, Request};

/// The replies to one request, in order.
pub struct Replies {
    lines: io::Lines<BufReader<UnixStream>>,
    ended: bool,
}

/// Sends a request; `fds` go along.
pub fn send(socket: &Path, request: &Request, fds: &[BorrowedFd<'_>]) -> anyhow::Result<Replies> {
    let mut stream = UnixStream::connect(socket).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("no mesh is up ({}); start one with `fairway up DIR`", socket.display())
        }
        _ => anyhow::Error::new(e).context(socket.display().to_string()),
    })?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // The descriptors travel with the first byte; the rest follows as on any stream.
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let messages = if raw.is_empty() { &[][..] } else { &rights[..] };
    let sent =
        sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(&line)], messages, MsgFlags::MSG_NOSIGNAL, None)
            .context("sending the request")?;
    stream.write_all(&line[sent..]).context("sending the request")?;
    Ok(Replies { lines: BufReader::new(stream).lines(), ended: false })
}

impl Replies {
    /// The next reply; `None` after the last.
    pub fn next_reply(&mut self) -> anyhow::Result<Option<Reply>> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.lines.next() else { bail!("the mesh ended before it answered") };
        let reply: Reply = serde_json::from_str(&line?).context("a reply of another fairway version?")?;
        self.ended = reply.is_last();
        if let Reply::Error { message } = reply {
            bail!(message);
        }
        Ok(Some(reply))
    }
}
