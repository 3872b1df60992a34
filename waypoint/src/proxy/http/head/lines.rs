//! A raw HTTP/1 head, line by line: what a map of headers no longer says.
//!
//! Invariant: what passes has one reading only; lines end with CRLF, names are tokens, values have no control characters.

use http::StatusCode;
use waypoint_core::failure::Failure;

/// `version` is missing in HTTP/0.9.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub version: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub request: RequestLine<'a>,
    pub fields: usize,
    pub hosts: usize,
    lengths: Vec<&'a [u8]>,
    codings: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    pub(super) fn read(raw: &'a [u8]) -> Result<Self, Failure> {
        // A client may send empty lines before the request line.
        let start = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(raw.len());
        let mut lines = raw[start..].split(|b| *b == b'\n').map(whole);
        let request = RequestLine::read(lines.next().ok_or_else(Failure::codec_error)??)?;
        let mut found = Self { request, fields: 0, hosts: 0, lengths: Vec::new(), codings: Vec::new() };
        for line in lines {
            match line? {
                [] => break,
                line => found.field(line)?,
            }
        }
        Ok(found)
    }

    fn field(&mut self, line: &'a [u8]) -> Result<(), Failure> {
        let colon = line.iter().position(|b| *b == b':').ok_or_else(Failure::codec_error)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(Failure::codec_error());
        }
        if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(super::malformed("http1.invalid_characters"));
        }
        let value = value.trim_ascii();
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

    /// Where the body ends must be said once and in one way.
    pub(super) fn check_framing(&self) -> Result<(), Failure> {
        // Stricter than Envoy, which joins repeated Host headers with a comma.
        if self.hosts > 1 {
            return Err(Failure::duplicate_host());
        }
        if !self.lengths.is_empty() && !self.codings.is_empty() {
            return Err(super::malformed("http1.content_length_and_chunked_not_allowed"));
        }
        match self.codings.as_slice() {
            [] => {}
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => {}
            _ => {
                return Err(Failure {
                    status: StatusCode::NOT_IMPLEMENTED,
                    body: "Not Implemented".into(),
                    ..super::malformed("http1.invalid_transfer_encoding")
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

    /// RFC 9112 §6.1: a coding in HTTP/1.0 is faulty framing.
    pub(super) fn has_coding(&self) -> bool {
        !self.codings.is_empty()
    }
}

impl<'a> RequestLine<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Failure> {
        let line = std::str::from_utf8(line).ok().filter(|line| line.is_ascii());
        let mut parts = line.ok_or_else(Failure::codec_error)?.split(' ');
        let read = (parts.next(), parts.next(), parts.next(), parts.next());
        // One space between the parts and none inside: a target with a space has two readings.
        let (Some(method), Some(target), version, None) = read else { return Err(Failure::codec_error()) };
        // Methods are case-sensitive; Envoy knows none in lower case.
        let known = |b: u8| is_token(b) && !b.is_ascii_lowercase();
        let valid = !method.is_empty() && method.bytes().all(known) && !target.is_empty();
        if !valid || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::codec_error());
        }
        Ok(Self { method, target, version })
    }
}

/// Stricter than Envoy: bare LF, bare CR and folded lines are refused. What follows the last LF is empty.
fn whole(line: &[u8]) -> Result<&[u8], Failure> {
    if line.is_empty() {
        return Ok(line);
    }
    let line = line.strip_suffix(b"\r").ok_or_else(Failure::codec_error)?;
    if line.contains(&b'\r') || line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        return Err(Failure::codec_error());
    }
    Ok(line)
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
