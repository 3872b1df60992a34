//! A request made safe to judge: connection headers off, client lies off, path normalised once.

use super::Refusal;
use super::record::Record;
use crate::proxy::http::framing;
use crate::proxy::http::header_case::HeaderCase;
use crate::proxy::http::reply;
use crate::proxy::http::session::{RequestHead, ResponseHead};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use std::net::IpAddr;
use std::sync::Arc;
use waypoint_core::dice::Dice;
use waypoint_core::failure::{Failure, is_grpc};
use waypoint_core::matching::ip::remote_ip;
use waypoint_core::matching::path::{NormalizedPath, PathOutcome, normalize};
use waypoint_core::matching::view::{NetworkView, RequestView};
use waypoint_core::model::http_chain::{ForwardClientCert, HttpChain};
use waypoint_core::routing::headers::sanitize_client;
use waypoint_core::routing::trace_context;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: NormalizedPath,
    pub(super) authority: Box<str>,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// Lower-case protocol the client may change to.
    pub(super) upgrade: Option<Box<str>>,
    /// The chain does not allow the change it asks for; said once it is known which route that was.
    pub(super) refused: Option<Failure>,
    pub(super) case: Option<Arc<HeaderCase>>,
    pub(super) scheme: &'static str,
    /// What the client calls it.
    pub(super) operation: Option<HeaderValue>,
    remote_ip: IpAddr,
}

impl Request {
    /// # Errors
    /// When the path is refused, or the path has to be asked for differently.
    pub(super) fn new(
        head: RequestHead,
        chain: &HttpChain,
        dice: &mut Dice,
        record: &mut Record,
    ) -> Result<Self, Refusal> {
        let RequestHead { method, target, authority, version, scheme, mut headers, upgrade, case } = head;
        record.requested(&method, &target, &authority, version);
        record.grpc = is_grpc(headers.get(CONTENT_TYPE));
        sanitize_client(&mut headers);
        let asked = upgrade.is_some();
        let upgrade = allowed_upgrade(upgrade, chain, version);
        framing::strip_request(&mut headers, matches!(upgrade, Ok(Some(_))));
        if chain.forward_client_cert == ForwardClientCert::Sanitize {
            headers.remove(FORWARDED_CLIENT_CERT);
        }
        identify(&mut headers, chain, dice);
        let forwarded = match headers.get(&FORWARDED_PROTO).map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(_) => "http",
            None => {
                headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
                "http"
            }
        };
        let scheme = scheme.unwrap_or(forwarded);
        record.scheme = scheme;
        if chain.append_x_forwarded_port {
            headers.insert(FORWARDED_PORT, HeaderValue::from(record.destination.port()));
        }
        if let Some(tracing) = &chain.tracing {
            let trace = trace_context::begin(tracing, &headers, dice);
            trace_context::inject(&trace, tracing, &mut headers);
            record.traced(trace);
        }
        let operation = chain.names_operation.then(|| headers.remove(reply::DECORATOR)).flatten();
        record.request_headers = headers.clone();
        // What a client sends behind such a request is another protocol's, or a request if it was not upgraded; only
        // closing leaves no doubt (CVE-2026-2833, CVE-2025-64763).
        record.close_after |= asked && !matches!(upgrade, Ok(None));
        let (upgrade, refused) = match upgrade {
            Ok(upgrade) => (upgrade, None),
            Err(failure) => (None, Some(failure)),
        };
        let path = match normalize(&target, &chain.path_normalization)? {
            PathOutcome::Path(path) => path,
            PathOutcome::Redirect { location } => return Err(redirect(&location)),
        };
        let remote_ip = remote_ip(&headers, record.source.ip());
        Ok(Self {
            method,
            path,
            authority,
            version,
            headers,
            upgrade,
            refused,
            case,
            scheme,
            operation,
            remote_ip,
        })
    }

    #[must_use]
    pub(super) fn view<'a>(&'a self, connection: NetworkView<'a>) -> RequestView<'a> {
        RequestView {
            connection,
            method: self.method.as_str(),
            path: &self.path,
            authority: &self.authority,
            scheme: self.scheme,
            headers: &self.headers,
            remote_ip: self.remote_ip,
        }
    }
}

/// Envoy: h2c by upgrade is ignored, an upgrade nobody configured is 403.
fn allowed_upgrade(
    asked: Option<Box<str>>,
    chain: &HttpChain,
    version: Version,
) -> Result<Option<Box<str>>, Failure> {
    match asked {
        None => Ok(None),
        Some(asked) if &*asked == "h2c" => Ok(None),
        Some(asked)
            if version != Version::HTTP_10 && chain.upgrades.iter().any(|known| **known == *asked) =>
        {
            Ok(Some(asked))
        }
        Some(_) => Err(Failure::upgrade_failed()),
    }
}

/// Envoy: an id from inside the mesh is kept, a missing one is made.
fn identify(headers: &mut HeaderMap, chain: &HttpChain, dice: &mut Dice) {
    if chain.generate_request_id && !headers.contains_key(&REQUEST_ID) {
        let random = u128::from(dice.draw()) << 64 | u128::from(dice.draw());
        let id = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text: &str = id.hyphenated().encode_lower(&mut text);
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(REQUEST_ID, value);
        }
    }
}

fn redirect(location: &str) -> Refusal {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Failure::path_normalization_failed().into();
    };
    let mut head = ResponseHead::new(StatusCode::TEMPORARY_REDIRECT);
    head.set(LOCATION, location);
    Refusal::Head(Box::new(head), "path_normalization_failed")
}
