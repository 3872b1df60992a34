use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn asked_of_http2() {
    let mut request = Request::new(UpstreamBody::Empty);
    *request.headers_mut() = headers(&[
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]);
    ask_http2(&mut request, "websocket");
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.extensions().get::<Protocol>().map(AsRef::as_ref), Some(&b"websocket"[..]));
    let mut left: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["sec-websocket-key", "sec-websocket-version"]);
}

/// The key and its answer of RFC 6455 §1.3.
#[test]
fn answered_by_http2_is_a_handshake() {
    let asked = headers(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
    let cases: [(&str, HeaderMap, &str, Option<&str>); 4] = [
        ("websocket", HeaderMap::new(), "websocket", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("websocket", headers(&[("sec-websocket-accept", "theirs")]), "websocket", Some("theirs")),
        ("websocket", headers(&[("content-length", "0")]), "websocket", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("connect-ip", HeaderMap::new(), "connect-ip", None),
    ];
    for (protocol, mut answer, upgrade, accept) in cases {
        answered_by_http2(&mut answer, &asked, protocol);
        let text = |name: http::HeaderName| answer.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((text(UPGRADE), text(SEC_WEBSOCKET_ACCEPT)), (Some(upgrade), accept));
        assert!(!answer.contains_key(CONTENT_LENGTH));
    }
}

#[test]
fn a_client_over_http2_gets_a_key() {
    let mut made = HeaderMap::new();
    add_key(&mut made, "websocket", 1);
    assert_eq!(STANDARD.decode(&made[SEC_WEBSOCKET_KEY]).unwrap().len(), 16);
    let mut own = headers(&[("sec-websocket-key", "own")]);
    add_key(&mut own, "websocket", 1);
    assert_eq!(own[SEC_WEBSOCKET_KEY], "own");
    let mut other = HeaderMap::new();
    add_key(&mut other, "connect-ip", 1);
    assert!(other.is_empty());
}
