//! External authorization, the part without a network: whether to ask, what to tell, what the answer means.
//!
//! The IO carries out the call this describes. Invariant: an answer that cannot be applied in full is no permission.
//! Envoy: `extensions/filters/common/ext_authz`, `extensions/filters/http/ext_authz`.

mod query;

pub use query::edit as edit_query;

use crate::dice::Dice;
use crate::matching::view::RequestView;
use crate::matching::{metadata, string};
use crate::model::ext_authz::{
    BodyOverride, BufferSettings, ExtAuthz, ExtAuthzPerRoute, HttpAuthz, SentHeaders,
};
use crate::model::matcher::StringMatcher;
use crate::model::metadata::{DynamicMetadata, MetadataValue};
use crate::model::route::HeaderAppendAction;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

/// Added to a check whose body was looked at: whether that was all of it.
pub const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";
pub const FAILURE_ALLOWED: HeaderName = HeaderName::from_static("x-envoy-auth-failure-mode-allowed");
const HEADERS_TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

/// What the filter does about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    Check,
    Skip,
    /// `deny_at_disable`.
    Deny,
}

#[must_use]
pub fn enabled(config: &ExtAuthz, known: &DynamicMetadata, dice: &mut Dice) -> Enabled {
    let wanted = config.enabled_metadata.as_ref().is_none_or(|matcher| metadata::matches(matcher, known));
    match wanted && dice.chance(config.enabled.numerator, config.enabled.denominator) {
        true => Enabled::Check,
        false if config.deny_at_disable => Enabled::Deny,
        false => Enabled::Skip,
    }
}

/// How much of the body belongs into the check.
#[must_use]
pub fn wanted_body(config: &ExtAuthz, route: Option<&ExtAuthzPerRoute>) -> Option<BufferSettings> {
    match route {
        Some(ExtAuthzPerRoute::Settings { body: BodyOverride::Never, .. }) => None,
        Some(ExtAuthzPerRoute::Settings { body: BodyOverride::With(settings), .. }) => Some(*settings),
        _ => config.body,
    }
}

/// One end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub address: SocketAddr,
    pub principal: Option<&'a str>,
}

/// What the service is told; the request itself for HTTP only.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The real client of the tunnel.
    /// Differs from Envoy: behind its internal listener there is no TLS, so its principals are empty.
    pub source: Peer<'a>,
    pub destination: Peer<'a>,
    pub sni: Option<&'a str>,
    pub metadata: &'a DynamicMetadata,
    /// `context_extensions` of the route.
    pub context: &'a [(Box<str>, Box<str>)],
    pub start: SystemTime,
    pub request: Option<HttpCheck<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct HttpCheck<'a> {
    pub view: RequestView<'a>,
    /// `HTTP/1.1`.
    pub protocol: &'a str,
    /// Of the whole body where it is known.
    pub size: Option<u64>,
    pub body: Option<CheckBody<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct CheckBody<'a> {
    pub bytes: &'a [u8],
    pub partial: bool,
    pub pack_as_bytes: bool,
}

impl SentHeaders {
    fn sends(&self, name: &str) -> bool {
        self.allowed.as_ref().is_none_or(|list| any(list, name)) && !any(&self.disallowed, name)
    }

    /// The request headers the service gets to see; repeated ones joined by commas unless sent raw.
    pub fn of<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a HeaderName, Cow<'a, [u8]>)> {
        let names = headers.keys().filter(|name| *name != PARTIAL_BODY && self.sends(name.as_str()));
        names.flat_map(|name| {
            let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
            let mut values: Vec<Cow<'a, [u8]>> = values.map(Cow::Borrowed).collect();
            if !self.raw && values.len() > 1 {
                values = vec![Cow::Owned(values.join(&b","[..]))];
            }
            values.into_iter().map(move |value| (name, value))
        })
    }

    /// The pseudo-headers among them.
    pub fn pseudo<'a>(
        &'a self,
        view: &RequestView<'a>,
    ) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let all = [
            (":authority", view.authority),
            (":method", view.method),
            (":path", view.path.as_str()),
            (":scheme", view.scheme),
        ];
        all.into_iter().filter(|(name, _)| self.sends(name))
    }
}

fn any(list: &[StringMatcher], name: &str) -> bool {
    list.iter().any(|matcher| string::matches(matcher, name))
}

