use crate::proxy::copy::{Side, copy_both_ways};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let (mut client, mut downstream) = duplex(1024);
    let (mut upstream, mut server) = duplex(16);
    let proxy = tokio::spawn(async move {
        let (mut up, mut down) = (0, 0);
        let result = copy_both_ways(&mut downstream, &mut upstream, |side, bytes| match side {
            Side::Downstream => up += bytes,
            Side::Upstream => down += bytes,
        });
        result.await.map(|()| (up, down))
    });
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request", "the client's end arrived while the server may still answer");
    let answer = vec![7; 300_000];
    let sending = answer.clone();
    let server = tokio::spawn(async move {
        server.write_all(&sending).await.unwrap();
        server.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    assert!(received == answer);
    server.await.unwrap();
    assert_eq!(proxy.await.unwrap().unwrap(), (7, 300_000));
}

/// Fails to read after what was written to it.
struct Cut(DuplexStream);

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.0).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        polled
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_side_and_passes_no_end_on() {
    let (client, mut downstream) = duplex(64);
    let (upstream, mut server) = duplex(64);
    server.write_all(b"half an ans").await.unwrap();
    drop(server);
    let error = copy_both_ways(&mut downstream, &mut Cut(upstream), |_, _| {}).await.unwrap_err();
    assert_eq!((error.side, error.error.kind()), (Side::Upstream, io::ErrorKind::ConnectionReset));
    let mut client = client;
    let mut received = [0; 11];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"half an ans");
    let more = tokio::time::timeout(std::time::Duration::from_millis(50), client.read_u8()).await;
    assert!(more.is_err(), "no end of stream reached the client");
}
