//! The request path, normalised once: routing, policy and the upstream all read this one value.
//!
//! Invariant: a [`NormalizedPath`] is visible ASCII, starts with `/`, has no fragment, and with `normalize` on it has no
//! dot segment, written or encoded; normalising it again changes nothing. What policy judged is what is sent.
//! Spec: RFC 3986 §6.2.2, as Envoy applies it (`path_utility.cc` over the URL canonicaliser of Chromium).

use crate::failure::Failure;
use crate::model::http_chain::{EscapedSlashes, PathNormalization};

/// A request target by its form, RFC 9112 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Origin(&'a str),
    /// The authority replaces Host, as RFC 9112 asks; `path` is `/` when the target has none.
    Absolute {
        scheme: &'a str,
        authority: &'a str,
        path: &'a str,
    },
    Asterisk,
    /// Neither: a CONNECT authority, or rubbish.
    Other,
}

impl<'a> Target<'a> {
    #[must_use]
    pub fn parse(raw: &'a str) -> Self {
        if raw.starts_with('/') {
            return Self::Origin(raw);
        }
        if raw == "*" {
            return Self::Asterisk;
        }
        let Some((scheme, rest)) = raw.split_once("://") else { return Self::Other };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        match path {
            _ if !web || authority.is_empty() => Self::Other,
            "" => Self::Absolute { scheme, authority, path: "/" },
            // `http://host?query` has no path to hold against a policy.
            path if !path.starts_with('/') => Self::Other,
            path => Self::Absolute { scheme, authority, path },
        }
    }
}

/// Path and query; built by [`normalize`] only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalizedPath {
    text: String,
    /// Length of the path, without `?` and query.
    path_len: usize,
}

impl NormalizedPath {
    /// Path and query: what is sent upstream.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[..self.path_len]
    }

    /// The same path with another query; an empty one leaves no `?`.
    ///
    /// The caller encodes: whatever is not visible ASCII, and `#`, is left out here to keep the invariant.
    #[must_use]
    pub fn with_query(&self, query: &str) -> Self {
        let mut text = self.path().to_owned();
        if !query.is_empty() {
            text.push('?');
            text.extend(query.chars().filter(|c| c.is_ascii_graphic() && *c != '#'));
        }
        Self { text, path_len: self.path_len }
    }

    /// Without the `?`; `Some("")` for `/a?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path_len + 1..)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOutcome {
    Path(NormalizedPath),
    /// 307 to this path and query: escaped slashes were found and the chain wants a redirect.
    Redirect {
        location: String,
    },
}

/// Normalises the path and query of a request.
pub fn normalize(raw: &str, rules: &PathNormalization) -> Result<PathOutcome, Failure> {
    if raw.is_empty() {
        return Err(Failure::missing_path());
    }
    if !raw.starts_with('/') {
        return Err(Failure::absolute_path_rejected());
    }
    // Differs from Envoy over HTTP/2: there it lets bytes beyond ASCII through; HTTP/1 refuses them in both.
    if !raw.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::path_normalization_failed());
    }
    // Envoy with istiod's flags: a fragment is cut off, not refused (CVE-2021-39156 is about matching it).
    let raw = raw.split_once('#').map_or(raw, |(before, _)| before);
    let (path, query) = raw.split_at(raw.find('?').unwrap_or(raw.len()));

    let mut text = String::with_capacity(raw.len());
    let unescaped = match rules.escaped_slashes {
        EscapedSlashes::KeepUnchanged => None,
        _ => unescape_slashes(path),
    };
    if unescaped.is_some() && rules.escaped_slashes == EscapedSlashes::Reject {
        return Err(Failure::path_normalization_failed());
    }
    let redirect = unescaped.is_some() && rules.escaped_slashes == EscapedSlashes::UnescapeAndRedirect;
    let path = unescaped.as_deref().unwrap_or(path);
    if rules.normalize && needs_canonical_form(path) {
        canonicalize(path, &mut text)?;
    } else {
        push_sendable(path, &mut text);
    }
    if rules.merge_slashes {
        merge_slashes(&mut text);
    }
    let path_len = text.len();
    push_sendable(query, &mut text);
    Ok(if redirect {
        PathOutcome::Redirect { location: text }
    } else {
        PathOutcome::Path(NormalizedPath { text, path_len })
    })
}

