use super::*;
use std::task::Waker;

fn taken(body: &mut UpstreamBody) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn room(slot: &Slot) -> bool {
    slot.poll_room(&Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn one_piece_waits_at_a_time() {
    let slot = Slot::default();
    let mut body = UpstreamBody::Slot { slot: slot.clone(), length: None };
    assert!(room(&slot));
    assert!(taken(&mut body).is_pending());
    slot.put(Bytes::from_static(b"a"));
    assert!(!room(&slot));
    let Poll::Ready(Some(Ok(frame))) = taken(&mut body) else { panic!("no frame") };
    assert_eq!(frame.into_data().unwrap(), "a");
    assert!(room(&slot));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-t", http::HeaderValue::from_static("1"));
    slot.end(Some(trailers));
    assert!(!body.is_end_stream());
    assert!(matches!(taken(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
    assert!(matches!(taken(&mut body), Poll::Ready(None)));
    assert!(body.is_end_stream());
}

#[test]
fn a_request_cut_short_is_an_error_upstream() {
    let slot = Slot::default();
    let mut body = UpstreamBody::Slot { slot: slot.clone(), length: Some(10) };
    slot.put(Bytes::from_static(b"abc"));
    slot.fail();
    assert!(matches!(taken(&mut body), Poll::Ready(Some(Err(_)))));
    assert!(!body.is_end_stream());
}

#[test]
fn a_retry_sends_what_the_first_attempt_had() {
    let slot = Slot::replaying([Bytes::from_static(b"one"), Bytes::from_static(b"two")]);
    let mut body = UpstreamBody::Slot { slot: slot.clone(), length: None };
    assert!(!room(&slot));
    for expect in ["one", "two"] {
        let Poll::Ready(Some(Ok(frame))) = taken(&mut body) else { panic!("no frame") };
        assert_eq!(frame.into_data().unwrap(), expect);
    }
    assert!(room(&slot));
}

#[test]
fn nobody_waits_for_a_dropped_taker() {
    let slot = Slot::default();
    let body = UpstreamBody::Slot { slot: slot.clone(), length: None };
    slot.put(Bytes::from_static(b"a"));
    drop(body);
    assert!(room(&slot));
}
