//! Telling HTTP/1, HTTP/2 and TLS from the first bytes of a connection whose port declares no protocol.
//!
//! Pure: bytes in, verdict out. Envoy: `http_inspector` and `tls_inspector`.

use waypoint_core::model::listener::ApplicationProtocol;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough bytes yet.
    More,
    Protocol(ApplicationProtocol),
    /// None of those asked for.
    Other,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub http: bool,
    pub tls: bool,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The methods Envoy's inspector accepts as the start of HTTP/1.
const METHODS: [&str; 34] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "SEARCH",
    "UNLOCK",
    "BIND",
    "REBIND",
    "UNBIND",
    "ACL",
    "REPORT",
    "MKACTIVITY",
    "CHECKOUT",
    "MERGE",
    "M-SEARCH",
    "NOTIFY",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "PURGE",
    "MKCALENDAR",
    "LINK",
    "UNLINK",
    "SOURCE",
];

/// Looks at everything received so far.
#[must_use]
pub fn look(bytes: &[u8], wanted: Wanted) -> Verdict {
    let tls = if wanted.tls { tls(bytes) } else { Verdict::Other };
    let http = if wanted.http { http(bytes) } else { Verdict::Other };
    match (tls, http) {
        (Verdict::Protocol(protocol), _) | (_, Verdict::Protocol(protocol)) => Verdict::Protocol(protocol),
        (Verdict::More, _) | (_, Verdict::More) => Verdict::More,
        _ => Verdict::Other,
    }
}

/// A handshake record of TLS 1.0 or later that begins with a ClientHello.
fn tls(bytes: &[u8]) -> Verdict {
    let shape: [fn(u8) -> bool; 6] = [|b| b == 0x16, |b| b == 3, |b| b <= 4, |_| true, |_| true, |b| b == 1];
    if bytes.iter().zip(shape).any(|(byte, fits)| !fits(*byte)) {
        return Verdict::Other;
    }
    if bytes.len() < shape.len() { Verdict::More } else { Verdict::Protocol(ApplicationProtocol::Tls) }
}

fn http(bytes: &[u8]) -> Verdict {
    let common = bytes.len().min(PREFACE.len());
    if bytes[..common] == PREFACE[..common] {
        // "P" alone may still become POST; either way it is not decided yet.
        return if common == PREFACE.len() {
            Verdict::Protocol(ApplicationProtocol::H2c)
        } else {
            Verdict::More
        };
    }
    let line_end = bytes.iter().position(|b| *b == b'\n');
    let line = &bytes[..line_end.unwrap_or(bytes.len())];
    let method_end = line.iter().position(|b| *b == b' ');
    let method = &line[..method_end.unwrap_or(line.len())];
    let is_method = match method_end {
        Some(_) => METHODS.iter().any(|known| known.as_bytes() == method),
        None => line_end.is_none() && METHODS.iter().any(|known| known.as_bytes().starts_with(method)),
    };
    if !is_method {
        return Verdict::Other;
    }
    if line_end.is_none() {
        return Verdict::More;
    }
    match line.strip_suffix(b"\r").unwrap_or(line) {
        line if line.ends_with(b" HTTP/1.1") => Verdict::Protocol(ApplicationProtocol::Http11),
        line if line.ends_with(b" HTTP/1.0") => Verdict::Protocol(ApplicationProtocol::Http10),
        _ => Verdict::Other,
    }
}

#[cfg(test)]
mod tests;
