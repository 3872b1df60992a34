use super::*;

const RULES: HeadRules =
    HeadRules { bytes: 60 << 10, fields: 100, accept_http_10: false, preserve_case: false };

/// As Pingora would hand it over: parsed by httparse's rules, duplicates kept.
fn parse(raw: &str, rules: HeadRules) -> Result<RequestHead, Failure> {
    let start = super::check(raw.as_bytes(), rules)?;
    let mut lines = raw.trim_start_matches("\r\n").lines();
    let line = start.rewritten_line.clone();
    let given = lines.next().unwrap();
    let line = line.as_deref().unwrap_or(given).trim_end();
    let mut parts = line.split(' ');
    let method: Method = parts.next().unwrap().parse().unwrap();
    assert_eq!(parts.next(), Some(&*start.target), "what Pingora reads");
    let version = if line.ends_with("HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::new();
    for field in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = field.split_once(':').unwrap();
        headers.append(
            http::HeaderName::try_from(name).unwrap(),
            http::HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        );
    }
    http1(start, &method, version, &headers)
}

fn check(raw: &str, expect: Result<(&str, &str), (u16, &str)>) {
    let got = parse(raw, RULES);
    let got = got
        .as_ref()
        .map(|head| (&*head.authority, &*head.target))
        .map_err(|f| (f.status.as_u16(), &*f.details));
    assert_eq!(got, expect, "{}", raw.escape_debug());
}

#[test]
fn targets_and_authorities() {
    check("GET /a?b HTTP/1.1\r\nHost: h:80\r\n\r\n", Ok(("h:80", "/a?b")));
    check("\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", Ok(("h", "/a")));
    check("GET http://other/abs?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", Ok(("other", "/abs?x=1")));
    check("GET https://other HTTP/1.1\r\nHost: h\r\n\r\n", Ok(("other", "/")));
    check("GET http://other?x HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.invalid_url")));
    check("GET abc HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    check("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    check("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", Err((404, "absolute_path_rejected")));
    check("GET * HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.invalid_url")));
    check("GET HTTP://other/ HTTP/1.1\r\n\r\n", Ok(("other", "/")));
    check("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    check("GET  /a HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    check("GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.invalid_url")));
    check("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    check("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", Err((404, "route_not_found")));
    check("GET / HTTP/1.1\r\n\r\n", Err((400, "missing_host_header")));
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", Err((400, "http.invalid_authority")));
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Err((400, "duplicate_host_header")));
    check("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", Err((400, "http.invalid_authority")));
    check("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", Err((400, "http.invalid_authority")));
    check("GET / HTTP/1.0\r\nHost: h\r\n\r\n", Err((426, "low_version")));
    check("get / HTTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
}

#[test]
fn versions() {
    let low = Err((426, "low_version"));
    check("GET / HTTP/1.2\r\nHost: h\r\n\r\n", low);
    check("GET / HTTP/2.0\r\nHost: h\r\n\r\n", low);
    check("GET /\r\n\r\n", low);
    check("GET / FTP/1.1\r\nHost: h\r\n\r\n", Err((400, "http1.codec_error")));
    let accepting = HeadRules { accept_http_10: true, ..RULES };
    let old = |fields: &str| {
        let head = parse(&format!("GET http://h/a HTTP/1.0\r\n{fields}\r\n"), accepting);
        head.map(|head| head.version).map_err(|failure| failure.status.as_u16())
    };
    assert_eq!(old("x: y\r\n"), Ok(Version::HTTP_10));
    assert_eq!(old("Transfer-Encoding: chunked\r\n"), Err(400));
}

