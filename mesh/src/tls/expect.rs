//! Whom a connection may reach, or who may reach us.

use crate::identity::SpiffeId;
use std::sync::Arc;

/// The identities a side accepts of its peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExpectedPeer {
    /// Any one of these. Empty accepts nobody.
    Exact(Arc<[SpiffeId]>),
    /// Any identity whose URI starts with one of these, e.g. `spiffe://cluster.local/`. A prefix without the closing slash is
    /// taken literally, so `spiffe://td` would accept `spiffe://td.evil/…`: callers pass what istiod sent, which has it.
    UriPrefixes(Arc<[Arc<str>]>),
}

impl ExpectedPeer {
    /// Exactly this workload.
    #[must_use]
    pub fn exactly(id: SpiffeId) -> Self {
        Self::Exact([id].into())
    }

    /// Any workload of these trust domains.
    pub fn trust_domains<'a>(domains: impl IntoIterator<Item = &'a str>) -> Self {
        Self::UriPrefixes(domains.into_iter().map(|domain| format!("spiffe://{domain}/").into()).collect())
    }

    /// Does this identity satisfy the expectation?
    #[must_use]
    pub fn accepts(&self, id: &SpiffeId) -> bool {
        match self {
            Self::Exact(ids) => ids.contains(id),
            Self::UriPrefixes(prefixes) => prefixes.iter().any(|prefix| id.as_str().starts_with(&**prefix)),
        }
    }
}

#[cfg(test)]
mod tests;
