use super::{ContainerLog, LineCutter};
use crate::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};

#[test]
fn cuts_lines() {
    let long = "x".repeat(LOG_LINE_BYTES_MAX + 3);
    let check = |pieces: &[&[u8]], expect: &[&str]| {
        let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
        for piece in pieces {
            cutter.feed(piece, |l| lines.push(l));
        }
        cutter.end(|l| lines.push(l));
        assert_eq!(lines, expect);
    };
    check(&[b"one\ntwo\n"], &["one", "two"]);
    check(&[b"o", b"ne\r\nt", b"wo"], &["one", "two"]);
    check(&[b"\n\n"], &["", ""]);
    check(&[b"\xff\n"], &["\u{fffd}"]);
    check(&[long.as_bytes()], &[&long[..LOG_LINE_BYTES_MAX], "xxx"]);
}

#[tokio::test]
async fn keeps_the_last_lines_and_tells_followers_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = ContainerLog::create(&dir.path().join("app.log")).unwrap();
    for n in 0..LOG_LINES_MAX + 10 {
        log.push(format!("line {n}"));
    }
    assert_eq!(log.tail(2), [format!("line {}", LOG_LINES_MAX + 8), format!("line {}", LOG_LINES_MAX + 9)]);
    let (before, mut after) = log.follow();
    assert_eq!((before.len(), before[0].as_str()), (LOG_LINES_MAX, "line 10"));
    log.take(&b"new\nlast"[..]).await;
    assert_eq!((after.recv().await.unwrap().as_str(), after.recv().await.unwrap().as_str()), ("new", "last"));
    let file = std::fs::read_to_string(log.path()).unwrap();
    assert!(file.starts_with("line 0\n") && file.ends_with("new\nlast\n"));
}