#[test]
fn framing_has_one_reading() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let ok = Ok(("h", "/"));
    let bad = |status, details| Err((status, details));
    check(&post("Content-Length: 5\r\n"), ok);
    check(&post("Transfer-Encoding: ChUnKeD\r\n"), ok);
    check(
        &post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        bad(400, "http1.content_length_and_chunked_not_allowed"),
    );
    check(
        &post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        bad(400, "http1.content_length_and_chunked_not_allowed"),
    );
    check(&post("Content-Length: 2\r\nContent-Length: 2\r\n"), bad(400, "http1.codec_error"));
    for value in ["2, 2", "+2", "-1", "", "0x2", "99999999999999999999999"] {
        check(&post(&format!("Content-Length: {value}\r\n")), bad(400, "http1.codec_error"));
    }
    for value in ["identity", "gzip, chunked", "chunked, chunked", ""] {
        check(&post(&format!("Transfer-Encoding: {value}\r\n")), bad(501, "http1.invalid_transfer_encoding"));
    }
    check(
        &post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        bad(501, "http1.invalid_transfer_encoding"),
    );
}

#[test]
fn http2_heads() {
    let read = |method: Method, uri: &str, host: Option<&str>| {
        let mut request = http::Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        match http2(request.body(()).unwrap().into_parts().0, RULES) {
            Ok(head) => format!("{} {}", head.authority, head.target),
            Err(Refused::Answer(failure)) => format!("{} {}", failure.status.as_u16(), failure.details),
            Err(Refused::Reset(failure)) => format!("reset {} {}", failure.flags, failure.details),
        }
    };
    let cases = [
        (read(Method::GET, "http://h/a?b", None), "h /a?b"),
        (read(Method::GET, "/a", Some("h")), "h /a"),
        (read(Method::GET, "/a", None), "reset DPE http2.violation.of.messaging.rule"),
        (read(Method::CONNECT, "h:80", None), "404 route_not_found"),
        (read(Method::GET, "http://u@h/", None), "400 http.invalid_authority"),
    ];
    for (got, expect) in cases {
        assert_eq!(got, expect);
    }
}

#[test]
fn line_syntax_is_strict() {
    check("GET / HTTP/1.1\nHost: h\n\n", Err((400, "http1.codec_error")));
    check("GET / HTTP/1.1\r\nHost: h\r\nx: a\r\n b\r\n\r\n", Err((400, "http1.codec_error")));
    check("GET / HTTP/1.1\r\nHost: h\r\nx: a\rb\r\n\r\n", Err((400, "http1.codec_error")));
    for field in ["nocolon", ": v", "x a: v", "Transfer-Encoding : chunked", "x\0: v", "x(: v"] {
        check(&format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n"), Err((400, "http1.codec_error")));
    }
    for value in ["a\0b", "\x0bchunked", "\x7f", "\x1b[31m"] {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {value}\r\n\r\n");
        check(&head, Err((400, "http1.invalid_characters")));
    }
}

#[test]
fn limits() {
    let many: String = (0..100).map(|i| format!("x-{i}: 1\r\n")).collect();
    check(&format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), Err((431, "http1.too_many_headers")));
    let long = "a".repeat(61 << 10);
    check(&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), Err((431, "http1.headers_too_large")));
}

#[test]
fn upgrades_need_the_connection_header() {
    let upgrade =
        |fields: &str| parse(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"), RULES).unwrap().upgrade;
    assert_eq!(
        upgrade("Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n").as_deref(),
        Some("websocket")
    );
    assert_eq!(upgrade("Upgrade: websocket\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\n"), None);
}

#[test]
fn spelling_is_remembered_where_it_is_wanted() {
    let raw = "GET / HTTP/1.1\r\nHost: h\r\nX-MiXeD: 1\r\n\r\n";
    assert_eq!(parse(raw, RULES).unwrap().case, None);
    let case = parse(raw, HeadRules { preserve_case: true, ..RULES }).unwrap().case.unwrap();
    assert_eq!((case.spell("x-mixed"), case.spell("host")), ("X-MiXeD", "Host"));
}

#[test]
fn cookies_come_together() {
    for (apart, expect) in [(&["a=1", "b=2; c=3"][..], "a=1; b=2; c=3"), (&["a=1"][..], "a=1")] {
        let mut headers = HeaderMap::new();
        for cookie in apart {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let have: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(have, [expect]);
    }
}
