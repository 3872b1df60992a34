//! Refusing ambiguous request heads, before anything is decided on them.
//!
//! Pingora's parser accepts some forms two proxies could read differently (content-length beside transfer-encoding,
//! bare LF, folded lines, repeated Host, equal repeated lengths). A waypoint stands between two parsers it does not
//! control, so it takes one reading only. Pure: raw head and parsed head in, [`RequestHead`] or [`Failure`] out.
//! Spec: RFC 9112 §2.2, §3, §5, §6; Envoy: `http1/codec_impl.cc`, `http/header_utility.cc`. Stricter than Envoy where marked.

use super::session::RequestHead;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version};
use waypoint_core::failure::Failure;
use waypoint_core::model::http_chain::HttpChain;

#[derive(Clone, Copy, Debug)]
pub struct HeadRules {
    pub bytes: usize,
    pub fields: usize,
    pub accept_http_10: bool,
}

impl HeadRules {
    #[must_use]
    pub fn of(chain: &HttpChain) -> Self {
        Self {
            bytes: chain.max_request_headers_bytes as usize,
            fields: chain.max_request_headers_count as usize,
            accept_http_10: chain.accept_http_10,
        }
    }
}

/// What Pingora parsed, and the bytes it parsed it from.
#[derive(Debug)]
pub struct Http1Head<'a> {
    pub raw: &'a [u8],
    pub method: &'a Method,
    /// Request target, byte for byte.
    pub target: &'a [u8],
    pub version: Version,
    pub headers: &'a HeaderMap,
}

/// # Errors
/// When the head is malformed, ambiguous or too large. The connection must be closed after the answer.
pub fn http1(head: &Http1Head<'_>, rules: HeadRules) -> Result<RequestHead, Failure> {
    if head.raw.len() > rules.bytes {
        return Err(Failure::headers_too_large());
    }
    let lines = Lines::read(head.raw)?;
    if lines.fields > rules.fields {
        return Err(Failure::too_many_headers());
    }
    let low = head.version == Version::HTTP_10 && !rules.accept_http_10 || head.version == Version::HTTP_09;
    if low {
        return Err(Failure::low_version());
    }
    if head.method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Failure::codec_error()); // methods are case-sensitive; Envoy knows none in lower case
    }
    lines.check_framing()?;
    let target = std::str::from_utf8(head.target).ok().filter(|target| target.is_ascii());
    let target = target.ok_or_else(Failure::codec_error)?;
    let (in_target, path) = split_target(target, head.method)?;
    let authority = match in_target {
        Some(authority) => authority.to_owned(),
        None if lines.hosts == 0 => return Err(Failure::missing_host()),
        None => text(head.headers, &HOST).unwrap_or_default(),
    };
    check_authority(&authority)?;
    let mut headers = head.headers.clone();
    headers.remove(HOST);
    Ok(RequestHead {
        method: head.method.clone(),
        target: path.into(),
        authority: authority.into(),
        version: head.version,
        upgrade: upgrade(head.headers),
        headers,
    })
}

/// The head of an inner HTTP/2 request; its framing was checked by `h2`.
///
/// # Errors
/// When there is no authority, or the head is too large.
pub fn http2(parts: http::request::Parts, rules: HeadRules) -> Result<RequestHead, Failure> {
    let http::request::Parts { method, uri, mut headers, extensions, .. } = parts;
    if headers.len() > rules.fields {
        return Err(Failure::too_many_headers());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if bytes + target.len() > rules.bytes {
        return Err(Failure::headers_too_large());
    }
    let authority = match uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => text(&headers, &HOST).ok_or_else(Failure::missing_host)?,
    };
    check_authority(&authority)?;
    headers.remove(HOST);
    Ok(RequestHead {
        target: target.into(),
        authority: authority.into(),
        version: Version::HTTP_2,
        upgrade: extensions.get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().into()),
        method,
        headers,
    })
}

/// What the raw lines say that a parsed map no longer does.
struct Lines<'a> {
    fields: usize,
    hosts: usize,
    lengths: Vec<&'a [u8]>,
    codings: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, Failure> {
        let mut lines = Self { fields: 0, hosts: 0, lengths: Vec::new(), codings: Vec::new() };
        // A client may send empty lines before the request line.
        let start = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(raw.len());
        let mut request_line = true;
        for line in raw[start..].split(|b| *b == b'\n') {
            if line.is_empty() {
                break; // after the last LF
            }
            // Stricter than Envoy: bare LF, bare CR and folded lines are refused.
            let Some(line) = line.strip_suffix(b"\r") else { return Err(Failure::codec_error()) };
            if line.contains(&b'\r') || line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                return Err(Failure::codec_error());
            }
            if line.is_empty() {
                break;
            }
            if !std::mem::take(&mut request_line) {
                lines.field(line)?;
            }
        }
        Ok(lines)
    }

    fn field(&mut self, line: &'a [u8]) -> Result<(), Failure> {
        let colon = line.iter().position(|b| *b == b':').ok_or_else(Failure::codec_error)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        self.fields += 1;
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths.push(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings.push(value);
        }
        Ok(())
    }

    fn check_framing(&self) -> Result<(), Failure> {
        // Stricter than Envoy, which joins repeated Host headers with a comma.
        if self.hosts > 1 {
            return Err(Failure::duplicate_host());
        }
        if !self.lengths.is_empty() && !self.codings.is_empty() {
            return Err(malformed("http1.content_length_and_chunked_not_allowed"));
        }
        match self.codings.as_slice() {
            [] => {}
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => {}
            _ => {
                return Err(Failure {
                    status: StatusCode::NOT_IMPLEMENTED,
                    body: "Not Implemented".into(),
                    ..malformed("http1.invalid_transfer_encoding")
                });
            }
        }
        match self.lengths.as_slice() {
            [] => Ok(()),
            [length] if !length.is_empty() && length.len() < 20 && length.iter().all(u8::is_ascii_digit) => {
                Ok(())
            }
            _ => Err(Failure::codec_error()),
        }
    }
}

/// The authority and the path of a request target.
fn split_target<'a>(target: &'a str, method: &Method) -> Result<(Option<&'a str>, &'a str), Failure> {
    if *method == Method::CONNECT {
        // Envoy: no route matches a CONNECT that no upgrade was configured for.
        return Err(Failure::route_not_found());
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" {
        return Err(if *method == Method::OPTIONS {
            Failure::absolute_path_rejected()
        } else {
            malformed("http1.invalid_url")
        });
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme));
    let rest = rest.ok_or_else(Failure::codec_error)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match path.as_bytes().first() {
        None => Ok((Some(authority), "/")),
        Some(b'/') => Ok((Some(authority), path)),
        Some(_) => Err(malformed("http1.invalid_url")),
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
