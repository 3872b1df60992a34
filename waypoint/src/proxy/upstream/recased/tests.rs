use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SENT: &str = "POST /A HTTP/1.1\r\nHost: h\r\nX-Api-KEY: k\r\nplain: p\r\n\r\n";
const LOWERED: &str =
    "POST /A HTTP/1.1\r\nhost: h\r\nx-api-key: k\r\nplain: p\r\nx-added: a\r\n\r\nx-api-key: body";
const RESPELT: &str =
    "POST /A HTTP/1.1\r\nHost: h\r\nX-Api-KEY: k\r\nplain: p\r\nx-added: a\r\n\r\nx-api-key: body";

/// Through a pipe of `room` bytes, in writes of `step`.
async fn written(case: Option<Arc<HeaderCase>>, room: usize, step: usize) -> String {
    let (near, mut far) = tokio::io::duplex(room);
    let tap = CaseTap::default();
    tap.begin(case);
    let mut stream = Recased::new(near, tap);
    let writing = async move {
        for piece in LOWERED.as_bytes().chunks(step) {
            stream.write_all(piece).await.unwrap();
        }
        stream.shutdown().await.unwrap();
    };
    let mut got = String::new();
    let (read, ()) = tokio::join!(far.read_to_string(&mut got), writing);
    read.unwrap();
    got
}

#[tokio::test]
async fn heads_are_respelt_and_bodies_are_not() {
    let case = Arc::new(HeaderCase::of(SENT.as_bytes()));
    for (room, step) in [(1, 1000), (7, 3), (1000, 1), (1000, 1000)] {
        assert_eq!(written(Some(case.clone()), room, step).await, RESPELT, "{room} {step}");
        assert_eq!(written(None, room, step).await, LOWERED, "{room} {step}");
    }
}

#[tokio::test]
async fn the_final_response_is_remembered() {
    const READ: &str =
        "HTTP/1.1 100 Continue\r\nX-Not: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Yes: 1\r\n\r\nX-Body: 1\r\n\r\n";
    for room in [1, 5, 1000] {
        let (near, mut far) = tokio::io::duplex(room);
        let tap = CaseTap::default();
        tap.begin(Some(Arc::default()));
        let mut stream = Recased::new(near, tap.clone());
        let writing = async move { far.write_all(READ.as_bytes()).await.unwrap() };
        let mut got = String::new();
        let (read, ()) = tokio::join!(stream.read_to_string(&mut got), writing);
        read.unwrap();
        assert_eq!(got, READ);
        let case = tap.response().unwrap();
        let spelt = ["x-yes", "x-not", "x-body"].map(|name| case.spell(name).to_owned());
        assert_eq!(spelt, ["X-Yes", "x-not", "x-body"]);
        tap.begin(None);
        assert_eq!(tap.response(), None);
    }
}
