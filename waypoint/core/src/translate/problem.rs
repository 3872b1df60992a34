//! What can be wrong with a resource, and where.

use crate::model::Refusal;
use std::fmt;

/// A resource that was understood.
#[derive(Clone, Debug)]
pub struct Translated<T> {
    pub value: T,
    pub warnings: Vec<Warning>,
}

/// Something that only telemetry or tooling would notice is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where in the resource, as far as it is worth telling: a chain, a filter.
    pub path: String,
    pub text: String,
}

/// A resource that is NACKed; its last good version stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{type_url} {name}: {path}: {reason}")]
pub struct Rejection {
    pub type_url: String,
    pub name: String,
    /// `filter_chains[3].filters[0].route_config.virtual_hosts[0].routes[2].match`.
    pub path: String,
    pub reason: String,
}

/// Why a part could not be translated; the caller decides how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Cannot be read or contradicts itself: reaches the whole resource.
    Invalid { path: String, reason: String },
    /// Cannot be honoured: reaches the smallest unit that can refuse.
    Unsupported { kind: &'static str, what: String },
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(super) fn invalid(reason: impl fmt::Display) -> Self {
        Self::Invalid { path: String::new(), reason: reason.to_string() }
    }

    pub(super) fn unsupported(kind: &'static str, what: impl Into<String>) -> Self {
        Self::Unsupported { kind, what: what.into() }
    }

    pub(super) fn reject(self, type_url: &str, name: &str) -> Rejection {
        let (path, reason) = match self {
            Self::Invalid { path, reason } => (path, reason),
            Self::Unsupported { kind, what } => (String::new(), format!("{kind}: {what}")),
        };
        Rejection { type_url: type_url.to_owned(), name: name.to_owned(), path, reason }
    }
}

/// Adds where a problem is, from the inside out.
pub(super) trait At<T> {
    fn at(self, field: &str) -> Result<T>;
    fn at_index(self, field: &str, index: usize) -> Result<T>;
    /// Catches what cannot be honoured; what is invalid goes on up.
    fn or_refusal(self) -> Result<std::result::Result<T, Refusal>>;
}

impl<T> At<T> for Result<T> {
    fn at(self, field: &str) -> Self {
        self.map_err(|problem| match problem {
            Problem::Invalid { path, reason } if path.is_empty() => {
                Problem::Invalid { path: field.to_owned(), reason }
            }
            Problem::Invalid { path, reason } => Problem::Invalid { path: format!("{field}.{path}"), reason },
            unsupported @ Problem::Unsupported { .. } => unsupported,
        })
    }

    fn at_index(self, field: &str, index: usize) -> Self {
        if self.is_ok() { self } else { self.at(&format!("{field}[{index}]")) }
    }

    fn or_refusal(self) -> Result<std::result::Result<T, Refusal>> {
        match self {
            Ok(value) => Ok(Ok(value)),
            Err(Problem::Unsupported { kind, what }) => Ok(Err(Refusal::new(kind, &what))),
            Err(invalid) => Err(invalid),
        }
    }
}

/// Warnings of one resource while it is translated.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    path: String,
    list: Vec<Warning>,
}

impl Warnings {
    /// Warnings that follow belong to this part.
    pub(super) fn enter(&mut self, path: impl Into<String>) {
        self.path = path.into();
    }

    /// Something that holds for each chain alike is told once, where it was first seen: istiod repeats itself in all.
    pub(super) fn push(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.list.iter().any(|known| known.text == text) {
            self.push_here(text);
        }
    }

    /// Something about this part in particular.
    pub(super) fn push_here(&mut self, text: impl Into<String>) {
        self.list.push(Warning { path: self.path.clone(), text: text.into() });
    }

    pub(super) fn into_list(self) -> Vec<Warning> {
        self.list
    }
}
