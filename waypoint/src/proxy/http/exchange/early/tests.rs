use super::*;

#[test]
fn what_a_service_gets_to_see_of_a_body() {
    type Case<'a> = (&'a [&'static str], bool, usize, bool, Option<(&'a str, bool)>);
    let cases: [Case<'_>; 7] = [
        (&["ab", "cd"], true, 10, false, Some(("abcd", false))),
        (&["ab", "cd"], true, 4, false, Some(("abcd", false))),
        (&["ab", "cd"], true, 3, false, None),
        (&["ab", "cd"], true, 3, true, Some(("abc", true))),
        // It ends somewhere behind what was read.
        (&["ab", "cd"], false, 4, true, Some(("abcd", true))),
        (&["ab", "cd"], false, 4, false, None),
        (&[], true, 4, false, Some(("", false))),
    ];
    for (pieces, ended, max, allow_partial, expect) in cases {
        let mut early = Early::default();
        pieces.iter().for_each(|piece| early.take(Piece::Data(Bytes::from_static(piece.as_bytes()))));
        if ended {
            early.take(Piece::End);
        }
        let got = early.first(max, allow_partial).ok();
        let got = got.as_ref().map(|(first, partial)| (std::str::from_utf8(first).unwrap(), *partial));
        assert_eq!(got, expect, "{pieces:?} {ended} {max} {allow_partial}");
    }
}
