//! The server name a TLS client asks for, read from its ClientHello without ending its TLS. Envoy: `tls_inspector`.
//!
//! Pure: bytes in, verdict out; the parser is rustls's.

use rustls::server::Acceptor;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The ClientHello is not complete.
    More,
    /// Complete; a client may name no server.
    Name(Option<Box<str>>),
    /// No TLS.
    Other,
}

/// Looks at everything received so far.
#[must_use]
pub fn look(bytes: &[u8]) -> Hello {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return Hello::Other;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Hello::Name(accepted.client_hello().server_name().map(Into::into)),
            Ok(None) => {}
            Err(_) => return Hello::Other,
        }
    }
    Hello::More
}

#[cfg(test)]
mod tests;
