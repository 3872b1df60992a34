use super::*;
use http::{HeaderName, StatusCode};

fn reply(
    status: u16,
    body: &'static [u8],
    headers: &[(&'static str, &str)],
    trailers: &[(&'static str, &str)],
) -> Reply {
    let map = |list: &[(&'static str, &str)]| -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    };
    let trailers = (!trailers.is_empty()).then(|| map(trailers));
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, headers: map(headers), body: Bytes::from_static(body), trailers }
}

#[test]
fn only_a_whole_successful_answer_is_read() {
    let ok = [("grpc-status", "0")];
    let allowed = Verdict::Allowed(Box::default());
    let cases = [
        (reply(200, b"\0\0\0\0\x02\x0a\0", &[], &ok), allowed.clone()),
        (reply(200, b"\0\0\0\0\0", &[], &ok), allowed),
        (reply(200, b"\0\0\0\0\x02\x0a\0", &[], &[]), Verdict::Error(None)),
        (reply(200, b"\0\0\0\0\x02\x0a\0", &[], &[("grpc-status", "14")]), Verdict::Error(None)),
        (reply(200, b"", &[("grpc-status", "13")], &[]), Verdict::Error(None)),
        (reply(200, b"", &ok, &[]), Verdict::Error(None)),
        (reply(503, b"\0\0\0\0\x02\x0a\0", &[], &ok), Verdict::Error(None)),
        (reply(200, b"\x01\0\0\0\x02\x0a\0", &[], &ok), Verdict::Error(None)),
        (reply(200, b"\0\0\0\0\x03\x0a\0", &[], &ok), Verdict::Error(None)),
        (reply(200, b"\0\0\0\0\x02\x0a\0\0", &[], &ok), Verdict::Error(None)),
    ];
    for (reply, expect) in cases {
        assert_eq!(grpc_verdict(&reply), expect, "{reply:?}");
    }
}
