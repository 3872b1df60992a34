//! The bytes of one connection to an endpoint: a tunnel's inside or a socket, and TLS over either.

use mesh::hbone::TunnelStream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub enum RawStream {
    Tunnel(TunnelStream),
    Tcp(TcpStream),
}

pub enum UpstreamStream {
    Raw(RawStream),
    Tls(Box<TlsStream<RawStream>>),
}

impl RawStream {
    fn reset(&mut self) {
        match self {
            Self::Tunnel(stream) => stream.reset(h2::Reason::CANCEL),
            // Closing with linger zero sends RST; on failure the kernel sends FIN, the best that is left.
            Self::Tcp(stream) => drop(socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))),
        }
    }
}

impl UpstreamStream {
    /// Ends the connection so that the endpoint cannot take it for a clean end.
    pub fn reset(&mut self) {
        match self {
            Self::Raw(stream) => stream.reset(),
            Self::Tls(stream) => stream.get_mut().0.reset(),
        }
    }
}

/// The same four methods for an enum of two streams.
macro_rules! delegate_io {
    ($stream:ty, $first:ident, $second:ident) => {
        impl AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_read(cx, buf),
                    Self::$second(stream) => Pin::new(stream).poll_read(cx, buf),
                }
            }
        }

        impl AsyncWrite for $stream {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_write(cx, buf),
                    Self::$second(stream) => Pin::new(stream).poll_write(cx, buf),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_flush(cx),
                    Self::$second(stream) => Pin::new(stream).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_shutdown(cx),
                    Self::$second(stream) => Pin::new(stream).poll_shutdown(cx),
                }
            }
        }
    };
}

delegate_io!(RawStream, Tunnel, Tcp);
delegate_io!(UpstreamStream, Raw, Tls);
