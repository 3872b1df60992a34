//! What a request is called in its trace. Envoy: `ConnectionManagerImpl::ActiveStream::traceRequest` behind an inbound
//! listener.

use http::HeaderValue;

/// Who named it, and what.
#[derive(Default)]
pub(super) enum Operation {
    #[default]
    Unnamed,
    /// The first route it took; the client is told.
    ByRoute(HeaderValue),
    /// The proxy before us, which knows already.
    ByClient(HeaderValue),
}

impl Operation {
    /// A client's name holds whatever the routes say; one without a text is none.
    pub(super) fn of_client(name: Option<HeaderValue>) -> Self {
        name.filter(|name| !name.is_empty()).map_or(Self::Unnamed, Self::ByClient)
    }

    /// Envoy: what the first route calls it; a span has begun by then.
    pub(super) fn routed(&mut self, name: impl FnOnce() -> Option<HeaderValue>) {
        if let Self::Unnamed = self {
            *self = name().map_or(Self::Unnamed, Self::ByRoute);
        }
    }

    /// As a span has it.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Unnamed => None,
            Self::ByRoute(name) | Self::ByClient(name) => name.to_str().ok(),
        }
    }

    /// As the response tells it.
    pub(super) fn told(&self) -> Option<&HeaderValue> {
        match self {
            Self::ByRoute(name) => Some(name),
            Self::Unnamed | Self::ByClient(_) => None,
        }
    }
}