/// Differs from Envoy, which sends these as they come: no URI may contain them (RFC 3986 §2), and our HTTP library sends
/// URIs only. Encoded here, policy judges the bytes the endpoint gets.
fn push_sendable(part: &str, out: &mut String) {
    for piece in part.split_inclusive(['"', '<', '>', '`']) {
        match piece.as_bytes().split_last() {
            Some((last @ (b'"' | b'<' | b'>' | b'`'), _)) => {
                out.push_str(&piece[..piece.len() - 1]);
                escape(*last, out);
            }
            _ => out.push_str(piece),
        }
    }
}

fn escape(byte: u8, out: &mut String) {
    out.push('%');
    out.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
}

/// `None` when there is nothing to unescape.
fn unescape_slashes(path: &str) -> Option<String> {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let slash = match rest.get(at + 1..at + 3) {
            Some("2f" | "2F") => '/',
            Some("5c" | "5C") => '\\',
            _ => {
                text.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        text.push_str(&rest[..at]);
        text.push(slash);
        rest = &rest[at + 3..];
    }
    text.push_str(rest);
    (text.len() != path.len()).then_some(text)
}

fn merge_slashes(text: &mut String) {
    if text.contains("//") {
        let mut previous = '\0';
        text.retain(|c| {
            let keep = c != '/' || previous != '/';
            previous = c;
            keep
        });
    }
}

/// Whether canonicalising could change anything: nearly always it cannot, and then a copy does.
fn needs_canonical_form(path: &str) -> bool {
    let mut previous = b'\0';
    path.bytes().any(|byte| {
        let suspicious = class(byte) != Class::Keep || (byte == b'.' && previous == b'/');
        previous = byte;
        suspicious
    })
}

/// What the canonical form does with one byte of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Keep,
    /// Written as `%XX`; kept when it comes encoded.
    Escape,
    /// `%` and the backslash.
    Special,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'%' | b'\\' => Class::Special,
        b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Escape,
        _ => Class::Keep,
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn canonicalize(path: &str, out: &mut String) -> Result<(), Failure> {
    // A `%` that began no escape: decoding behind it must not complete one (`%%34%31` is not `%41`).
    let mut stray_percent = None;
    let mut segment = 0;
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'/' | b'\\' => {
                segment = end_segment(out, segment, "/");
                stray_percent = None;
            }
            b'%' => match decode(after) {
                // Envoy: an encoded NUL makes the path invalid.
                Some(0) => return Err(Failure::path_normalization_failed()),
                Some(decoded) => {
                    rest = &after[2..];
                    if is_unreserved(decoded) {
                        out.push(decoded.into());
                        break_accidental_escape(out, &mut stray_percent);
                    } else {
                        out.push('%');
                        out.extend(after[..2].iter().copied().map(char::from));
                    }
                }
                None => {
                    stray_percent = Some(out.len());
                    out.push('%');
                }
            },
            byte if class(byte) == Class::Escape => escape(byte, out),
            byte => out.push(byte.into()),
        }
    }
    end_segment(out, segment, "");
    Ok(())
}

/// Closes the segment that began at `start`; answers where the next one begins.
fn end_segment(out: &mut String, start: usize, slash: &str) -> usize {
    // Envoy: path parameters do not hide a dot segment; `..;` is `..`, as the servers behind us may read it.
    match out[start..].split(';').next() {
        Some(".") => out.truncate(start),
        Some("..") => {
            let parent = out[..start - 1].rfind('/').map_or(start, |slash| slash + 1);
            out.truncate(parent);
        }
        _ => out.push_str(slash),
    }
    out.len()
}

fn decode(after_percent: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*after_percent.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn break_accidental_escape(out: &mut String, stray_percent: &mut Option<usize>) {
    if let Some(at) = stray_percent.filter(|at| at + 3 >= out.len()) {
        out.insert_str(at + 1, "25");
        *stray_percent = None;
    }
}

#[cfg(test)]
mod tests;
