use crate::rig::{Direct, Rig, echo, server_id, until, within};
use http::{HeaderMap, StatusCode};
use mesh::hbone::{
    ClientOptions, ConnectError, Dial, Pool, PoolKey, PoolOptions, ServerOptions, TunnelStream,
};
use mesh::identity::SpiffeId;
use mesh::secrets::SecretStore;
use mesh::tls::ExpectedPeer;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

async fn open<D: Dial>(pool: &Pool<D>, key: &PoolKey) -> (TunnelStream, bool) {
    let tunnel = within(pool.connect(key, "echo:1", HeaderMap::new())).await.unwrap();
    (tunnel.stream, tunnel.reused)
}

#[tokio::test]
async fn tunnels_share_a_connection_only_when_the_whole_key_is_equal() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let key = rig.key();
    let (mut first, reused) = open(&pool, &key).await;
    assert!(!reused);
    let (mut second, reused) = open(&pool, &key).await;
    assert!(reused);
    echo(&mut first, b"one").await;
    echo(&mut second, b"two").await;
    assert_eq!(rig.connections(), 1);
    let others = [
        PoolKey { workload_uid: "another".into(), ..key.clone() },
        PoolKey { source: server_id(), ..key.clone() },
        PoolKey { expected: ExpectedPeer::trust_domains(["cluster.local"]), ..key.clone() },
        PoolKey { source_ip: Some("127.0.0.9".parse().unwrap()), ..key.clone() },
    ];
    for (index, other) in others.iter().enumerate() {
        let (_stream, reused) = open(&pool, other).await;
        assert!(!reused, "{other:?}");
        assert_eq!(rig.connections(), index + 2);
    }
}

/// A dialler that waits for permits and counts.
#[derive(Clone)]
struct Gated {
    permits: Arc<Semaphore>,
    dials: Arc<AtomicUsize>,
}

impl Gated {
    fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), dials: Arc::default() }
    }
}

impl Dial for Gated {
    async fn dial(&self, remote: SocketAddr, source_ip: Option<IpAddr>) -> io::Result<TcpStream> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        Direct.dial(remote, source_ip).await
    }
}

