//! Where the recorded streams are.

use std::path::{Path, PathBuf};

pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/goldens")
}

/// `stream.binpb` of every waypoint of every scenario.
pub(crate) fn recordings() -> Vec<PathBuf> {
    let list = |directory: PathBuf| -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let mut found: Vec<_> = list(goldens())
        .into_iter()
        .flat_map(list)
        .filter(|proxy| proxy.file_name().unwrap().to_string_lossy().starts_with("waypoint-"))
        .map(|proxy| proxy.join("stream.binpb"))
        .collect();
    found.sort();
    found
}
