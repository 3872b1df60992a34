//! The node's end of the control protocol: requests with their descriptors in, replies out.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::{Reply, Request};
use crate::limits::{CONTROL_CONNECTIONS_MAX, REQUEST_BYTES_MAX};

/// A client that connects and says nothing is not waited for longer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A request and where its replies go. The sender is closed when the client is gone.
#[derive(Debug)]
pub struct Call {
    pub request: Request,
    pub fds: Vec<OwnedFd>,
    pub replies: mpsc::UnboundedSender<Reply>,
}

/// Takes requests for ever.
pub async fn serve(listener: UnixListener, calls: impl Fn(Call) + Clone + Send + 'static) {
    let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let calls = calls.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, calls).await {
                        tracing::debug!(%error, "a control connection");
                    }
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(stream: UnixStream, calls: impl Fn(Call)) -> io::Result<()> {
    let stream = stream.into_std()?;
    let (stream, line, fds) =
        tokio::task::spawn_blocking(move || receive(stream)).await.map_err(io::Error::other)??;
    let stream = UnixStream::from_std(stream)?;
    let (mut read, mut write) = stream.into_split();
    let (replies, mut outgoing) = mpsc::unbounded_channel();
    match serde_json::from_slice(&line) {
        Ok(request) => calls(Call { request, fds, replies }),
        Err(error) => {
            let _ = replies.send(Reply::Error { message: format!("not a request: {error}") }); // we hold the receiver
        }
    }
    let mut unused = [0; 1];
    loop {
        let reply = tokio::select! {
            reply = outgoing.recv() => reply,
            // Nothing follows a request, so this is the client's end.
            _ = read.read(&mut unused) => return Ok(()),
        };
        let Some(reply) = reply else { return Ok(()) };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        if reply.is_last() {
            return Ok(());
        }
    }
}

/// The request line and the descriptors that came with it.
fn receive(stream: StdStream) -> io::Result<(StdStream, Vec<u8>, Vec<OwnedFd>)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST_DEADLINE))?;
    let (mut line, mut fds) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 64 << 10];
    while line.last() != Some(&b'\n') {
        if line.len() > REQUEST_BYTES_MAX {
            return Err(io::Error::other("the request is too long"));
        }
        let n = receive_some(&stream, &mut chunk, &mut fds)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&chunk[..n]);
    }
    stream.set_nonblocking(true)?;
    Ok((stream, line, fds))
}

#[allow(unsafe_code)] // received descriptors are plain numbers until somebody owns them
fn receive_some(stream: &StdStream, chunk: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = nix::cmsg_space!([i32; 3]);
    let mut parts = [IoSliceMut::new(chunk)];
    let message =
        recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel made these descriptors for us just now; nobody else knows them.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::control::client;

    #[tokio::test]
    async fn a_request_arrives_with_its_descriptors_and_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(serve(listener, |call: Call| {
            let Request::Exec { argv, .. } = &call.request else { panic!("{:?}", call.request) };
            let text = format!("{} {}", argv.join(" "), call.fds.len());
            call.replies.send(Reply::Line { text }).unwrap();
            call.replies.send(Reply::Exit { code: 3 }).unwrap();
        }));
        let replies = tokio::task::spawn_blocking(move || {
            let argv = vec!["x".repeat(300_000)];
            let request =
                Request::Exec { namespace: None, pod: "p".into(), container: None, argv, directory: None };
            let (a, b, c) = (io::stdin(), io::stdout(), io::stderr());
            let mut replies = client::send(&path, &request, &[a.as_fd(), b.as_fd(), c.as_fd()]).unwrap();
            std::iter::from_fn(|| replies.next_reply().unwrap()).collect::<Vec<_>>()
        });
        let replies = replies.await.unwrap();
        assert_eq!(replies[1], Reply::Exit { code: 3 });
        assert_eq!(replies[0], Reply::Line { text: format!("{} 3", "x".repeat(300_000)) });
        assert_eq!(replies.len(), 2);
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(serve(listener, |call: Call| panic!("{:?}", call.request)));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"{\"do\": \"dance\"}\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("not a request") && text.contains("dance"), "{text}");
    }
}
