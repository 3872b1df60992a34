use crate::rig::{Rig, client_id, echo, server_id, until, within};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use mesh::hbone::{
    ClientOptions, ConnectError, Connection, PingTimes, PoolOptions, ServeError, ServerOptions,
};
use mesh::tls::{self, ExpectedPeer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn dial(rig: &Rig) -> Tls {
    let tcp = TcpStream::connect(rig.address).await.unwrap();
    let config =
        rig.secrets.current(&client_id()).unwrap().client_config(&ExpectedPeer::exactly(server_id()));
    tls::connect(config, rig.address.ip(), tcp).await.unwrap()
}

#[tokio::test]
async fn the_server_sees_peer_and_headers_and_answers_with_its_own() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let mut headers = HeaderMap::new();
    headers.insert("baggage", HeaderValue::from_static("k8s.cluster.name=c"));
    let tunnel = within(pool.connect(&rig.key(), "whoami:1", headers)).await.unwrap();
    assert_eq!(tunnel.headers["x-identity"], client_id().as_str());
    assert_eq!(tunnel.headers["x-remote"], "127.0.0.1");
    assert_eq!(tunnel.headers["baggage"], "k8s.cluster.name=c");
    assert_eq!(tunnel.connection_local_addr.ip(), rig.address.ip());
}

#[tokio::test]
async fn only_connect_is_served() {
    let rig = Rig::start().await;
    let (mut requests, connection) = h2::client::handshake(dial(&rig).await).await.unwrap();
    let driving = tokio::spawn(connection);
    for (method, expect) in [(Method::GET, 404), (Method::POST, 404), (Method::OPTIONS, 404)] {
        let request = Request::builder().method(method).uri("https://10.0.0.1/").body(()).unwrap();
        let (response, _send) = requests.send_request(request, true).unwrap();
        assert_eq!(within(response).await.unwrap().status(), expect);
    }
    drop(requests);
    let _ = within(driving).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_inside_a_tunnel() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let (outer, far) = rig.pair(&pool).await;
    // The far end of the tunnel speaks to the same server: two TLS sessions, one inside the other.
    let address = rig.address;
    tokio::spawn(async move {
        let mut far = far;
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut far, &mut tcp).await;
    });
    let config =
        rig.secrets.current(&client_id()).unwrap().client_config(&ExpectedPeer::exactly(server_id()));
    let inner = within(tls::connect(config, address.ip(), outer)).await.unwrap();
    let connection = within(Connection::open(inner, &ClientOptions::default())).await.unwrap();
    let (mut stream, _) = within(connection.connect("echo:1", HeaderMap::new())).await.unwrap();
    echo(&mut stream, b"through both").await;
}

#[tokio::test]
async fn a_drain_says_goaway_and_ends_after_the_last_stream() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let (mut client, mut server) = rig.pair(&pool).await;
    let mut second = within(pool.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap();
    assert!(second.reused);
    rig.drain.start();
    // The streams that are there go on.
    echo(&mut second.stream, b"still here").await;
    client.write_all(b"last words").await.unwrap();
    client.shutdown().await.unwrap();
    let mut text = String::new();
    within(server.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "last words");
    assert_eq!(rig.finished(), 0, "a stream is still open");
    server.shutdown().await.unwrap();
    within(client.read_to_end(&mut Vec::new())).await.unwrap();
    second.stream.shutdown().await.unwrap();
    within(second.stream.read_to_end(&mut Vec::new())).await.unwrap();
    until("the connection ends", || rig.finished() == 1).await;
    assert!(rig.ended.lock().unwrap()[0].is_ok());
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_drain() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    drop(within(pool.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap());
    rig.drain.start();
    until("the connection ends", || rig.finished() == 1).await;
    until("the pool forgets it", || pool.connections() == 0).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let pings = PingTimes { interval: Duration::from_millis(50), timeout: Duration::from_millis(200) };
    let rig = Rig::with(ServerOptions { pings, ..ServerOptions::default() }).await;
    let mut silent = dial(&rig).await;
    // A preface and empty SETTINGS, and then nothing.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    silent.flush().await.unwrap();
    until("the connection ends", || rig.finished() == 1).await;
    assert!(matches!(rig.ended.lock().unwrap()[0], Err(ServeError::KeepaliveTimeout)));
    let lively = rig.pool(PoolOptions::default());
    let mut tunnel = within(lively.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    echo(&mut tunnel.stream, b"a peer that answers stays").await;
}

#[tokio::test]
async fn a_server_that_answers_no_ping_ends_the_clients_streams() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let pings = PingTimes { interval: Duration::from_millis(50), timeout: Duration::from_millis(200) };
    let connection =
        Connection::open(near, &ClientOptions { pings, ..ClientOptions::default() }).await.unwrap();
    far.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let error = within(connection.connect("a:1", HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Reset(_) | ConnectError::Tls(_)), "{error:?}");
    until("the connection is closed", || !connection.is_open()).await;
}

#[tokio::test]
async fn streams_beyond_the_servers_limit_wait_and_headers_beyond_it_are_refused() {
    let options = ServerOptions { max_streams: 2, header_list: 1024, ..ServerOptions::default() };
    let rig = Rig::with(options).await;
    let connection = Connection::open(dial(&rig).await, &ClientOptions::default()).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(within(connection.connect("echo:1", HeaderMap::new())).await.unwrap().0);
    }
    let third = connection.connect("echo:1", HeaderMap::new());
    tokio::pin!(third);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), third.as_mut()).await.is_err(),
        "no place for a third"
    );
    open.pop();
    within(third).await.unwrap();

    let with_baggage = |length| {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_bytes(&vec![b'x'; length]).unwrap());
        headers
    };
    let error = within(connection.connect("echo:1", with_baggage(1024))).await.unwrap_err();
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    assert!(matches!(&error, ConnectError::Refused(status) if *status == too_large), "{error:?}");
    // Far beyond it, h2 takes it for an attack and ends the connection.
    let error = within(connection.connect("echo:1", with_baggage(8192))).await.unwrap_err();
    let blamed = Some(h2::Reason::ENHANCE_YOUR_CALM);
    assert!(matches!(&error, ConnectError::Reset(error) if error.reason() == blamed), "{error:?}");
}

#[tokio::test]
async fn what_is_not_http2_ends_the_connection() {
    let rig = Rig::start().await;
    let mut stream = dial(&rig).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").await.unwrap();
    stream.flush().await.unwrap();
    until("the connection ends", || rig.finished() == 1).await;
    assert!(matches!(rig.ended.lock().unwrap()[0], Err(ServeError::Http2(_))));
}
