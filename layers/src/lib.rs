//! Holds a package to its layers: a module imports from its own layer or a lower one, and never in a circle.
//!
//! The table lives in each package's `tests/layers.rs` and names every top-level module. Not a linter: it knows nothing
//! but which top-level module mentions which. The crate root (`lib.rs`, `main.rs`) may see everything; test code is free.
//!
//! ```no_run
//! layers::check(env!("CARGO_MANIFEST_DIR"), &[(0, &["model"]), (1, &["matching"]), (2, &["policy", "routing"])]);
//! ```

mod edges;
mod rules;
mod source;

use std::path::Path;

pub use rules::Violation;

/// Layer number and the modules in it.
pub type Table<'a> = [(u32, &'a [&'a str])];

/// Fails the calling test with every violation, one a line.
///
/// # Panics
/// When a module breaks the table or is missing from it, or a source file cannot be read.
#[track_caller]
pub fn check(manifest_dir: impl AsRef<Path>, table: &Table<'_>) {
    let violations = violations(manifest_dir.as_ref(), table);
    let report: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(report.is_empty(), "the layers do not hold:\n{}", report.join("\n"));
}

/// Every breach of `table` in `manifest_dir/src`.
#[must_use]
pub fn violations(manifest_dir: &Path, table: &Table<'_>) -> Vec<Violation> {
    let files = source::files(&manifest_dir.join("src"));
    let edges: Vec<_> = files.iter().flat_map(edges::of).collect();
    rules::violations(&files, &edges, table)
}

#[cfg(test)]
mod tests;
