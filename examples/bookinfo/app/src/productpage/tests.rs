use super::*;

#[test]
fn user_comes_from_the_session_cookie() {
    let check = |cookie: &'static str, expect: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static(cookie));
        assert_eq!(user(&headers).as_deref(), expect, "{cookie}");
    };
    check("session=jason", Some("jason"));
    check("a=b; session=j%20k", Some("j k"));
    check("session=", None);
    check("other=1", None);
}

#[test]
fn login_sets_an_escaped_cookie_and_goes_back() {
    let asked = hyper::Request::post("/login").body(Bytes::from_static(b"username=a%3Bb&passwd=")).unwrap();
    let reply = login(&asked);
    assert_eq!(reply.status(), StatusCode::FOUND);
    assert_eq!(reply.headers()[SET_COOKIE], "session=a%3Bb; Path=/; HttpOnly");
    assert_eq!(reply.headers()[LOCATION], "/productpage");
}
