use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{VolumeError, files, make, renew_after, write};
use crate::pods::spec::{Projection, TokenSource, Volume, VolumeSource};

fn content(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
}

fn shown(dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && entry.path().is_file() {
            all.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn versions_replace_each_other_whole() {
    let dir = tempfile::tempdir().unwrap();
    let check = |files: &[(&str, &str)], expect: &[(&str, &str)]| {
        write(dir.path(), &content(files)).unwrap();
        let expect: Vec<_> = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(shown(dir.path()), expect);
    };
    check(&[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "1")]);
    check(&[("a", "2"), ("c", "2")], &[("a", "2"), ("c", "2")]);
    check(&[("sub/deep", "3")], &[]);
    assert_eq!(fs::read_to_string(dir.path().join("sub/deep")).unwrap(), "3");
    check(&[], &[]);
    let versions = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(versions, 2, "..data and its one version");
}

#[test]
fn an_open_folder_keeps_its_time() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &content(&[("cert", "old"), ("key", "old")])).unwrap();
    let seen = fs::read_link(dir.path().join("..data")).unwrap();
    write(dir.path(), &content(&[("cert", "new"), ("key", "new")])).unwrap();
    assert_ne!(fs::read_link(dir.path().join("..data")).unwrap(), seen);
}

#[test]
fn names_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["../x", "/etc/x", "a/../../x", "", "..data"] {
        let refused = write(dir.path(), &content(&[(name, "x")]));
        assert!(matches!(refused, Err(VolumeError::Name(_))), "{name:?}: {refused:?}");
    }
}

#[test]
fn tokens_are_minted_anew_and_renewed_at_four_fifths() {
    let minted = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&minted);
    let token = TokenSource {
        path: "istio-token".into(),
        lifetime: Duration::from_secs(100),
        mint: Arc::new(move |life| {
            Ok(format!("token {} for {}s", counter.fetch_add(1, Ordering::Relaxed), life.as_secs()))
        }),
    };
    let sources = vec![Projection::Files(content(&[("root", "pem")])), Projection::Token(token)];
    assert_eq!(renew_after(&sources), Some(Duration::from_secs(80)));
    assert_eq!(renew_after(&sources[..1]), None);
    assert_eq!(files(&sources).unwrap(), content(&[("istio-token", "token 0 for 100s"), ("root", "pem")]));

    let dir = tempfile::tempdir().unwrap();
    let volume = Volume { name: "tokens".into(), source: VolumeSource::Projected(sources) };
    let at = make(dir.path(), &volume).unwrap();
    assert_eq!(fs::read_to_string(at.join("istio-token")).unwrap(), "token 1 for 100s");
}
