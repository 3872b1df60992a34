use super::*;
use tokio::net::TcpListener;

fn order(addresses: &[&str]) -> Vec<String> {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    alternate(addresses[0], &addresses[1..]).iter().map(ToString::to_string).collect()
}

#[test]
fn families_take_turns() {
    assert_eq!(
        order(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "3.3.3.3:1", "[::2]:1"]),
        ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "[::2]:1", "3.3.3.3:1"]
    );
    assert_eq!(order(&["[::1]:1", "1.1.1.1:1"]), ["[::1]:1", "1.1.1.1:1"]);
    assert_eq!(order(&["1.1.1.1:1"]), ["1.1.1.1:1"]);
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = listener.local_addr().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stream = connect(gone, &[alive], None).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), alive);
    assert!(connect(gone, &[gone], None).await.is_err());
}
