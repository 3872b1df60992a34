//! Calls another Bookinfo service on behalf of a request, handing on what tracing and routing by user need.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// What the sample's programs hand on, in its order.
const FORWARDED: &[&str] = &[
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "sw8",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
];

const MAX_REPLY: usize = 1 << 20;

pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    timeout: Duration,
}

impl Upstream {
    /// Address from `DETAILS_HOSTNAME`, `DETAILS_SERVICE_PORT` and `SERVICES_DOMAIN`, for `service` "details".
    pub(crate) fn from_env(service: &str, timeout: Duration) -> Self {
        let base = base(service, |name| std::env::var(name).ok());
        // Retrying is the mesh's task; a client that retries by itself would hide what the mesh does.
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(HttpConnector::new());
        Self { client, base, timeout }
    }

    pub(crate) async fn ask(&self, path: &str, headers: &HeaderMap) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::get(format!("{}{path}", self.base)).body(Full::default())?;
        *request.headers_mut() = headers.clone();
        let exchange = async {
            let reply = self.client.request(request).await?;
            let status = reply.status();
            let body = Limited::new(reply.into_body(), MAX_REPLY).collect().await;
            anyhow::Ok((status, body.map_err(|e| anyhow::anyhow!(e))?.to_bytes()))
        };
        let outcome =
            tokio::time::timeout(self.timeout, exchange).await.map_err(anyhow::Error::from).flatten();
        if let Err(e) = &outcome {
            eprintln!("{}{path}: {e:#}", self.base);
        }
        outcome
    }
}

/// The headers of `incoming` that go along, with `end-user` set for a signed-in user.
pub(crate) fn forwarded(incoming: &HeaderMap, user: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for &name in FORWARDED {
        for value in incoming.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(Ok(user)) = user.map(HeaderValue::from_str) {
        headers.insert("end-user", user);
    }
    headers
}

fn base(service: &str, env: impl Fn(&str) -> Option<String>) -> String {
    let upper = service.to_uppercase();
    let host = env(&format!("{upper}_HOSTNAME")).unwrap_or_else(|| service.to_owned());
    let domain =
        env("SERVICES_DOMAIN").filter(|d| !d.is_empty()).map(|d| format!(".{d}")).unwrap_or_default();
    let port = env(&format!("{upper}_SERVICE_PORT")).unwrap_or_else(|| "9080".to_owned());
    format!("http://{host}{domain}:{port}")
}

#[cfg(test)]
mod tests;
