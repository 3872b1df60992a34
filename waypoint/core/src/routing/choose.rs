//! Virtual host by authority, then the first route that matches. Envoy: `RouteMatcher`, `RouteEntryImplBase::matchRoute`.

use crate::failure::is_grpc;
use crate::matching::view::RequestView;
use crate::matching::{header, metadata, query};
use crate::model::route::{Domain, PathMatch, Route, RouteMatch, RouteTable, VirtualHost};
use http::header::CONTENT_TYPE;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    pub virtual_host: &'a VirtualHost,
    pub route: &'a Arc<Route>,
}

/// `None` is a 404, `route_not_found`.
#[must_use]
pub fn choose<'a>(table: &'a RouteTable, request: &RequestView<'_>) -> Option<Chosen<'a>> {
    let virtual_host = virtual_host(&table.virtual_hosts, request.authority)?;
    let route = virtual_host.routes.first(request.path.path(), |route| matches(&route.matcher, request))?;
    Some(Chosen { virtual_host, route })
}

/// Exact names before suffixes before prefixes before `*`; among suffixes and prefixes the longest.
/// The port counts as part of the authority, as in Envoy: `*.example.com` does not match `a.example.com:80`.
fn virtual_host<'a>(hosts: &'a [VirtualHost], authority: &str) -> Option<&'a VirtualHost> {
    let ranked = hosts.iter().filter_map(|host| {
        let best = host.domains.iter().filter_map(|domain| rank(domain, authority)).max()?;
        Some((best, host))
    });
    // The first of equals: `max_by_key` would take the last.
    ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, host)| host)
}

fn rank(domain: &Domain, authority: &str) -> Option<(u8, usize)> {
    let authority = authority.as_bytes();
    match domain {
        Domain::Any => Some((0, 0)),
        Domain::Exact(name) => authority.eq_ignore_ascii_case(name.as_bytes()).then_some((3, name.len())),
        // Envoy: the wildcard stands for at least one character.
        Domain::Suffix(suffix) => {
            let start = authority.len().checked_sub(suffix.len()).filter(|start| *start > 0)?;
            authority[start..].eq_ignore_ascii_case(suffix.as_bytes()).then_some((2, suffix.len()))
        }
        Domain::Prefix(prefix) => {
            let head = authority.get(..prefix.len()).filter(|head| head.len() < authority.len())?;
            head.eq_ignore_ascii_case(prefix.as_bytes()).then_some((1, prefix.len()))
        }
    }
}

/// Whether a request is one of those a match describes.
#[must_use]
pub fn matches(matcher: &RouteMatch, request: &RequestView<'_>) -> bool {
    matches_path(&matcher.path, request.path.path())
        && (!matcher.grpc || is_grpc(request.headers.get(CONTENT_TYPE)))
        && matcher.headers.iter().all(|matcher| header::matches(matcher, request))
        && matcher.query.iter().all(|matcher| query::matches(matcher, request.path.query()))
        && matcher.metadata.iter().all(|matcher| metadata::matches(matcher, request.connection.metadata))
}

fn matches_path(matcher: &PathMatch, path: &str) -> bool {
    match matcher {
        PathMatch::Any => true,
        PathMatch::Exact { path: want, ignore_case } => equal(path, want, *ignore_case),
        PathMatch::Prefix { prefix, ignore_case } => starts_with(path, prefix, *ignore_case),
        PathMatch::SegmentPrefix { prefix, ignore_case } => {
            starts_with(path, prefix, *ignore_case)
                && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
        }
        PathMatch::Regex(regex) => regex.is_match(path.as_bytes()),
    }
}

fn equal(have: &str, want: &str, ignore_case: bool) -> bool {
    if ignore_case { have.eq_ignore_ascii_case(want) } else { have == want }
}

fn starts_with(path: &str, prefix: &str, ignore_case: bool) -> bool {
    // Paths are ASCII, so every index is a character boundary; a prefix need not be.
    path.get(..prefix.len()).is_some_and(|head| equal(head, prefix, ignore_case))
}

#[cfg(test)]
mod tests;
