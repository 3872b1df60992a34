//! Refusing ambiguous request heads, before anything is decided on them.
//!
//! Pingora's parser accepts some forms two proxies could read differently (content-length beside transfer-encoding,
//! bare LF, folded lines, repeated Host, equal repeated lengths). A waypoint stands between two parsers it does not
//! control, so it takes one reading only, and judges the bytes before Pingora parses them (which would also percent-encode
//! a target it cannot read). Pure: raw head in, then its parsed fields; [`RequestHead`] or [`Failure`] out.
//! Spec: RFC 9112 §2.2, §3, §5, §6; Envoy: `http1/codec_impl.cc`, `http/header_utility.cc`. Stricter than Envoy where marked.

mod lines;

use self::lines::{Lines, RequestLine};
use super::header_case::HeaderCase;
use super::session::RequestHead;
use http::header::{CONNECTION, COOKIE, HOST, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version};
use std::sync::Arc;
use waypoint_core::failure::{Failure, ResponseFlag, ResponseFlags};
use waypoint_core::matching::path::Target;
use waypoint_core::model::http_chain::HttpChain;

#[derive(Clone, Copy, Debug)]
pub struct HeadRules {
    pub bytes: usize,
    pub fields: usize,
    pub accept_http_10: bool,
    pub preserve_case: bool,
}

impl HeadRules {
    #[must_use]
    pub fn of(chain: &HttpChain) -> Self {
        Self {
            bytes: chain.max_request_headers_bytes as usize,
            fields: chain.max_request_headers_count as usize,
            accept_http_10: chain.accept_http_10,
            preserve_case: chain.preserve_header_case,
        }
    }
}

/// How a refused head is answered.
#[derive(Clone, Debug)]
pub enum Refused {
    Answer(Failure),
    /// A malformed HTTP/2 message (RFC 9113 §8.1.1): the stream is reset, the log says why.
    Reset(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Answer(failure)
    }
}

/// An HTTP/2 message that breaks the rules of its own protocol.
#[must_use]
pub fn messaging_violation() -> Failure {
    let flags = ResponseFlags::of(ResponseFlag::DPE);
    Failure { flags, ..malformed("http2.violation.of.messaging.rule") }
}

/// What the request line of a head says, once its bytes are known to have one reading.
#[derive(Debug)]
pub struct Start {
    /// Origin form, as sent.
    target: Box<str>,
    /// From a target in absolute form, where it replaces Host.
    authority: Option<Box<str>>,
    scheme: Option<&'static str>,
    /// The request line in origin form, where the client's was not: the parser behind us compares a target's authority
    /// with Host, and RFC 9112 §3.2.2 wants Host ignored.
    pub rewritten_line: Option<String>,
    case: Option<Arc<HeaderCase>>,
}

/// Judges the bytes of a head before they are parsed.
///
/// # Errors
/// When the head is malformed, ambiguous or too large. The connection must be closed after the answer.
pub fn check(raw: &[u8], rules: HeadRules) -> Result<Start, Failure> {
    if raw.len() > rules.bytes {
        return Err(Failure::headers_too_large());
    }
    let lines = Lines::read(raw)?;
    if lines.fields > rules.fields {
        return Err(Failure::too_many_headers());
    }
    check_version(&lines, rules)?;
    lines.check_framing()?;
    let Parts { scheme, authority, path: target } = split_target(lines.request.target, lines.request.method)?;
    if authority.is_none() && lines.hosts == 0 {
        return Err(Failure::missing_host());
    }
    let case = rules.preserve_case.then(|| Arc::new(HeaderCase::of(raw)));
    let RequestLine { method, version, .. } = lines.request;
    let rewritten_line = authority.map(|_| format!("{method} {target} {}\r\n", version.unwrap_or_default()));
    Ok(Start { target: target.into(), authority: authority.map(Into::into), scheme, rewritten_line, case })
}

/// Envoy: every version but 1.1 is too low, 1.2 and 2.0 included; 1.0 where it is accepted.
fn check_version(lines: &Lines<'_>, rules: HeadRules) -> Result<(), Failure> {
    match lines.request.version {
        Some("HTTP/1.1") => Ok(()),
        Some("HTTP/1.0") if rules.accept_http_10 && !lines.has_coding() => Ok(()),
        Some("HTTP/1.0") if rules.accept_http_10 => Err(malformed("http1.transfer_encoding_in_http_10")),
        Some(other) if !other.starts_with("HTTP/") => Err(Failure::codec_error()),
        _ => Err(Failure::low_version()),
    }
}

