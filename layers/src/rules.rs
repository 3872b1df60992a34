//! What a table forbids.

use crate::Table;
use crate::edges::Edge;
use crate::source::SourceFile;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A module uses one of a higher layer.
    Upward { from: String, to: String, path: PathBuf, line: usize },
    /// A module uses one of its own layer, which uses it back, perhaps by way of others.
    Circle { from: String, to: String, path: PathBuf, line: usize },
    /// The table does not name this module.
    Unlisted { module: String },
    /// The table names a module that is not there.
    Missing { module: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upward { from, to, path, line } => {
                write!(f, "{}:{line}: `{from}` uses `{to}`, which is in a higher layer", path.display())
            }
            Self::Circle { from, to, path, line } => {
                write!(f, "{}:{line}: `{from}` uses `{to}`, which depends on `{from}`", path.display())
            }
            Self::Unlisted { module } => write!(f, "module `{module}` is in no layer of the table"),
            Self::Missing { module } => write!(f, "the table lists `{module}`, but there is no such module"),
        }
    }
}

pub(crate) fn violations(files: &[SourceFile], edges: &[Edge], table: &Table<'_>) -> Vec<Violation> {
    let layers: BTreeMap<&str, u32> =
        table.iter().flat_map(|(layer, modules)| modules.iter().map(|module| (*module, *layer))).collect();
    let modules: BTreeSet<&str> =
        files.iter().filter_map(|file| file.module.first()).map(String::as_str).collect();

    let unlisted = modules.iter().filter(|module| !layers.contains_key(**module));
    let missing = layers.keys().filter(|module| !modules.contains(**module));
    let mut violations: Vec<Violation> = unlisted
        .map(|module| Violation::Unlisted { module: (*module).into() })
        .chain(missing.map(|module| Violation::Missing { module: (*module).into() }))
        .collect();

    // `crate::Name` of something that is no module: an item of the root.
    let edges = edges.iter().filter(|edge| modules.contains(edge.to.as_str()));
    let is_upward = |edge: &&Edge| layers.get(edge.from.as_str()) < layers.get(edge.to.as_str());
    let (upward, sound): (Vec<&Edge>, Vec<&Edge>) = edges.partition(is_upward);
    violations.extend(upward.into_iter().map(|edge| {
        let (from, to, path, line) = edge.clone().into_parts();
        Violation::Upward { from, to, path, line }
    }));
    // Without the upward edges, what is left of circles stays within a layer.
    violations.extend(sound.iter().filter(|edge| reaches(&sound, &edge.to, &edge.from)).map(|edge| {
        let (from, to, path, line) = (*edge).clone().into_parts();
        Violation::Circle { from, to, path, line }
    }));
    violations
}

fn reaches(edges: &[&Edge], start: &str, goal: &str) -> bool {
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        if module == goal {
            return true;
        }
        let next = edges.iter().filter(|edge| edge.from == module).map(|edge| edge.to.as_str());
        open.extend(next.filter(|module| seen.insert(module)));
    }
    false
}
