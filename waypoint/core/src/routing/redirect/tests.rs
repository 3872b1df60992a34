use super::*;
use crate::matching::view::sample::Sample;
use http::StatusCode;

fn redirect() -> Redirect {
    Redirect {
        status: StatusCode::FOUND,
        scheme: None,
        host: None,
        port: None,
        path: None,
        strip_query: false,
        https: false,
    }
}

fn to(redirect: &Redirect, sample: &Sample) -> String {
    let matched = PathMatch::SegmentPrefix { prefix: "/moved".into(), ignore_case: false };
    location(redirect, &matched, &sample.view()).unwrap().to_str().unwrap().to_owned()
}

fn at(authority: &'static str, target: &str) -> Sample {
    Sample { authority, ..Sample::get(target) }
}

#[test]
fn as_recorded() {
    let prefix =
        || Redirect { path: Some(PathRewrite::Prefix("/here".into())), port: Some(8080), ..redirect() };
    let https = || Redirect { scheme: Some("https".into()), ..redirect() };
    let away = Redirect {
        scheme: Some("https".into()),
        host: Some("other.example.com".into()),
        port: Some(8443),
        path: Some(PathRewrite::Full("/landing".into())),
        ..redirect()
    };
    let secure = Sample { scheme: "https", ..at("api", "/moved/x") }.header("x-forwarded-proto", "https");
    let cases = [
        (prefix(), at("api:8080", "/moved/x?q=1"), "http://api:8080/here/x?q=1"),
        (prefix(), at("api:8080", "/moved"), "http://api:8080/here"),
        (prefix(), at("api", "/moved/x"), "http://api:8080/here/x"),
        (prefix(), secure, "https://api:8080/here/x"),
        (away, at("api:8080", "/away?x=1"), "https://other.example.com:8443/landing?x=1"),
        (https(), at("api:8080", "/perm?a=b"), "https://api:8080/perm?a=b"),
        (https(), at("api:80", "/perm"), "https://api/perm"),
        (https(), at("[2001:db8::1]:80", "/perm"), "https://[2001:db8::1]/perm"),
        (https(), at("[2001:db8::1]", "/perm"), "https://[2001:db8::1]/perm"),
        (Redirect { https: true, ..redirect() }, at("api:443", "/"), "https://api:443/"),
        (redirect(), at("api:80", "/a"), "http://api:80/a"),
        (Redirect { strip_query: true, ..redirect() }, at("api", "/a?b"), "http://api/a"),
        (
            Redirect { strip_query: true, path: Some(PathRewrite::Full("/p?own".into())), ..redirect() },
            at("api", "/a?b"),
            "http://api/p?own",
        ),
        (
            Redirect { path: Some(PathRewrite::Prefix("/".into())), ..redirect() },
            at("api", "/moved/x"),
            "http://api//x",
        ),
    ];
    for (redirect, sample, expect) in cases {
        assert_eq!(to(&redirect, &sample), expect, "{redirect:?}");
    }
}

/// CVE-2023-27493: nothing a client writes ends the header.
#[test]
fn no_response_splitting() {
    let location = to(&redirect(), &at("api", "/moved/%0d%0aset-cookie:%20x=1"));
    assert_eq!(location, "http://api/moved/%0d%0aset-cookie:%20x=1");
}
