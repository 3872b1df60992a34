//! The source files of a package, each with the module it is.

use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// `["model", "rbac"]` for `src/model/rbac.rs`; empty for the crate root.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
}

/// Everything below `src` but tests and `src/bin`, whose files are crate roots of their own.
pub(crate) fn files(src: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(src, &[], &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(dir: &Path, module: &[String], files: &mut Vec<SourceFile>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", dir.display())).path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let root = module.is_empty();
        if path.is_dir() {
            if !(root && stem == "bin") {
                collect(&path, &[module, &[stem]].concat(), files);
            }
            continue;
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_rust || stem == "tests" || module.iter().any(|name| name == "tests") {
            continue;
        }
        let module = match stem.as_str() {
            "lib" | "main" if root => Vec::new(),
            "mod" => module.to_vec(),
            _ => [module, &[stem]].concat(),
        };
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        files.push(SourceFile { path, module, text });
    }
}
