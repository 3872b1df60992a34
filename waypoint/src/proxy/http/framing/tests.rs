use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    map
}

fn names(map: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn hop_by_hop_and_nominated_headers_go() {
    let mut map = headers(&[
        ("connection", "keep-alive, x-drop"),
        ("connection", "X-Also"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("x-drop", "1"),
        ("x-also", "1"),
        ("x-keep", "1"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMA"),
    ]);
    strip_request(&mut map, false);
    assert_eq!(names(&map), ["x-keep"]);
}

#[test]
fn a_nomination_cannot_take_credentials_or_identity_away() {
    let mut map = headers(&[
        ("connection", "authorization, x-forwarded-for, content-length"),
        ("authorization", "Bearer x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("content-length", "3"),
    ]);
    strip_request(&mut map, false);
    assert_eq!(names(&map), ["authorization", "content-length", "x-forwarded-for"]);
}

#[test]
fn te_keeps_trailers_only() {
    for (te, expect) in [("trailers", true), ("gzip, Trailers;q=1, trailers", true), ("gzip", false)] {
        let mut map = headers(&[("te", te)]);
        strip_request(&mut map, false);
        assert_eq!(map.get("te").map(|v| v.to_str().unwrap()), expect.then_some("trailers"), "{te}");
    }
}

#[test]
fn an_upgrade_keeps_its_header() {
    let mut map = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
    strip_request(&mut map, true);
    ask_upgrade(&mut map);
    assert_eq!(
        (map["upgrade"].to_str().unwrap(), map["connection"].to_str().unwrap()),
        ("websocket", "upgrade")
    );
}

#[test]
fn chunked_alone_is_a_plain_coding() {
    let cases: [(&[&str], bool); 8] = [
        (&[], true),
        (&["chunked"], true),
        (&["ChUnKeD"], true),
        (&["gzip, chunked"], false),
        (&["gzip", "chunked"], false),
        (&["chunked", "chunked"], false),
        (&["identity"], false),
        (&[""], false),
    ];
    for (codings, expect) in cases {
        let mut map = HeaderMap::new();
        for coding in codings {
            map.append("transfer-encoding", HeaderValue::from_static(coding));
        }
        assert_eq!(is_plain(&map), expect, "{codings:?}");
    }
}

#[test]
fn two_lengths_are_not_plain() {
    assert!(is_plain(&headers(&[("content-length", "7")])));
    assert!(!is_plain(&headers(&[("content-length", "7"), ("content-length", "7")])));
    assert!(!is_plain(&headers(&[("content-length", "5"), ("content-length", "102")])));
}
