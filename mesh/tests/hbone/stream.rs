use crate::rig::{LONG, Rig, echo, until, within};
use h2::Reason;
use http::HeaderMap;
use mesh::hbone::{PoolKey, PoolOptions, ServerOptions};
use mesh::limits;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn bytes_go_both_ways_without_a_flush_of_the_writers() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let mut tunnel = within(pool.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap();
    echo(&mut tunnel.stream, b"short").await;
    echo(&mut tunnel.stream, &vec![7; 3 * limits::TUNNEL_WRITE_BUFFER / 2]).await;
    tunnel.stream.shutdown().await.unwrap();
    assert_eq!(within(tunnel.stream.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn megabytes_arrive_whole_and_in_order() {
    let rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let tunnel = within(pool.connect(&rig.key(), "echo:1", HeaderMap::new())).await.unwrap();
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 7) as u8).collect();
    let (mut read, mut write) = tokio::io::split(tunnel.stream);
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let reading = async {
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        received
    };
    let ((), received) = within(async { tokio::join!(writing, reading) }).await;
    assert!(received == sent);
}

#[tokio::test]
async fn either_side_may_stop_sending_and_still_receive() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    for client_first in [true, false] {
        let (client, server) = rig.pair(&pool).await;
        let (mut first, mut second) = if client_first { (client, server) } else { (server, client) };
        first.write_all(b"question").await.unwrap();
        first.shutdown().await.unwrap();
        assert_eq!(first.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        within(second.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "question");
        second.write_all(b"answer").await.unwrap();
        second.shutdown().await.unwrap();
        text.clear();
        within(first.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "answer", "client first: {client_first}");
    }
}

#[tokio::test]
async fn what_was_cut_short_is_an_error_to_the_reader() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    for dropped in [true, false] {
        for client_cuts in [true, false] {
            let (client, server) = rig.pair(&pool).await;
            let (mut cut, mut reader) = if client_cuts { (client, server) } else { (server, client) };
            cut.write_all(b"half of it").await.unwrap();
            cut.flush().await.unwrap();
            let mut start = [0; 10];
            within(reader.read_exact(&mut start)).await.unwrap();
            if dropped {
                drop(cut);
            } else {
                cut.reset(Reason::INTERNAL_ERROR);
            }
            let error = within(reader.read(&mut [0])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "dropped {dropped}, client {client_cuts}");
            let error = within(async {
                loop {
                    reader.write_all(b"into the void").await?;
                    reader.flush().await?;
                }
                #[allow(unreachable_code)]
                Ok::<(), std::io::Error>(())
            })
            .await
            .unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_reset_without_error_is_an_end() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let (mut client, mut server) = rig.pair(&pool).await;
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    within(server.read_exact(&mut [0])).await.unwrap();
    // NO_ERROR is the one reset that reads as an end: the response was complete (RFC 9113 §8.1).
    server.reset(Reason::NO_ERROR);
    assert_eq!(within(client.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_lost_connection_is_an_error_to_both_readers() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = PoolKey { remote: relay.local_addr().unwrap(), ..rig.key() };
    let server_address = rig.address;
    let relaying = tokio::spawn(async move {
        let (mut near, _) = relay.accept().await.unwrap();
        let mut far = TcpStream::connect(server_address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let tunnel = within(pool.connect(&key, "take:1", HeaderMap::new())).await.unwrap();
    let (mut client, mut server) = (tunnel.stream, rig.take().await);
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    within(server.read_exact(&mut [0])).await.unwrap();
    // Both sockets close: to either side it looks as if the other process had died.
    relaying.abort();
    for stream in [&mut client, &mut server] {
        let error = within(stream.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error:?}");
    }
    until("the pool forgets it", || pool.connections() == 0).await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_at_one_window() {
    let window = 128 << 10;
    let options = ServerOptions { stream_window: window, ..ServerOptions::default() };
    let mut rig = Rig::with(options).await;
    let pool = rig.pool(PoolOptions::default());
    let (mut client, mut server) = rig.pair(&pool).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        for _ in 0..1000 {
            client.write_all(&[1; 4096]).await.unwrap();
            counted.fetch_add(4096, Ordering::SeqCst);
        }
        client.shutdown().await.unwrap();
        client
    });
    // Nobody reads: the writer comes to rest.
    let mut before = usize::MAX;
    until("the writer rests", || {
        let now = written.load(Ordering::SeqCst);
        let rests = now == before && now > 0;
        before = now;
        rests && now >= window as usize
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let bound = window as usize + limits::HBONE_SEND_BUFFER + 2 * limits::TUNNEL_WRITE_BUFFER;
    let rested = written.load(Ordering::SeqCst);
    assert!(rested <= bound, "{rested} of at most {bound}");
    let mut received = Vec::new();
    within(server.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received.len(), 4096 * 1000);
    drop(tokio::time::timeout(LONG, writing).await.unwrap().unwrap());
}

#[tokio::test]
async fn chunks_are_passed_on_without_copying() {
    let mut rig = Rig::start().await;
    let pool = rig.pool(PoolOptions::default());
    let (mut client, mut server) = rig.pair(&pool).await;
    client.write_all(&[9; 5000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = 0;
    while let Some(chunk) = within(std::future::poll_fn(|cx| server.poll_chunk(cx))).await {
        received += chunk.unwrap().len();
    }
    assert_eq!(received, 5000);
}
