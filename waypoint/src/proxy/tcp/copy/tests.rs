use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

const NEVER: Bounds = Bounds { idle: Duration::ZERO, duration: None };

/// A client, a server, and the copy between them.
fn joined(bounds: Bounds) -> (DuplexStream, DuplexStream, Arc<Counters>, tokio::task::JoinHandle<Ended>) {
    let (client, mut downstream) = duplex(1024);
    let (mut upstream, server) = duplex(1024);
    let counters = Arc::new(Counters::default());
    let shared = counters.clone();
    let copy = tokio::spawn(async move { copy(&mut downstream, &mut upstream, bounds, &shared).await });
    (client, server, counters, copy)
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let (mut client, mut server, counters, copy) = joined(NEVER);
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "question");
    server.write_all(b"a long answer").await.unwrap();
    drop(server);
    text.clear();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "a long answer");
    assert!(matches!(copy.await.unwrap(), Ended::Clean));
    assert_eq!((counters.received.load(Ordering::Relaxed), counters.sent.load(Ordering::Relaxed)), (8, 13));
}

#[tokio::test]
async fn much_more_than_every_buffer_arrives_whole() {
    let (mut client, mut server, _, copy) = joined(NEVER);
    let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
    });
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    drop(server);
    assert!(got == data);
    writer.await.unwrap();
    assert!(matches!(copy.await.unwrap(), Ended::Clean));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_traffic_does_not() {
    let (mut client, mut server, _, copy) = joined(Bounds { idle: Duration::from_secs(10), duration: None });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        client.write_all(b"x").await.unwrap();
        server.read_u8().await.unwrap();
    }
    assert!(!copy.is_finished());
    assert!(matches!(copy.await.unwrap(), Ended::Idle));
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_holds_even_with_traffic() {
    let bounds = Bounds { idle: Duration::ZERO, duration: Some(Duration::from_secs(3)) };
    let (mut client, _server, _, copy) = joined(bounds);
    client.write_all(b"x").await.unwrap();
    assert!(matches!(copy.await.unwrap(), Ended::TooLong));
}
