//! Where configuration comes from: environment variables and the pod's files, as two plain functions, so that tests
//! pass a table instead of changing the process.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Looks up one variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's surroundings, read once at the start.
pub struct Env<'a> {
    pub lookup: Lookup<'a>,
    /// All variables, for the `ISTIO_META_*` pass-through.
    pub all: Vec<(String, String)>,
    /// Paths of mounts are relative to this; `/` in a pod.
    pub root: PathBuf,
}

impl Env<'_> {
    /// The variable, unless it is empty: a template that renders nothing means "unset".
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// `true` and `1`; everything else is false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "1" | "True" | "TRUE"))
    }

    /// A Go duration (`5s`, `1m30s`); an unreadable one counts as unset.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.text(name).as_deref().and_then(go_duration)
    }

    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative.trim_start_matches(['.', '/']))
    }

    /// Variables `PREFIX…` with the prefix cut off.
    pub fn with_prefix<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        self.all.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// Go's `time.ParseDuration`, as far as Istio's configuration uses it.
#[must_use]
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let value: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += value
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A file of the downward API: `key="value"` lines, values quoted as Go does.
#[must_use]
pub fn downward_api(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.trim_matches('"').to_owned());
            Some((key.to_owned(), value))
        })
        .collect()
}

/// The pairs of such a file; none when it is not mounted.
#[must_use]
pub fn read_downward_api(path: &Path) -> Vec<(String, String)> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(crate::limits::FILE_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| downward_api(&text)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
