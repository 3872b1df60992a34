use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn args(url: &str) -> LoadArgs {
    LoadArgs {
        url: url.parse().unwrap(),
        count: Some(10),
        seconds: None,
        rate: None,
        concurrency: 1,
        method: Method::GET,
        headers: vec![("x-a".to_owned(), "b".to_owned())],
        body: None,
        new_connections: false,
        show_body: false,
        timeout: 10.0,
    }
}

/// Answers `per_connection` requests on each connection, then closes it.
async fn server(per_connection: usize) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?y=z", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            for _ in 0..per_connection {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte).await {
                        Ok(1) => request.push(byte[0]),
                        _ => break,
                    }
                }
                assert!(
                    request.is_empty() || request.starts_with(b"GET /x?y=z HTTP/1.1\r\nhost: 127.0.0.1:")
                );
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    (url, connections)
}

#[tokio::test]
async fn closed_idle_connections_are_replaced_without_a_failure() {
    let (url, connections) = server(3).await;
    let outcome = work(Arc::new(plan(args(&url)).unwrap())).await.to_json();
    assert_eq!((outcome["requests"].as_u64(), outcome["failed"].as_u64()), (Some(10), Some(0)), "{outcome}");
    assert_eq!(connections.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn new_connections_are_one_per_request() {
    let (url, connections) = server(3).await;
    let outcome =
        work(Arc::new(plan(LoadArgs { new_connections: true, ..args(&url) }).unwrap())).await.to_json();
    assert_eq!(outcome["status"]["200"].as_u64(), Some(10), "{outcome}");
    assert_eq!(connections.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn refused_connections_count_as_failed() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = work(Arc::new(plan(args(&format!("http://{free}/"))).unwrap())).await.to_json();
    assert_eq!((outcome["requests"].as_u64(), outcome["failed"].as_u64()), (Some(10), Some(10)), "{outcome}");
}
