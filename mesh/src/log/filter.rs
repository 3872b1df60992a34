//! Which scopes log at which level.
//!
//! A scope is a target as the log shows it, without the name of our crate: `access`, `hbone`, `hbone::pool`. Names of other
//! crates (`h2`) are scopes too.

use crate::log::LogError;
use std::collections::BTreeMap;
use std::fmt;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Crates whose name is left out of a scope.
const OWN_CRATES: [&str; 6] = ["ztunnel", "waypoint", "waypoint_core", "mesh", "xds_client", "fairway"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    default: Option<LevelFilter>,
    scopes: BTreeMap<String, LevelFilter>,
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, LogError> {
        let error = || LogError::Filter(text.chars().take(256).collect());
        let mut filter = Self::default();
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            match split(directive) {
                None => filter.default = Some(level(directive).ok_or_else(error)?),
                Some((scope, name)) if is_scope(scope) => {
                    filter.scopes.insert(scope.to_owned(), level(name).ok_or_else(error)?);
                }
                Some(_) => return Err(error()),
            }
        }
        if filter == Self::default() { Err(error()) } else { Ok(filter) }
    }

    /// Takes over what `changed` says.
    pub(super) fn extend(&mut self, changed: Self) {
        self.default = changed.default.or(self.default);
        self.scopes.extend(changed.scopes);
    }

    pub(super) fn targets(&self) -> Targets {
        let mut targets = Targets::new().with_default(self.default_level());
        for (scope, level) in &self.scopes {
            targets = targets.with_target(scope.clone(), *level);
            for own in OWN_CRATES {
                targets = targets.with_target(format!("{own}::{scope}"), *level);
            }
        }
        targets
    }

    fn default_level(&self) -> LevelFilter {
        self.default.unwrap_or(LevelFilter::INFO)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default_level())?;
        self.scopes.iter().try_for_each(|(scope, level)| write!(f, ",{scope}={level}"))
    }
}

/// The target as the log shows it.
pub(super) fn scope(target: &str) -> &str {
    match target.split_once("::") {
        Some((krate, rest)) if OWN_CRATES.contains(&krate) => rest,
        _ => target,
    }
}

/// `scope=level`, or `scope:level` as istioctl writes it; scopes may hold `::`.
fn split(directive: &str) -> Option<(&str, &str)> {
    directive.split_once('=').or_else(|| directive.rsplit_once(':'))
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && !scope.ends_with(':')
        && scope.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.'))
}

/// tracing's names and Envoy's.
fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "off" | "none" => LevelFilter::OFF,
        "error" | "critical" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