/// What the service said.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Allowed(Box<Allowed>),
    Denied(Answer),
    /// No answer, or one that says the service itself failed; it may say how to put that to the client.
    Error(Option<Answer>),
    /// Permission on terms that cannot be met, e.g. a header that is none. Envoy: `validate_mutations`, always on here.
    Invalid,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowed {
    pub request: Vec<HeaderChange>,
    pub remove: Vec<HeaderName>,
    pub response: Vec<HeaderChange>,
    pub query: QueryChanges,
    pub metadata: Option<MetadataValue>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryChanges {
    pub set: Vec<(String, String)>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChange {
    pub name: HeaderName,
    pub value: HeaderValue,
    pub action: HeaderAppendAction,
}

/// What the client gets instead of a response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// `None`: 403 of a denial, `status_on_error` of an error.
    pub status: Option<StatusCode>,
    pub headers: Vec<HeaderChange>,
    pub body: Bytes,
    pub metadata: Option<MetadataValue>,
}

impl Allowed {
    /// Whether the request is another one afterwards.
    #[must_use]
    pub fn changes_request(&self) -> bool {
        !(self.request.is_empty() && self.remove.is_empty() && self.query == QueryChanges::default())
    }

    pub fn apply(&self, headers: &mut HeaderMap) {
        apply(&self.request, headers);
        for name in self.remove.iter().filter(|name| !FRAMING.contains(name)) {
            headers.remove(name);
        }
    }
}

/// How a message is framed is not the service's to change: it speaks of its own answer.
/// Differs from Envoy, which lets `allowed_upstream_headers: [content-length]` break the request.
const FRAMING: [HeaderName; 7] = [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Applies changes in their order. An empty value is a value: it may be there to blank what a client sent.
pub fn apply(changes: &[HeaderChange], headers: &mut HeaderMap) {
    for HeaderChange { name, value, action } in
        changes.iter().filter(|change| !FRAMING.contains(&change.name))
    {
        let present = headers.contains_key(name);
        match action {
            HeaderAppendAction::AppendIfExistsOrAdd => drop(headers.append(name, value.clone())),
            HeaderAppendAction::AddIfAbsent if present => {}
            HeaderAppendAction::OverwriteIfExists if !present => {}
            _ => drop(headers.insert(name, value.clone())),
        }
    }
}

/// Puts a local answer's headers in: what is named replaces what was there, and may come several times.
pub fn replace(changes: &[HeaderChange], headers: &mut HeaderMap) {
    let changes = changes.iter().filter(|change| !FRAMING.contains(&change.name));
    for change in changes.clone() {
        headers.remove(&change.name);
    }
    for change in changes {
        headers.append(&change.name, change.value.clone());
    }
}

/// The answer of an HTTP service.
#[must_use]
pub fn http_verdict(service: &HttpAuthz, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Verdict {
    if status.is_server_error() {
        return Verdict::Error(None);
    }
    let metadata = header_metadata(&service.metadata, headers);
    if status == StatusCode::OK {
        let Some(remove) = to_remove(headers) else { return Verdict::Invalid };
        let mut request = changes(headers, &service.upstream, HeaderAppendAction::OverwriteIfExistsOrAdd);
        request.extend(changes(headers, &service.upstream_append, HeaderAppendAction::AppendIfExistsOrAdd));
        let response = changes(headers, &service.client_on_success, HeaderAppendAction::AppendIfExistsOrAdd);
        let query = QueryChanges::default();
        return Verdict::Allowed(Box::new(Allowed { request, remove, response, query, metadata }));
    }
    let passed = headers.iter().filter(|(name, _)| match &service.client {
        None => **name != HOST,
        Some(list) => [WWW_AUTHENTICATE, LOCATION].contains(name) || any(list, name.as_str()),
    });
    let headers = passed.map(|(name, value)| HeaderChange {
        name: name.clone(),
        value: value.clone(),
        action: HeaderAppendAction::AppendIfExistsOrAdd,
    });
    Verdict::Denied(Answer { status: Some(status), headers: headers.collect(), body, metadata })
}

fn changes(headers: &HeaderMap, list: &[StringMatcher], action: HeaderAppendAction) -> Vec<HeaderChange> {
    let wanted = headers.iter().filter(|(name, _)| any(list, name.as_str()));
    wanted.map(|(name, value)| HeaderChange { name: name.clone(), value: value.clone(), action }).collect()
}

/// `None`: a name in the list is none, so what was to be taken away would stay.
fn to_remove(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let lists = headers.get_all(HEADERS_TO_REMOVE).iter().map(|value| value.to_str().ok());
    let mut names = Vec::new();
    for list in lists {
        let list = list?.split(',').map(str::trim);
        for name in list.filter(|name| !name.is_empty() && !name.starts_with(':')) {
            names.push(name.parse().ok()?);
        }
    }
    Some(names)
}

fn header_metadata(list: &[StringMatcher], headers: &HeaderMap) -> Option<MetadataValue> {
    let wanted = headers.iter().filter(|(name, _)| any(list, name.as_str()));
    let fields: BTreeMap<Box<str>, MetadataValue> = wanted
        .filter_map(|(name, value)| {
            Some((name.as_str().into(), MetadataValue::String(value.to_str().ok()?.into())))
        })
        .collect();
    (!fields.is_empty()).then_some(MetadataValue::Struct(fields))
}

#[cfg(test)]
mod tests;
