//! The Location of a redirect. Envoy: `RouteEntryImplBase::newUri`, `processRequestHost`.

use super::rewrite::rewrite_path;
use crate::matching::view::RequestView;
use crate::model::route::{PathMatch, PathRewrite, Redirect};
use http::HeaderValue;
use std::borrow::Cow;

/// `None` when the pieces make no header value, which only a configuration with control characters can cause.
#[must_use]
pub fn location(redirect: &Redirect, matched: &PathMatch, request: &RequestView<'_>) -> Option<HeaderValue> {
    let scheme = match &redirect.scheme {
        Some(scheme) => scheme,
        None if redirect.https => "https",
        None => request.scheme,
    };
    let host = match &redirect.host {
        Some(host) => host,
        None => kept_host(request, scheme, redirect.port.is_some()),
    };
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = path(redirect, matched, request);
    // Non-ASCII can come from an authority over HTTP/2 only; RFC 3986 knows no such host.
    let slash = if path.starts_with('/') { "" } else { "/" };
    HeaderValue::from_str(&format!("{scheme}://{host}{port}{slash}{path}")).ok()
}

/// The request's authority, without its port where the redirect brings its own or the old one says nothing any more.
fn kept_host<'a>(request: &RequestView<'a>, scheme: &str, new_port: bool) -> &'a str {
    let host = request.authority;
    let port_at = if host.starts_with('[') { host.rfind("]:").map(|at| at + 1) } else { host.rfind(':') };
    let Some(port_at) = port_at else { return host };
    // Envoy: measured by x-forwarded-proto, so that `http://host:80` behind TLS keeps its meaning.
    let forwarded = request.headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok());
    let old_scheme = forwarded.unwrap_or(request.scheme);
    let default_port = matches!((old_scheme, &host[port_at..]), ("http", ":80") | ("https", ":443"));
    if new_port || (scheme != old_scheme && default_port) { &host[..port_at] } else { host }
}

fn path<'a>(redirect: &Redirect, matched: &PathMatch, request: &RequestView<'a>) -> Cow<'a, str> {
    let path = match &redirect.path {
        Some(rewrite) => Cow::Owned(rewrite_path(rewrite, matched, request.path)),
        None => Cow::Borrowed(request.path.as_str()),
    };
    // Envoy: a query the configuration wrote itself is not stripped.
    let own_query = matches!(&redirect.path, Some(PathRewrite::Full(path)) if path.contains('?'));
    match path.find('?') {
        Some(at) if redirect.strip_query && !own_query => match path {
            Cow::Borrowed(path) => Cow::Borrowed(&path[..at]),
            Cow::Owned(mut path) => {
                path.truncate(at);
                Cow::Owned(path)
            }
        },
        _ => path,
    }
}

#[cfg(test)]
mod tests;
