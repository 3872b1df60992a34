use super::*;

fn text(head: &ResponseHead, name: &str) -> Option<String> {
    head.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn refusals_as_envoy_words_them() {
    let (head, body) = of(&Failure::rbac_denied(None), false);
    assert_eq!((head.status.as_u16(), &*body), (403, &b"RBAC: access denied"[..]));
    assert_eq!(text(&head, "content-type").as_deref(), Some("text/plain"));
    assert_eq!(text(&head, "content-length").as_deref(), Some("19"));

    let (head, body) = of(&Failure::route_not_found(), false);
    assert_eq!((head.status.as_u16(), body.len()), (404, 0));
    assert_eq!(text(&head, "content-type"), None);
    assert_eq!(text(&head, "content-length"), None);
}

#[test]
fn grpc_clients_get_a_grpc_status() {
    let (head, body) = of(&Failure::route_not_found(), true);
    assert_eq!((head.status.as_u16(), body.len()), (200, 0));
    assert_eq!(text(&head, "grpc-status").as_deref(), Some("12"));
    let (head, _) = of(&Failure::fault_abort_grpc(GrpcStatus::UNAVAILABLE), false);
    assert_eq!(text(&head, "grpc-status").as_deref(), Some("14"));
    assert_eq!(text(&head, "grpc-message").as_deref(), Some("fault filter abort"));
}

#[test]
fn direct_responses_are_framed_as_refusals_are() {
    let mut head = ResponseHead::new(StatusCode::INTERNAL_SERVER_ERROR);
    let body = direct(&mut head, Bytes::from_static(b"sorry"), true);
    assert_eq!((head.status.as_u16(), body.len()), (200, 0));
    assert_eq!(text(&head, "grpc-status").as_deref(), Some("2"));
    assert_eq!(text(&head, "grpc-message").as_deref(), Some("sorry"));

    let mut head = ResponseHead::new(StatusCode::OK);
    let body = direct(&mut head, Bytes::from_static(b"hello"), false);
    assert_eq!((&*body, text(&head, "content-type").as_deref()), (&b"hello"[..], Some("text/plain")));
    assert_eq!(text(&head, "content-length").as_deref(), Some("5"));
}

#[test]
fn the_upstreams_date_stays_and_its_server_does_not() {
    let mut head = ResponseHead::new(StatusCode::OK);
    head.set(DATE, HeaderValue::from_static("then"));
    head.set(SERVER, HeaderValue::from_static("own"));
    stamp(&mut head, Some(&HeaderValue::from_static("istio-envoy")));
    assert_eq!(
        (text(&head, "date").as_deref(), text(&head, "server").as_deref()),
        (Some("then"), Some("istio-envoy"))
    );
    let mut head = ResponseHead::new(StatusCode::OK);
    stamp(&mut head, None);
    assert!(text(&head, "date").unwrap().ends_with(" GMT"));
}