#[tokio::test]
async fn many_callers_make_one_dial_and_as_many_connections_as_the_streams_need() {
    let rig = Rig::start().await;
    let gate = Gated::new(0);
    let pool = Pool::new(
        gate.clone(),
        rig.secrets.clone(),
        PoolOptions { max_streams: 10, ..PoolOptions::default() },
    );
    let callers: Vec<_> = (0..35)
        .map(|_| {
            let (pool, key) = (pool.clone(), rig.key());
            tokio::spawn(async move { open(&pool, &key).await.0 })
        })
        .collect();
    until("a dial", || gate.dials.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(gate.dials.load(Ordering::SeqCst), 1, "one at a time");
    gate.permits.add_permits(100);
    let mut streams = Vec::new();
    for caller in callers {
        streams.push(within(caller).await.unwrap());
    }
    for stream in &mut streams {
        echo(stream, b"here").await;
    }
    assert_eq!((rig.connections(), pool.connections()), (4, 4), "35 streams, 10 to a connection");
    drop(streams.split_off(5));
    until("places are given back", || pool.connections() == 4).await;
    let (_stream, reused) = open(&pool, &rig.key()).await;
    assert!(reused, "a connection that was full is used again");
    assert_eq!(rig.connections(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_dial_with_it() {
    let rig = Rig::start().await;
    let gate = Gated::new(0);
    let pool = Pool::new(gate.clone(), rig.secrets.clone(), PoolOptions::default());
    let first = tokio::spawn({
        let (pool, key) = (pool.clone(), rig.key());
        async move { open(&pool, &key).await.1 }
    });
    until("a dial", || gate.dials.load(Ordering::SeqCst) == 1).await;
    first.abort();
    gate.permits.add_permits(1);
    let (_stream, _) = open(&pool, &rig.key()).await;
    assert_eq!(gate.dials.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_evicted_workloads_connections_are_never_used_again() {
    let rig = Rig::start().await;
    let gate = Gated::new(1);
    let pool = Pool::new(gate.clone(), rig.secrets.clone(), PoolOptions::default());
    let key = rig.key();
    let (mut old, _) = open(&pool, &key).await;
    pool.evict("some other workload");
    assert_eq!(pool.connections(), 1);
    pool.evict(&key.workload_uid);
    assert_eq!(pool.connections(), 0);
    echo(&mut old, b"in flight goes on").await;

    // A dial under way when its workload goes is not for those who come later.
    let waiting = tokio::spawn({
        let (pool, key) = (pool.clone(), key.clone());
        async move { open(&pool, &key).await.1 }
    });
    until("the second dial", || gate.dials.load(Ordering::SeqCst) == 2).await;
    pool.evict(&key.workload_uid);
    gate.permits.add_permits(2);
    let (_stream, _) = open(&pool, &key).await;
    within(waiting).await.unwrap();
    assert_eq!(gate.dials.load(Ordering::SeqCst), 3);
    assert_eq!(pool.connections(), 1);
    drop(old);
    until("the evicted connection closes with its last stream", || rig.finished() >= 1).await;
}

#[tokio::test]
async fn an_idle_connection_closes_and_a_used_one_stays() {
    let rig = Rig::start().await;
    let idle_timeout = Duration::from_millis(300);
    let pool = rig.pool(PoolOptions { idle_timeout, ..PoolOptions::default() });
    let (mut stream, _) = open(&pool, &rig.key()).await;
    tokio::time::sleep(3 * idle_timeout).await;
    echo(&mut stream, b"not idle while a stream is open").await;
    assert_eq!((pool.connections(), rig.finished()), (1, 0));
    drop(stream);
    until("it closes", || pool.connections() == 0 && rig.finished() == 1).await;
    let (_stream, reused) = open(&pool, &rig.key()).await;
    assert!(!reused);
}

#[tokio::test]
async fn a_drained_pool_keeps_nothing() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let (mut old, _) = open(&pool, &rig.key()).await;
    pool.drain();
    assert_eq!(pool.connections(), 0);
    let (mut fresh, reused) = open(&pool, &rig.key()).await;
    assert!(!reused);
    assert_eq!(pool.connections(), 0);
    echo(&mut old, b"old").await;
    echo(&mut fresh, b"fresh").await;
    drop((old, fresh));
    until("both close", || rig.finished() == 2).await;
}

#[tokio::test]
async fn answers_other_than_200_and_resets_are_told_apart() {
    let rig = Rig::start().await;
    let http2 = ClientOptions { answer_timeout: Duration::from_millis(500), ..ClientOptions::default() };
    let pool = rig.pool(PoolOptions { http2, ..PoolOptions::default() });
    for status in [401_u16, 400, 503, 201, 302] {
        let error = within(pool.connect(&rig.key(), &format!("refuse:{status}"), HeaderMap::new()))
            .await
            .unwrap_err();
        let expect = StatusCode::from_u16(status).unwrap();
        assert!(matches!(&error, ConnectError::Refused(status) if *status == expect), "{error:?}");
    }
    let error = within(pool.connect(&rig.key(), "ignore:1", HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Reset(_)), "{error:?}");
    let error = within(pool.connect(&rig.key(), "hang:1", HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, ConnectError::AnswerTimeout), "{error:?}");
    for bad in ["", "a b", "host:80/path", "\u{e9}"] {
        let error = within(pool.connect(&rig.key(), bad, HeaderMap::new())).await.unwrap_err();
        assert!(matches!(error, ConnectError::Authority(_)), "{bad:?}: {error:?}");
    }
    assert_eq!(rig.connections(), 1, "none of this is the connection's fault");
}

#[tokio::test]
async fn failures_below_http_are_told_apart() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions { dial_timeout: Duration::from_millis(200), ..PoolOptions::default() });
    let connect =
        async |key: PoolKey| within(pool.connect(&key, "echo:1", HeaderMap::new())).await.unwrap_err();
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = connect(PoolKey { remote: unused, ..rig.key() }).await;
    assert!(
        matches!(&error, ConnectError::Dial(e) if e.kind() == io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    let stranger = SpiffeId::new("cluster.local", "default", "stranger");
    let error = connect(PoolKey { source: stranger.clone(), ..rig.key() }).await;
    assert!(matches!(error, ConnectError::Identity(_)), "{error:?}");
    let error = connect(PoolKey { expected: ExpectedPeer::exactly(stranger), ..rig.key() }).await;
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    let gated = Pool::new(
        Gated::new(0),
        rig.secrets.clone(),
        PoolOptions { dial_timeout: Duration::from_millis(200), ..PoolOptions::default() },
    );
    let error = within(gated.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, ConnectError::DialTimeout), "{error:?}");
    assert_eq!(pool.connections() + gated.connections(), 0);
}

#[tokio::test]
async fn a_server_that_refuses_our_certificate_is_a_tls_failure() {
    let rig = Rig::start().await;
    // A root of its own for the client's certificate; the server's root, so that the client is content.
    let ca = mesh::testing::TestCa::new();
    let mut own = ca.issue(&crate::rig::client_id());
    own.roots.clone_from(&rig.secrets.current(&server_id()).unwrap().certificate().roots);
    let pool = Pool::new(Direct, SecretStore::fixed(vec![own]), PoolOptions::default());
    let error = within(pool.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_the_server_left_costs_the_next_caller_nothing() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    for round in 0..20 {
        let (mut stream, _) = open(&pool, &rig.key()).await;
        echo(&mut stream, b"here").await;
        // The drain of one server process; the pool hears of it some time.
        if round == 0 {
            rig.drain.start();
        }
    }
    assert!(rig.connections() > 1);
}

#[tokio::test]
async fn streams_the_server_refuses_unprocessed_go_to_a_fresh_connection() {
    // The server allows one stream; the client learns of it only after it has sent more.
    let rig = Rig::with(ServerOptions { max_streams: 1, ..ServerOptions::default() }).await;
    let pool = rig.pool(PoolOptions::default());
    let key = rig.key();
    let (first, second) = within(async {
        tokio::join!(
            pool.connect(&key, "echo:1", HeaderMap::new()),
            pool.connect(&key, "echo:1", HeaderMap::new())
        )
    })
    .await;
    let (mut first, mut second) = (first.unwrap().stream, second.unwrap().stream);
    echo(&mut first, b"one").await;
    echo(&mut second, b"two").await;
    assert_eq!(rig.connections(), 2);
}
