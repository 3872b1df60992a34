use super::*;
use crate::matching::view::sample::Sample;
use http::HeaderName;
use http::header::AUTHORIZATION;

fn header(name: HeaderName, prefix: &str) -> JwtLocation {
    JwtLocation::Header { name, prefix: prefix.into() }
}

fn check(locations: &[JwtLocation], sample: &Sample, expect: &[&str]) {
    let view = sample.view();
    let found = tokens(locations, &view);
    let texts: Vec<&str> = found.iter().map(|found| &*found.text).collect();
    assert_eq!(texts, expect, "{locations:?}");
}

#[test]
fn headers() {
    let bearer = [header(AUTHORIZATION, "Bearer ")];
    let cases: [(&'static str, &[&str]); 9] = [
        ("Bearer a.b.c", &["a.b.c"]),
        ("bearer a.b.c", &[]),
        ("Bearer", &[]),
        ("Basic YTpi", &[]),
        ("Bearer  \"a.b.c\"", &["a.b.c\""]),
        ("Token, Bearer a.b.c", &["a.b.c"]),
        ("Bearer !!", &["Bearer !!"]),
        ("Bearer a.b.c, x", &["a.b.c, x"]),
        ("", &[]),
    ];
    for (value, expect) in cases {
        check(&bearer, &Sample::get("/").header("authorization", value), expect);
    }
    let twice = Sample::get("/").header("authorization", "Bearer a").header("authorization", "Bearer b");
    check(&bearer, &twice, &["b", "a"]);
    let plain = [header(HeaderName::from_static("x-jwt"), "")];
    check(&plain, &Sample::get("/").header("x-jwt", "a.b.c"), &["a.b.c"]);
    check(&plain, &Sample::get("/").header("x-jwt", ""), &[""]);
}

#[test]
fn parameters_and_cookies() {
    let places = [JwtLocation::Parameter("token".into()), JwtLocation::Cookie("session".into())];
    let cases: [(&str, Option<&'static str>, &[&str]); 9] = [
        ("/", None, &[]),
        ("/?token=a.b.c", None, &["a.b.c"]),
        ("/?x=1&token=a&token=b", None, &["a"]),
        ("/?%74oken=a%2Eb.c", None, &["a.b.c"]),
        ("/?token", None, &[""]),
        ("/?Token=a", None, &[]),
        ("/", Some("a=1; session=a.b.c"), &["a.b.c"]),
        ("/", Some("session=\"a.b.c\";session=x"), &["a.b.c"]),
        ("/?token=t", Some("xsession=1; session=c"), &["c", "t"]),
    ];
    for (target, cookie, expect) in cases {
        let sample = Sample::get(target);
        let sample = match cookie {
            Some(cookie) => sample.header("cookie", cookie),
            None => sample,
        };
        check(&places, &sample, expect);
    }
}