/// The head of an HTTP/1 request: its judged start, and what was parsed behind it.
///
/// # Errors
/// When the authority is malformed.
pub fn http1(
    start: Start,
    method: &Method,
    version: Version,
    parsed: &HeaderMap,
) -> Result<RequestHead, Failure> {
    let authority = start.authority.or_else(|| text(parsed, &HOST).map(Into::into)).unwrap_or_default();
    check_authority(&authority)?;
    let mut headers = parsed.clone();
    headers.remove(HOST);
    Ok(RequestHead {
        method: method.clone(),
        target: start.target,
        authority,
        version,
        scheme: start.scheme,
        upgrade: upgrade(parsed),
        case: start.case,
        headers,
    })
}

/// The head of an inner HTTP/2 request; its framing was checked by `h2`.
///
/// # Errors
/// When there is no authority, or the head is too large.
pub fn http2(parts: http::request::Parts, rules: HeadRules) -> Result<RequestHead, Refused> {
    let http::request::Parts { method, uri, mut headers, extensions, .. } = parts;
    if headers.len() > rules.fields {
        return Err(Failure::too_many_headers().into());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if method == Method::CONNECT && extensions.get::<h2::ext::Protocol>().is_none() {
        // Envoy: no route matches a CONNECT that no upgrade was configured for.
        return Err(Failure::route_not_found().into());
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if bytes + target.len() > rules.bytes {
        return Err(Failure::headers_too_large().into());
    }
    let authority = match uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => text(&headers, &HOST).ok_or_else(|| Refused::Reset(messaging_violation()))?,
    };
    check_authority(&authority)?;
    headers.remove(HOST);
    join_cookies(&mut headers);
    // Envoy: an extended CONNECT is a GET that asks for an upgrade, for policy and routes too.
    let upgrade =
        extensions.get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().to_ascii_lowercase());
    if let Some(protocol) = &upgrade {
        let protocol = HeaderValue::from_str(protocol).map_err(|_| Failure::codec_error())?;
        headers.insert(UPGRADE, protocol);
    }
    Ok(RequestHead {
        target: target.into(),
        authority: authority.into(),
        version: Version::HTTP_2,
        scheme: uri.scheme_str().and_then(known_scheme),
        method: if upgrade.is_some() { Method::GET } else { method },
        upgrade: upgrade.map(Into::into),
        case: None,
        headers,
    })
}

/// RFC 9113 §8.2.3: HTTP/2 may send cookies apart, nobody else may.
fn join_cookies(headers: &mut HeaderMap) {
    let apart: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if apart.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&apart.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// A request target in its parts.
struct Parts<'a> {
    scheme: Option<&'static str>,
    authority: Option<&'a str>,
    path: &'a str,
}

fn known_scheme(scheme: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))
}

fn split_target<'a>(target: &'a str, method: &str) -> Result<Parts<'a>, Failure> {
    if method == "CONNECT" {
        // Envoy: no route matches a CONNECT that no upgrade was configured for.
        return Err(Failure::route_not_found());
    }
    match Target::parse(target) {
        Target::Origin(path) => Ok(Parts { scheme: None, authority: None, path }),
        Target::Absolute { scheme, authority, path } => {
            Ok(Parts { scheme: known_scheme(scheme), authority: Some(authority), path })
        }
        Target::Asterisk if method == "OPTIONS" => Err(Failure::absolute_path_rejected()),
        Target::Asterisk => Err(malformed("http1.invalid_url")),
        Target::Other if target.contains("://") => Err(malformed("http1.invalid_url")),
        Target::Other => Err(Failure::codec_error()),
    }
}

/// Stricter than Envoy: no user info and no empty host.
fn check_authority(authority: &str) -> Result<(), Failure> {
    let valid = !authority.contains('@') && Authority::try_from(authority).is_ok();
    if valid { Ok(()) } else { Err(malformed("http.invalid_authority")) }
}

/// The protocol a request wants to change to: `upgrade:` counts only when `connection:` names it.
fn upgrade(headers: &HeaderMap) -> Option<Box<str>> {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        named.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE).filter(|_| named)?.to_str().ok()?;
    Some(protocol.trim().to_ascii_lowercase().into())
}

fn text(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn malformed(details: &'static str) -> Failure {
    Failure { details: details.into(), ..Failure::codec_error() }
}

#[cfg(test)]
mod tests;
