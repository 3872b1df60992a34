use super::{Admin, json, text};
use crate::lifecycle::{Readiness, drain};
use http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Sends `head` as the only request of a connection; the whole answer.
async fn ask(address: SocketAddr, line: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}

async fn start(admin: Admin) -> (SocketAddr, crate::lifecycle::DrainTrigger, tokio::task::JoinHandle<()>) {
    let bound = admin.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.local_addr();
    let (trigger, watch) = drain();
    (address, trigger, tokio::spawn(bound.serve(watch)))
}

#[tokio::test]
async fn routes_by_path_and_method() {
    let quits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&quits);
    let admin = Admin::new()
        .get(
            "/config_dump",
            |request| async move { json(&serde_json::json!({"query": request.query("mask")})) },
        )
        .metrics(|_| ("text/plain; version=0.0.4".into(), "up 1\n".into()))
        .quit(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    let (address, _trigger, _task) = start(admin).await;
    for (line, expect, body) in [
        ("GET /config_dump?mask=a%20b", 200, "\"a b\""),
        ("GET /stats/prometheus", 200, "up 1"),
        ("GET /metrics", 200, "version=0.0.4"),
        ("GET /quitquitquit", 405, "allow: POST"),
        ("POST /config_dump", 405, "allow: GET"),
        ("GET /nothing", 404, "/config_dump"),
        ("GET //config_dump", 404, ""),
    ] {
        let answer = ask(address, line).await;
        assert_eq!(status(&answer), expect, "{line}: {answer}");
        assert!(answer.contains(body), "{line}: {answer}");
    }
    let head = ask(address, "HEAD /metrics").await;
    assert!(status(&head) == 200 && !head.contains("up 1"), "{head}");
    assert_eq!(quits.load(Ordering::Relaxed), 0);
    assert_eq!(status(&ask(address, "POST /quitquitquit").await), 200);
    assert_eq!(quits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn readiness_names_what_is_pending() {
    let readiness = Readiness::new();
    let (first, second) = (readiness.register("xds"), readiness.register("certificate"));
    let admin = Admin::new().ready("/healthz/ready", readiness.clone(), StatusCode::SERVICE_UNAVAILABLE);
    let (address, _trigger, _task) = start(admin).await;
    let answer = ask(address, "GET /healthz/ready").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.ends_with("not ready, pending: certificate, xds\n"), "{answer}");
    first.ready();
    drop(second);
    let answer = ask(address, "GET /healthz/ready").await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nready\n"), "{answer}");
    readiness.shut_down();
    assert_eq!(status(&ask(address, "GET /healthz/ready").await), 503);
}

#[tokio::test]
async fn a_long_body_is_refused() {
    let admin = Admin::new().post("/p", |_| async { text(StatusCode::OK, "fine") });
    let (address, _trigger, _task) = start(admin).await;
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let length = crate::limits::ADMIN_BODY + 1;
    let mut request =
        format!("POST /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    request.push_str(&"x".repeat(length));
    // The server may close before it has read everything.
    let _ = tcp.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 12];
    tcp.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_drain_finishes_the_request_in_flight_and_closes_the_port() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entered_by, gone) = (Arc::clone(&entered), Arc::clone(&go));
    let admin = Admin::new().get("/slow", move |_| {
        let (entered, go) = (Arc::clone(&entered_by), Arc::clone(&gone));
        async move {
            entered.notify_one();
            go.notified().await;
            text(StatusCode::OK, "done")
        }
    });
    let (address, trigger, task) = start(admin).await;
    let asking = tokio::spawn(async move { ask(address, "GET /slow").await });
    entered.notified().await;
    trigger.start();
    // The port closes while the request is still waiting.
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
    assert!(!task.is_finished());
    go.notify_one();
    assert!(asking.await.unwrap().ends_with("done"));
    tokio::time::timeout(Duration::from_secs(20), task).await.unwrap().unwrap();
}
