//! Istio's SPIFFE id: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`, exactly five segments.
//!
//! Invariant: a [`SpiffeId`] in hand is well formed; every part is non-empty and free of `/`. Compared byte by byte, as
//! Istio compares principals; no case folding.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const SCHEME: &str = "spiffe://";

/// A workload's identity. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId(Arc<str>);

/// Why a text is no Istio identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT")]
pub struct ParseSpiffeIdError(String);

impl SpiffeId {
    /// Joins parts that are already names (of Kubernetes objects, of a mesh). Text from outside goes through [`Self::parse`].
    #[must_use]
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Self {
        debug_assert!([trust_domain, namespace, service_account].iter().all(|part| is_name(part)));
        Self(format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}").into())
    }

    /// Reads the URI form.
    pub fn parse(uri: &str) -> Result<Self, ParseSpiffeIdError> {
        let error = || ParseSpiffeIdError(uri.chars().take(256).collect());
        let rest = uri.strip_prefix(SCHEME).ok_or_else(error)?;
        let mut parts = rest.split('/');
        let well_formed = parts.next().is_some_and(is_name)
            && parts.next() == Some("ns")
            && parts.next().is_some_and(is_name)
            && parts.next() == Some("sa")
            && parts.next().is_some_and(is_name)
            && parts.next().is_none();
        if well_formed { Ok(Self(uri.into())) } else { Err(error()) }
    }

    /// The URI form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `TRUST_DOMAIN`.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.part(0)
    }

    /// `NAMESPACE`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.part(2)
    }

    /// `SERVICE_ACCOUNT`.
    #[must_use]
    pub fn service_account(&self) -> &str {
        self.part(4)
    }

    fn part(&self, index: usize) -> &str {
        self.0[SCHEME.len()..].split('/').nth(index).unwrap_or_default()
    }
}

/// A part must not be empty, nor hold what would change the meaning of a URI or of a log line.
fn is_name(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'%' | b'@'))
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        Self::parse(uri)
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
