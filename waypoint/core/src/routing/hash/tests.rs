use super::*;
use crate::matching::view::sample::Sample;

fn hashed(policies: &[HashPolicy], sample: &Sample) -> HashOutcome {
    hash(policies, &sample.view(), &mut Dice::new(1))
}

fn header_policy(terminal: bool) -> HashPolicy {
    HashPolicy::Header { name: HeaderName::from_static("x-user"), terminal }
}

fn cookie_policy(ttl: Option<u64>, path: &str) -> HashPolicy {
    HashPolicy::Cookie {
        name: "session".into(),
        ttl: ttl.map(Duration::from_secs),
        path: path.into(),
        attributes: "".into(),
        terminal: false,
    }
}

const SOURCE: HashPolicy = HashPolicy::SourceIp { terminal: false };

/// The hash of one value is plain xxh64, so an Envoy beside us agrees on the host.
#[test]
fn single_values() {
    let query = HashPolicy::Query { name: "user".into(), terminal: false };
    let of = |text: &str| Some(xxh64(text.as_bytes(), 0));
    let plain = || Sample::get("/");
    let cases = [
        (header_policy(false), plain().header("x-user", "a"), of("a")),
        (header_policy(false), plain(), None),
        (SOURCE, plain(), of("10.244.3.12")),
        (query, Sample::get("/?user=a"), of("a")),
        (cookie_policy(None, ""), plain().header("cookie", "other=1; session=abc"), of("abc")),
        (cookie_policy(None, ""), plain().header("cookie", "session=\"abc\"; other=1"), of("abc")),
        (cookie_policy(None, ""), plain().header("cookie", "xsession=abc"), None),
        (cookie_policy(None, ""), plain(), None),
    ];
    for (policy, sample, expect) in cases {
        assert_eq!(hashed(&[policy], &sample), HashOutcome { hash: expect, set_cookie: None });
    }
}

#[test]
fn the_order_of_repeated_headers_says_nothing() {
    let one = hashed(&[header_policy(false)], &Sample::get("/").header("x-user", "a").header("x-user", "b"));
    let two = hashed(&[header_policy(false)], &Sample::get("/").header("x-user", "b").header("x-user", "a"));
    assert_eq!(one, two);
}

#[test]
fn terminal_policies_end_the_list_when_they_have_a_value() {
    let both = |terminal| [header_policy(terminal), SOURCE];
    let with = Sample::get("/").header("x-user", "a");
    assert_eq!(hashed(&both(true), &with), hashed(&[header_policy(true)], &with));
    assert_ne!(hashed(&both(false), &with), hashed(&[header_policy(false)], &with));
    assert_eq!(hashed(&both(true), &Sample::get("/")), hashed(&[SOURCE], &Sample::get("/")));
    // The same value twice does not cancel out.
    assert_ne!(hashed(&[SOURCE, SOURCE], &with).hash, Some(0));
}

#[test]
fn a_missing_cookie_is_made_and_then_kept() {
    let made = hashed(&[cookie_policy(Some(3600), "/")], &Sample::get("/"));
    let cookie = made.set_cookie.unwrap();
    let text = cookie.to_str().unwrap();
    let value =
        text.strip_prefix("session=\"").unwrap().strip_suffix("\"; Max-Age=3600; Path=/; HttpOnly").unwrap();
    assert!(value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");

    let mut sample = Sample::get("/");
    sample.headers.insert(COOKIE, HeaderValue::try_from(format!("session=\"{value}\"")).unwrap());
    let kept = hashed(&[cookie_policy(Some(3600), "/")], &sample);
    assert_eq!(kept, HashOutcome { hash: made.hash, set_cookie: None });
}

#[test]
fn attributes_follow_the_path() {
    let HashPolicy::Cookie { name, ttl, path, terminal, .. } = cookie_policy(Some(0), "/") else {
        unreachable!()
    };
    let attributes = "; SameSite=Lax; Secure".into();
    let made = hashed(&[HashPolicy::Cookie { name, ttl, path, attributes, terminal }], &Sample::get("/"));
    let cookie = made.set_cookie.unwrap();
    assert!(cookie.to_str().unwrap().ends_with("\"; Path=/; SameSite=Lax; Secure; HttpOnly"), "{cookie:?}");
}

#[test]
fn a_session_cookie_has_no_age() {
    let made = hashed(&[cookie_policy(Some(0), "")], &Sample::get("/"));
    assert!(made.set_cookie.unwrap().to_str().unwrap().ends_with("\"; HttpOnly"));
}
