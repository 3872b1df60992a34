//! Sockets as a pod needs them: made inside its network namespace, marked so that the pod's redirection rules leave them
//! alone, and able to speak from an address that is not ours.
//!
//! Invariant: every socket of a pod carries the mark, bound or connected; one without it would be redirected to ourselves.

mod netns;
mod pollable;

pub use netns::{Namespace, NamespaceThread};
pub use pollable::pollable;

use crate::limits;
use mesh::net::{
    Keepalive, ListenOptions, bind_listener, outbound_socket, set_keepalive, set_mark, set_nodelay,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// `SO_MARK`; istio-cni's rules know 1337.
    pub mark: Option<u32>,
    /// Connections to applications come from the client's address (`IP_TRANSPARENT`).
    pub preserve_source: bool,
    pub ipv6: bool,
}

/// Makes the sockets of one pod. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sockets {
    place: Place,
    options: SocketOptions,
}

#[derive(Clone, Debug)]
enum Place {
    /// The namespace of this process.
    Here,
    Pod(Arc<Namespace>, NamespaceThread),
}

impl Sockets {
    #[must_use]
    pub fn here(options: SocketOptions) -> Self {
        Self { place: Place::Here, options }
    }

    #[must_use]
    pub fn inside(namespace: Arc<Namespace>, thread: NamespaceThread, options: SocketOptions) -> Self {
        Self { place: Place::Pod(namespace, thread), options }
    }

    #[must_use]
    pub fn options(&self) -> SocketOptions {
        self.options
    }

    async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match &self.place {
            Place::Here => make(),
            Place::Pod(namespace, thread) => thread.run(namespace.clone(), make).await,
        }
    }

    /// Connects; from `source` where it is given and preserved.
    ///
    /// # Errors
    /// `TimedOut` after [`limits::CONNECT_TIMEOUT`], else what the kernel says.
    pub async fn connect(&self, remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
        timeout(limits::CONNECT_TIMEOUT, self.dial(remote, source)).await?
    }

    /// [`Self::connect`] without a deadline of its own, for callers that have one.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn dial(&self, remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let mark = self.options.mark;
        let source =
            source.filter(|source| self.options.preserve_source && source.is_ipv4() == remote.is_ipv4());
        let socket: TcpSocket = self.make(move || outbound_socket(remote, source, mark)).await?;
        let stream = socket.connect(remote).await?;
        set_keepalive(&stream, Keepalive::default())?;
        Ok(stream)
    }

    /// Listens on every address of the pod.
    ///
    /// # Errors
    /// What the kernel says; another process may hold the port without `SO_REUSEPORT`.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let options = ListenOptions {
            reuse_port: true,
            transparent: self.options.preserve_source,
            dual_stack: true,
            mark: self.options.mark,
            backlog: limits::LISTEN_BACKLOG,
        };
        let runtime = Handle::current();
        let bind = move || {
            // tokio registers the listener with the runtime of the caller, not of the thread that makes it.
            let _entered = runtime.enter();
            bind_listener(address, options)?.into_std()
        };
        self.make(bind).await
    }

    /// A UDP socket bound to `address`.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn udp(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let mark = self.options.mark;
        let make = move || {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::DGRAM.nonblocking().cloexec(), None)?;
            if let Some(mark) = mark {
                set_mark(&socket, mark)?;
            }
            if address.port() != 0 {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&address.into())?;
            Ok(std::net::UdpSocket::from(socket))
        };
        UdpSocket::from_std(self.make(make).await?)
    }
}

/// Options of a connection that was accepted.
///
/// # Errors
/// When the peer is gone already.
pub fn prepare(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    set_nodelay(&stream)?;
    set_keepalive(&stream, Keepalive::default())?;
    Ok(stream)
}
