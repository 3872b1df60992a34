use super::*;
use crate::proxy::http::header_case::HeaderCase;
use crate::proxy::upstream::stream::RawStream;
use ::http::{HeaderValue, Method};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nX-RePly: 1\r\nContent-Length: 0\r\n\r\n";

/// Answers requests on one connection; gives back the heads it saw.
async fn answer(mut stream: TcpStream, requests: usize) -> Vec<String> {
    let mut heads = Vec::new();
    let mut seen = Vec::new();
    while heads.len() < requests {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "the client left");
        seen.extend_from_slice(&buffer[..count]);
        if seen.ends_with(b"\r\n\r\n") {
            heads.push(String::from_utf8(std::mem::take(&mut seen)).unwrap());
            stream.write_all(REPLY).await.unwrap();
        }
    }
    heads
}

fn request(case: Option<&[u8]>) -> Request<UpstreamBody> {
    let mut request = Request::new(UpstreamBody::Empty);
    *request.method_mut() = Method::GET;
    *request.uri_mut() = "/".parse().unwrap();
    request.headers_mut().insert("host", HeaderValue::from_static("h"));
    request.headers_mut().insert("x-api-key", HeaderValue::from_static("k"));
    if let Some(head) = case {
        request.extensions_mut().insert(Arc::new(HeaderCase::of(head)));
    }
    request
}

/// On a kept connection, each request and response by its own.
#[tokio::test]
async fn spelling_survives_hyper_where_it_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let server = tokio::spawn(answer(accepted, 3));
    let mut sender = Sender::http1(UpstreamStream::Raw(RawStream::Tcp(stream)), ()).await.unwrap();
    let mut replies = Vec::new();
    for case in [Some(&b"GET / HTTP/1.1\r\nHost: h\r\nX-Api-KEY: k\r\n\r\n"[..]), None, Some(b"")] {
        assert!(sender.is_usable().await);
        let Ok(mut response) = sender.send(request(case)).await else { panic!("no answer") };
        let case = response.extensions_mut().remove::<Arc<HeaderCase>>();
        replies.push(case.map(|case| case.spell("x-reply").to_owned()));
    }
    assert_eq!(replies, [Some("X-RePly".to_owned()), None, Some("X-RePly".to_owned())]);
    let heads = server.await.unwrap();
    let spelt = [("Host: h", "X-Api-KEY: k"), ("host: h", "x-api-key: k"), ("host: h", "x-api-key: k")];
    for (head, (host, key)) in heads.iter().zip(spelt) {
        assert!(
            head.contains(&format!("\r\n{host}\r\n")) && head.contains(&format!("\r\n{key}\r\n")),
            "{head}"
        );
    }
}
