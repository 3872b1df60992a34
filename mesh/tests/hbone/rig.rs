//! A server whose behaviour is its authority (`echo:1`, `refuse:503`, …), and pools that dial it.

use http::{HeaderMap, HeaderValue, StatusCode};
use mesh::hbone::{
    ConnectStream, Dial, Peer, Pool, PoolKey, PoolOptions, ServeError, ServerOptions, TunnelStream, serve,
};
use mesh::identity::SpiffeId;
use mesh::lifecycle::{DrainTrigger, drain};
use mesh::secrets::SecretStore;
use mesh::testing::TestCa;
use mesh::tls::{self, ExpectedPeer};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn client_id() -> SpiffeId {
    SpiffeId::new("cluster.local", "default", "client")
}

pub(crate) fn server_id() -> SpiffeId {
    SpiffeId::new("cluster.local", "default", "server")
}

/// Streams the test itself plays the server of (`take:…`).
pub(crate) type Taken = mpsc::UnboundedReceiver<TunnelStream>;

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) secrets: SecretStore,
    pub(crate) drain: DrainTrigger,
    pub(crate) taken: Taken,
    pub(crate) accepted: Arc<AtomicUsize>,
    /// How each finished connection ended.
    pub(crate) ended: Arc<Mutex<Vec<Result<(), ServeError>>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    pub(crate) async fn with(options: ServerOptions) -> Self {
        let ca = TestCa::new();
        let secrets = SecretStore::fixed(vec![ca.issue(&client_id()), ca.issue(&server_id())]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, watch) = drain();
        let (give, taken) = mpsc::unbounded_channel();
        let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let config = secrets.current(&server_id()).unwrap().server_config();
        let (counted, endings) = (Arc::clone(&accepted), Arc::clone(&ended));
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, remote)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let local = tcp.local_addr().unwrap();
                let (config, options, watch, give, endings) =
                    (Arc::clone(&config), options.clone(), watch.clone(), give.clone(), Arc::clone(&endings));
                tokio::spawn(async move {
                    let Ok((tls, identity)) = tls::accept(config, tcp).await else { return };
                    let peer = Peer { remote, local, identity: Some(identity) };
                    let result = serve(tls, peer, &options, watch, |stream| behave(stream, &give)).await;
                    endings.lock().unwrap().push(result);
                });
            }
        });
        Self { address, secrets, drain: trigger, taken, accepted, ended, accepting }
    }

    pub(crate) fn pool(&self, options: PoolOptions) -> Pool<Direct> {
        Pool::new(Direct, self.secrets.clone(), options)
    }

    pub(crate) fn key(&self) -> PoolKey {
        PoolKey {
            remote: self.address,
            source: client_id(),
            expected: ExpectedPeer::exactly(server_id()),
            source_ip: None,
            workload_uid: "cluster/pod/default/server".into(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn finished(&self) -> usize {
        self.ended.lock().unwrap().len()
    }

    /// The server's end of a `take:` tunnel.
    pub(crate) async fn take(&mut self) -> TunnelStream {
        within(self.taken.recv()).await.unwrap()
    }

    /// Both ends of a new tunnel.
    pub(crate) async fn pair(&mut self, pool: &Pool<Direct>) -> (TunnelStream, TunnelStream) {
        let tunnel = within(pool.connect(&self.key(), "take:1", HeaderMap::new())).await.unwrap();
        (tunnel.stream, self.take().await)
    }
}

fn behave(stream: ConnectStream, give: &mpsc::UnboundedSender<TunnelStream>) {
    let authority = stream.authority().to_owned();
    let (what, number) = authority.split_once(':').unwrap();
    match what {
        "echo" => {
            let tunnel = stream.accept(HeaderMap::new()).unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(tunnel);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
        "take" => give.send(stream.accept(HeaderMap::new()).unwrap()).unwrap(),
        "whoami" => {
            let mut headers = HeaderMap::new();
            let identity = stream.peer().identity.as_ref().unwrap().to_string();
            headers.insert("x-identity", HeaderValue::from_str(&identity).unwrap());
            headers
                .insert("x-remote", HeaderValue::from_str(&stream.peer().remote.ip().to_string()).unwrap());
            headers.insert("baggage", stream.headers().get("baggage").unwrap().clone());
            give.send(stream.accept(headers).unwrap()).unwrap();
        }
        "refuse" => stream.refuse(StatusCode::from_u16(number.parse().unwrap()).unwrap(), HeaderMap::new()),
        "ignore" => drop(stream),
        "hang" => {
            tokio::spawn(async move {
                tokio::time::sleep(LONG).await;
                drop(stream);
            });
        }
        _ => unreachable!("{authority}"),
    }
}

/// Dials what it is told.
pub(crate) struct Direct;

impl Dial for Direct {
    async fn dial(&self, remote: SocketAddr, source_ip: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(ip) = source_ip {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        socket.connect(remote).await
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("within the deadline")
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{what}: after {:?}", start.elapsed());
}

/// Writes `message`, and reads as much back.
pub(crate) async fn echo(stream: &mut TunnelStream, message: &[u8]) {
    within(async {
        stream.write_all(message).await.unwrap();
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, message);
    })
    .await;
}
