use super::*;
use tokio::io::AsyncWriteExt as _;

const LIMIT: usize = 64;

#[derive(Debug, PartialEq)]
enum Seen {
    Head(&'static str, &'static str),
    Status(u16),
    Nothing,
}

/// Whatever the pieces the bytes come in, the answer is the same.
fn check(sent: &'static str, expect: Seen) {
    for step in [1, 3, 1000] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = runtime.block_on(async {
            let (mut client, mut server) = tokio::io::duplex(1024);
            let mut intake = Intake::default();
            let sending = async {
                for piece in sent.as_bytes().chunks(step) {
                    if client.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                drop(client);
            };
            let reading = intake.read(&mut server, LIMIT, Duration::from_secs(30));
            let (arrived, ()) = tokio::join!(reading, sending);
            match arrived {
                Arrived::Head(length) => Seen::Head(&sent[..length], &sent[length..intake.bytes.len()]),
                Arrived::Refused(failure) => Seen::Status(failure.status.as_u16()),
                Arrived::Nothing => Seen::Nothing,
            }
        });
        match (&seen, &expect) {
            // How much of what follows came along depends on the pieces.
            (Seen::Head(head, _), Seen::Head(wanted, _)) => assert_eq!(head, wanted, "{step}"),
            _ => assert_eq!(seen, expect, "{step}: {}", sent.escape_debug()),
        }
    }
}

#[test]
fn heads_end_with_an_empty_line() {
    check("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Seen::Head("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ""));
    check("GET / HTTP/1.1\r\n\r\nGET /2", Seen::Head("GET / HTTP/1.1\r\n\r\n", "GET /2"));
    check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Seen::Head("\r\n\r\nGET / HTTP/1.1\r\n\r\n", ""));
    check("GET / HTTP/1.1\nHost: h\n\n", Seen::Head("GET / HTTP/1.1\nHost: h\n\n", ""));
}

#[test]
fn what_is_no_head() {
    check("", Seen::Nothing);
    check("GET / HTTP/1.1\r\nHost: h\r\n", Seen::Status(400));
    check("\x16\x03\x01\x02\x00", Seen::Status(400));
    check("\0", Seen::Status(400));
}

#[test]
fn too_long() {
    const LONG: &str =
        "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    check(LONG, Seen::Status(431));
    check(
        "GET / HTTP/1.1\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        Seen::Status(431),
    );
}
