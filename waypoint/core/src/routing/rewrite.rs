//! Path and host rewriting. Envoy: `prefix_rewrite`, `path_rewrite`, `regex_rewrite`, `host_rewrite_*`.
//!
//! The query is never part of a rewrite: it is cut off before and put back after.

use crate::matching::path::NormalizedPath;
use crate::matching::view::RequestView;
use crate::model::route::{Forward, HostRewrite, PathMatch, PathRewrite};
use http::HeaderValue;
use std::borrow::Cow;

/// What happens to Host towards upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPlan {
    Keep,
    Set(HeaderValue),
    /// The DNS name of the endpoint that is picked.
    Auto,
}

/// Path and query after the rewrite; `matched` says how much of the path a prefix rewrite replaces.
#[must_use]
pub fn rewrite_path(rewrite: &PathRewrite, matched: &PathMatch, path: &NormalizedPath) -> String {
    let old = path.path();
    let new: Cow<'_, str> = match rewrite {
        PathRewrite::Prefix(prefix) => format!("{prefix}{}", behind_match(matched, old)).into(),
        PathRewrite::Full(path) => (&**path).into(),
        PathRewrite::Regex { pattern, substitution } => {
            let replaced = pattern.replace_all(old.as_bytes(), substitution.as_bytes());
            String::from_utf8_lossy(&replaced).into_owned().into()
        }
    };
    match path.query() {
        // Envoy: a query written into a full replacement wins over the client's.
        Some(query) if !new.contains('?') => format!("{new}?{query}"),
        _ => new.into_owned(),
    }
}

fn behind_match<'p>(matched: &PathMatch, path: &'p str) -> &'p str {
    let length = match matched {
        PathMatch::Any => 1,
        PathMatch::Prefix { prefix, .. } | PathMatch::SegmentPrefix { prefix, .. } => prefix.len(),
        // Envoy: the whole path was the match.
        PathMatch::Exact { .. } | PathMatch::Regex(_) => path.len(),
    };
    path.get(length..).unwrap_or_default()
}

/// What the route does to Host; that of its chosen cluster is the host it then starts from.
#[must_use]
pub fn rewrite_host(forward: &Forward, request: &RequestView<'_>) -> HostPlan {
    match &forward.host_rewrite {
        None => HostPlan::Keep,
        Some(HostRewrite::Literal(host)) => HostPlan::Set(host.clone()),
        Some(HostRewrite::Auto) => HostPlan::Auto,
        Some(HostRewrite::Header(name)) => {
            match request.headers.get(name).filter(|value| !value.is_empty()) {
                Some(value) => HostPlan::Set(value.clone()),
                None => HostPlan::Keep,
            }
        }
    }
}

#[cfg(test)]
mod tests;
