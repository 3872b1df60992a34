use super::*;
use http::{HeaderName, HeaderValue};

fn head(value: &'static str) -> ResponseHead {
    let mut headers = HeaderMap::new();
    headers.insert("link", HeaderValue::from_static(value));
    headers.insert("connection", HeaderValue::from_static("close"));
    interim(StatusCode::PROCESSING, &headers)
}

#[test]
fn what_belongs_to_the_connection_stays_there() {
    let head = head("</a.css>");
    assert_eq!(head.status, StatusCode::PROCESSING);
    assert_eq!(head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["link"]);
}

#[test]
fn only_known_ones_are_passed_on() {
    let passed = (100..200).filter(|code| is_passed_on(StatusCode::from_u16(*code).unwrap()));
    assert_eq!(passed.collect::<Vec<_>>(), [100, 102, 103, 104]);
}

#[test]
fn they_come_in_order_and_end_at_the_limit() {
    let (heard, mut interims) = Interims::new();
    let mut passed = 0;
    for _ in 0..=limits::INTERIMS {
        heard.0.try_send(head("1")).unwrap();
        heard.0.try_send(head("2")).unwrap();
        for (head, expect) in interims.drain().zip(["1", "2"]) {
            assert_eq!(head.headers["link"], expect);
            passed += 1;
        }
        while interims.waiting.try_recv().is_ok() {} // what is above the limit
    }
    assert_eq!(passed, limits::INTERIMS);
}
