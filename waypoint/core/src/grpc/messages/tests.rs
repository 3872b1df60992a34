use super::*;
use proptest::prelude::*;

fn body(lengths: &[usize]) -> Vec<u8> {
    let mut body = Vec::new();
    for length in lengths {
        body.push(0);
        body.extend((*length as u32).to_be_bytes());
        body.extend(vec![0xff; *length]);
    }
    body
}

fn counted(pieces: &[&[u8]]) -> (u64, bool) {
    let mut messages = Messages::default();
    pieces.iter().for_each(|piece| messages.pass(piece));
    (messages.count(), messages.at_boundary())
}

#[test]
fn whole_and_broken_bodies() {
    assert_eq!(counted(&[]), (0, true));
    assert_eq!(counted(&[&body(&[0])]), (1, true));
    assert_eq!(counted(&[&body(&[3, 0, 70_000])]), (3, true));
    assert_eq!(counted(&[&body(&[3])[..4]]), (0, false));
    assert_eq!(counted(&[&body(&[3])[..6]]), (1, false));
    assert_eq!(counted(&[b"\0\xff\xff\xff\xffabc"]), (1, false));
}

proptest! {
    #[test]
    fn pieces_change_nothing(lengths in proptest::collection::vec(0usize..40, 0..8), step in 1usize..17) {
        let body = body(&lengths);
        let pieces: Vec<&[u8]> = body.chunks(step).collect();
        prop_assert_eq!(counted(&pieces), (lengths.len() as u64, true));
    }
}
