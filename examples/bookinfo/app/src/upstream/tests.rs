use super::*;

#[test]
fn address_follows_the_environment() {
    let check = |vars: &[(&str, &str)], expect: &str| {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(base("details", env), expect, "{vars:?}");
    };
    check(&[], "http://details:9080");
    check(&[("DETAILS_HOSTNAME", "d2"), ("DETAILS_SERVICE_PORT", "80")], "http://d2:80");
    check(&[("SERVICES_DOMAIN", "prod.svc")], "http://details.prod.svc:9080");
    check(&[("SERVICES_DOMAIN", "")], "http://details:9080");
    check(&[("RATINGS_HOSTNAME", "x")], "http://details:9080");
}

#[test]
fn only_listed_headers_go_along() {
    let mut incoming = HeaderMap::new();
    for (name, value) in
        [("x-request-id", "1"), ("b3", "t-s-1"), ("host", "a"), ("accept", "*/*"), ("cookie", "c=1")]
    {
        incoming.append(name, HeaderValue::from_static(value));
    }
    let headers = forwarded(&incoming, Some("jason"));
    let mut names: Vec<_> = headers.keys().map(|k| k.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["b3", "cookie", "end-user", "x-request-id"]);
    assert_eq!(headers["end-user"], "jason");
}

#[test]
fn a_user_that_is_no_header_value_is_left_out() {
    assert!(forwarded(&HeaderMap::new(), Some("a\nb")).is_empty());
}
