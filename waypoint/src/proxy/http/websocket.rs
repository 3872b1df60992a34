//! An upgrade between HTTP/1 and HTTP/2: what the one asks with `upgrade:`, the other asks with an extended CONNECT.
//!
//! Inside, an upgrade always has its HTTP/1 form. Spec: RFC 8441, RFC 6455 §4; Envoy: `UpgradeUtils`, `http/utility.cc`.
//! Differs from Envoy, which leaves `sec-websocket-accept` to whoever is behind the HTTP/2 endpoint: RFC 8441 has no such
//! header, and a WebSocket client insists on it.

use super::body::UpstreamBody;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::ext::Protocol;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Makes a request for `protocol` what an HTTP/2 endpoint understands.
///
/// Envoy: asks without waiting for the endpoint's SETTINGS; one that does not know RFC 8441 resets the stream.
pub fn ask_http2(request: &mut Request<UpstreamBody>, protocol: &str) {
    *request.method_mut() = Method::CONNECT;
    for name in [UPGRADE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    request.extensions_mut().insert(Protocol::from(protocol));
}

/// A WebSocket server over HTTP/1 wants a key, which a client over HTTP/2 has not.
pub fn add_key(headers: &mut HeaderMap, protocol: &str, random: u128) {
    if protocol == "websocket" && !headers.contains_key(SEC_WEBSOCKET_KEY) {
        let key = STANDARD.encode(random.to_be_bytes());
        if let Ok(key) = HeaderValue::try_from(key) {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }
}

/// Completes the headers of an HTTP/2 endpoint's 200 to those of a 101.
pub fn answered_by_http2(headers: &mut HeaderMap, asked: &HeaderMap, protocol: &str) {
    headers.remove(CONTENT_LENGTH);
    if let Ok(protocol) = HeaderValue::from_str(protocol) {
        headers.insert(UPGRADE, protocol);
    }
    if let Some(key) = asked.get(SEC_WEBSOCKET_KEY)
        && protocol == "websocket"
        && !headers.contains_key(SEC_WEBSOCKET_ACCEPT)
        && let Ok(accept) = HeaderValue::try_from(accept_for(key))
    {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
}

fn accept_for(key: &HeaderValue) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests;
