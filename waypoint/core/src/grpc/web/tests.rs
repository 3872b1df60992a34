use super::*;
use proptest::prelude::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn requests_are_known_by_their_content_type() {
    use Encoding::{Binary, Text};
    let cases = [
        ("application/grpc-web", "", Some((Binary, Binary))),
        ("application/grpc-web+proto", "*/*", Some((Binary, Binary))),
        ("application/grpc-web-text", "application/grpc-web-text", Some((Text, Text))),
        ("application/grpc-web-text+proto", "application/grpc-web-text+proto", Some((Text, Text))),
        ("application/grpc-web-text", "", Some((Text, Binary))),
        ("application/grpc-web", "application/grpc-web-text", Some((Binary, Text))),
        ("application/grpc", "", None),
        ("application/grpc-webby", "", None),
        ("application/json", "application/grpc-web-text", None),
    ];
    for (content_type, accept, expect) in cases {
        let mut map = headers(&[("content-type", content_type), ("accept", accept), ("content-length", "5")]);
        let begun = GrpcWeb::begin(&mut map);
        assert_eq!(begun.map(|web| (web.request, web.response)), expect, "{content_type}");
        let translated = expect.is_some();
        assert_eq!(map[CONTENT_TYPE] == "application/grpc", translated || content_type == "application/grpc");
        assert_eq!(map.contains_key(TE), translated);
        assert_eq!(map.contains_key(CONTENT_LENGTH), !translated);
    }
}

#[test]
fn only_grpc_responses_are_translated() {
    let web = GrpcWeb { request: Encoding::Text, response: Encoding::Text };
    let mut grpc = headers(&[("content-type", "application/grpc+proto"), ("content-length", "5")]);
    assert!(web.respond(&mut grpc).is_some());
    assert_eq!(grpc[CONTENT_TYPE], "application/grpc-web-text+proto");
    assert!(!grpc.contains_key(CONTENT_LENGTH));
    let mut html = headers(&[("content-type", "text/html"), ("content-length", "5")]);
    assert!(web.respond(&mut html).is_none());
    assert_eq!((html.len(), &html[CONTENT_TYPE]), (2, &HeaderValue::from_static("text/html")));
}

fn decoded(text: &str, step: usize) -> Result<Vec<u8>, NotBase64> {
    let mut decoder = Decoder::of(Encoding::Text).unwrap();
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(step) {
        out.extend_from_slice(&decoder.decode(&Bytes::copy_from_slice(piece))?);
    }
    decoder.end().map(|()| out)
}

#[test]
fn text_is_decoded_group_by_group() {
    let cases: [(&str, Result<&[u8], NotBase64>); 8] = [
        ("", Ok(b"")),
        ("AAAAAAA=", Ok(b"\0\0\0\0\0")),
        ("YQ==YmM=ZGVm", Ok(b"abcdef")),
        ("YQ=", Err(NotBase64)),
        ("YWJj!", Err(NotBase64)),
        ("YW!j", Err(NotBase64)),
        ("=QYQ", Err(NotBase64)),
        ("Y===", Err(NotBase64)),
    ];
    for (text, expect) in cases {
        for step in [1, 3, 4, 100] {
            assert_eq!(decoded(text, step), expect.map(<[u8]>::to_vec), "{text} {step}");
        }
    }
}

fn encoded(encoding: Encoding, pieces: &[&[u8]], trailers: Option<&HeaderMap>) -> Vec<u8> {
    let web = GrpcWeb { request: encoding, response: encoding };
    let mut encoder = web.respond(&mut headers(&[("content-type", "application/grpc")])).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&encoder.encode(Bytes::copy_from_slice(piece)));
    }
    let last = match trailers {
        Some(trailers) => encoder.trailers(trailers),
        None => encoder.end(),
    };
    out.extend_from_slice(&last);
    out
}

#[test]
fn trailers_are_the_last_frame() {
    let trailers = headers(&[("grpc-status", "0")]);
    let message = b"\0\0\0\0\x01a";
    let frame = b"\x80\0\0\0\x0fgrpc-status:0\r\n";
    let binary = encoded(Encoding::Binary, &[message], Some(&trailers));
    assert_eq!(binary, [&message[..], frame].concat());
    let text = encoded(Encoding::Text, &[message], Some(&trailers));
    assert_eq!(text, [STANDARD.encode(message), STANDARD.encode(frame)].concat().into_bytes());
}

proptest! {
    /// A message is encoded in one run however it arrives, and a whole one is never held back.
    #[test]
    fn pieces_do_not_show(body in proptest::collection::vec(any::<u8>(), 0..50), step in 1usize..9) {
        let mut message = vec![0, 0, 0, 0, body.len() as u8];
        message.extend(&body);
        let pieces: Vec<&[u8]> = message.chunks(step).collect();
        let text = encoded(Encoding::Text, &pieces, None);
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(&text, &STANDARD.encode(&message));
        prop_assert_eq!(decoded(&text, step), Ok(message));
    }
}
