//! A request as tests write it.

use super::{NetworkView, RequestView};
use crate::matching::ip::remote_ip;
use crate::matching::path::{NormalizedPath, PathOutcome, normalize};
use crate::model::http_chain::PathNormalization;
use crate::model::metadata::DynamicMetadata;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// `GET /` from a web pod to `shop:80`, until changed.
pub(crate) struct Sample {
    pub(crate) method: &'static str,
    pub(crate) path: NormalizedPath,
    pub(crate) authority: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<&'static str>,
    pub(crate) source_ip: IpAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) sni: Option<&'static str>,
}

impl Sample {
    pub(crate) fn get(target: &str) -> Self {
        let rules = PathNormalization { normalize: true, ..PathNormalization::default() };
        let Ok(PathOutcome::Path(path)) = normalize(target, &rules) else { panic!("{target} is no path") };
        Self {
            method: "GET",
            path,
            authority: "shop:80",
            scheme: "http",
            headers: HeaderMap::new(),
            peer: Some("spiffe://cluster.local/ns/client/sa/web"),
            source_ip: [10, 244, 3, 12].into(),
            destination: ([10, 96, 0, 7], 80).into(),
            sni: None,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(crate) fn network(&self) -> NetworkView<'_> {
        NetworkView {
            peer: self.peer,
            source_ip: self.source_ip,
            destination: self.destination,
            sni: self.sni,
            metadata: DynamicMetadata::EMPTY,
        }
    }

    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView {
            connection: self.network(),
            method: self.method,
            path: &self.path,
            authority: self.authority,
            scheme: self.scheme,
            headers: &self.headers,
            remote_ip: remote_ip(&self.headers, self.source_ip),
        }
    }
}
