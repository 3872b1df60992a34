use crate::dns::forward::{Upstreams, is_answer_to, question_length};
use crate::sockets::{SocketOptions, Sockets};
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// A query for `a.b`, type A.
fn query(id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 1, b'b', 0, 0, 1, 0, 1]);
    message
}

fn answer(query: &[u8]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2] |= 0x80;
    message
}

#[test]
fn what_counts_as_an_answer() {
    let sent = query(7);
    assert_eq!(question_length(&sent), Some(9));
    assert_eq!(question_length(&sent[..18]), None);
    assert!(is_answer_to(&answer(&sent), &sent));
    assert!(!is_answer_to(&sent, &sent), "a query");
    assert!(!is_answer_to(&answer(&query(8)), &sent), "another id");
    let mut other = answer(&sent);
    other[13] = b'x';
    assert!(!is_answer_to(&other, &sent), "another question");
    let mut shouting = answer(&sent);
    shouting[13] = b'A';
    assert!(is_answer_to(&shouting, &sent));
    assert!(!is_answer_to(&sent[..5], &sent));
}

fn sockets() -> Sockets {
    Sockets::here(SocketOptions { mark: None, preserve_source: false, ipv6: false })
}

#[tokio::test]
async fn a_forged_answer_is_passed_over_and_the_clients_id_comes_back() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        let asked = &buffer[..length];
        let mut forged = answer(asked);
        forged[1] ^= 1;
        server.send_to(&forged, from).await.unwrap();
        server.send_to(&answer(asked), from).await.unwrap();
    });
    let sent = query(0x4711);
    let received = Upstreams::new([address]).ask(&sockets(), &sent, false).await.unwrap();
    serving.await.unwrap();
    assert_eq!(received, answer(&sent));
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_refuses() {
    let closed = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstreams = Upstreams::new([closed, server.local_addr().unwrap()]);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(&answer(&buffer[..length]), from).await.unwrap();
    });
    let sent = query(1);
    assert_eq!(upstreams.ask(&sockets(), &sent, false).await.unwrap(), answer(&sent));
    assert!(Upstreams::new([]).ask(&sockets(), &sent, false).await.is_err());
}
