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
        upload.accept(Piece::Data(Bytes::from_static(b"last")));
        upload.accept(Piece::End);
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
