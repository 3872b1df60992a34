use super::{
    Keepalive, ListenOptions, bind_listener, original_dst, outbound_socket, set_freebind, set_keepalive,
};
use socket2::{Domain, SockRef};
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};

fn any_port(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 0)
}

#[tokio::test]
async fn two_listeners_share_a_port_only_when_asked() {
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let first = bind_listener(any_port("127.0.0.1"), shared).unwrap();
    let address = first.local_addr().unwrap();
    bind_listener(address, shared).unwrap();
    assert!(bind_listener(address, ListenOptions::default()).is_err());
}

#[tokio::test]
async fn a_dual_stack_listener_takes_ipv4() {
    let listener = bind_listener(any_port("::"), ListenOptions::default()).unwrap();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
    TcpStream::connect(address).await.unwrap();
    let only_v6 = ListenOptions { dual_stack: false, ..ListenOptions::default() };
    let listener = bind_listener(any_port("::"), only_v6).unwrap();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_was_not_redirected_has_no_original_destination() {
    let listener = bind_listener(any_port("127.0.0.1"), ListenOptions::default()).unwrap();
    let (_client, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (accepted, _) = accepted.unwrap();
    assert!(original_dst(&accepted).is_err());
}

#[tokio::test]
async fn an_outbound_socket_leaves_from_the_given_address() {
    let listener = bind_listener(any_port("127.0.0.1"), ListenOptions::default()).unwrap();
    let remote = listener.local_addr().unwrap();
    let source = "127.0.0.7".parse().unwrap();
    let socket = outbound_socket(remote, Some(source), None).unwrap();
    let (client, accepted) = tokio::join!(socket.connect(remote), listener.accept());
    let (_client, (_, from)) = (client.unwrap(), accepted.unwrap());
    assert_eq!(from.ip(), source);
}

#[test]
fn keepalive_and_freebind_reach_the_socket() {
    let socket = TcpSocket::new_v4().unwrap();
    set_keepalive(&socket, Keepalive::default()).unwrap();
    let view = SockRef::from(&socket);
    assert!(view.keepalive().unwrap());
    assert_eq!(view.tcp_keepalive_time().unwrap(), Keepalive::default().idle);
    assert_eq!(view.tcp_keepalive_retries().unwrap(), Keepalive::default().retries);
    set_freebind(&socket, Domain::IPV4).unwrap();
    // 192.0.2.0/24 is for documentation; nobody has it.
    socket.bind(any_port("192.0.2.1")).unwrap();
}
