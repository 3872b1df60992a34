use super::*;
use http_body_util::BodyExt as _;

fn early(bytes: usize, ended: bool) -> Early {
    let pieces = vec![Bytes::from_static(b"first "), Bytes::from(vec![b'.'; bytes - 6])];
    Early { pieces, bytes, end: ended.then_some(None) }
}

async fn read(body: UpstreamBody) -> usize {
    body.collect().await.unwrap().to_bytes().len()
}

#[tokio::test]
async fn what_was_read_early_is_sent_first_and_again_while_it_may_be() {
    for (length, repeatable) in [(100, true), (limits::RETRY_BODY_BYTES + 1, false)] {
        let mut upload = Upload::new(true, None, early(length, false));
        let (first, mirror) = (upload.attempt(), upload.mirror());
        upload.accept(Piece::Data(Bytes::from_static(b"last"))).unwrap();
        upload.accept(Piece::End).unwrap();
        assert_eq!(read(first).await, length + 4);
        assert_eq!(upload.can_repeat(), repeatable, "{length}");
        if repeatable {
            assert_eq!(read(mirror).await, length + 4);
            assert_eq!(read(upload.attempt()).await, length + 4);
        }
        assert_eq!(upload.bytes, length as u64 + 4);
    }
}

#[tokio::test]
async fn a_request_read_to_its_end_is_whole_for_everybody() {
    let mut upload = Upload::new(true, Some(50), early(50, true));
    assert!(upload.ended());
    upload.forget();
    assert!(!upload.can_repeat());
    let mirror = upload.mirror();
    assert_eq!(read(upload.attempt()).await, 50);
    assert_eq!(read(mirror).await, 50);
}

/// A filter that reads ahead gets the client's bytes; the endpoint gets gRPC from the first of them on.
#[tokio::test]
async fn base64_is_decoded_wherever_a_filter_stopped_reading() {
    const TEXT: &[u8] = b"AAAAAAFhAAAAAAA=";
    for split in [0, 3, 4, TEXT.len()] {
        let (before, after) = TEXT.split_at(split);
        let early = Early { pieces: vec![Bytes::from_static(before)], bytes: split, end: None };
        let mut upload = Upload::new(true, None, early);
        let content = Content {
            decoder: Decoder::of(waypoint_core::grpc::web::Encoding::Text),
            messages: Some(Messages::default()),
        };
        upload.read_as(content).unwrap();
        let body = upload.attempt();
        upload.accept(Piece::Data(Bytes::from_static(after))).unwrap();
        upload.accept(Piece::End).unwrap();
        assert_eq!(&body.collect().await.unwrap().to_bytes()[..], b"\0\0\0\0\x01a\0\0\0\0\0", "{split}");
        assert_eq!((upload.messages(), upload.bytes), (Some(2), TEXT.len() as u64));
    }
}

#[test]
fn a_body_that_is_no_base64_is_the_clients_fault() {
    for (text, ends) in [("A!AA", false), ("AAA", true)] {
        let mut upload = Upload::new(true, None, Early::default());
        let decoder = Decoder::of(waypoint_core::grpc::web::Encoding::Text);
        upload.read_as(Content { decoder, messages: None }).unwrap();
        let data = upload.accept(Piece::Data(Bytes::from_static(text.as_bytes())));
        let end = data.and_then(|()| upload.accept(Piece::End));
        assert_eq!((data.is_ok(), end), (ends, Err(Gone::Protocol)), "{text}");
    }
}
