//! Normalisation is idempotent: what policy judged is what any later reader makes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypoint_core::matching::path::{PathOutcome, normalize};
use waypoint_core::model::http_chain::{EscapedSlashes, PathNormalization};

const SLASHES: &[EscapedSlashes] = &[
    EscapedSlashes::KeepUnchanged,
    EscapedSlashes::Reject,
    EscapedSlashes::UnescapeAndRedirect,
    EscapedSlashes::UnescapeAndForward,
];

fuzz_target!(|input: (u8, &str)| {
    let (choice, raw) = input;
    let rules = PathNormalization {
        normalize: choice & 1 == 1,
        merge_slashes: choice & 2 == 2,
        escaped_slashes: SLASHES[usize::from(choice >> 2) % SLASHES.len()],
    };
    let Ok(PathOutcome::Path(path)) = normalize(raw, &rules) else { return };
    assert!(path.as_str().starts_with('/') && path.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!path.path().contains('?') && !path.as_str().contains('#'));
    match normalize(path.as_str(), &rules) {
        Ok(PathOutcome::Path(again)) => assert_eq!(again, path, "{raw:?} {rules:?}"),
        other => panic!("{raw:?} {rules:?}: {path:?} became {other:?}"),
    }
});
