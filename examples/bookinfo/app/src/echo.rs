//! Answers with what it saw of the request: a back end for any image the mesh has to carry traffic to.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::reply::{self, Asked, Reply};

/// A `/delay/MS` beyond this is cut: a forgotten request must not hold a connection for hours.
const MAX_DELAY: Duration = Duration::from_secs(120);

pub(crate) struct Echo {
    pod: String,
    version: String,
}

impl Echo {
    pub(crate) fn from_env() -> Self {
        let env = |name: &str| std::env::var(name).unwrap_or_default();
        Self { pod: env("HOSTNAME"), version: env("SERVICE_VERSION") }
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Reply {
        let path = asked.uri().path();
        if let Some(ms) = path.strip_prefix("/delay/").and_then(|ms| ms.parse().ok()) {
            tokio::time::sleep(Duration::from_millis(ms).min(MAX_DELAY)).await;
        }
        let status = path.strip_prefix("/status/").and_then(|s| s.parse::<u16>().ok());
        let status = status.filter(|s| *s >= 200).and_then(|s| StatusCode::from_u16(s).ok());
        reply::json(status.unwrap_or(StatusCode::OK), &self.seen(asked))
    }

    fn seen(&self, asked: &Asked) -> Value {
        let mut headers: Map<String, Value> = Map::new();
        for name in asked.headers().keys() {
            let values: Vec<_> =
                asked.headers().get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        let host = asked.uri().authority().map(ToString::to_string);
        json!({
            "podname": self.pod, "version": self.version, "method": asked.method().as_str(),
            "path": asked.uri().path_and_query().map_or("/", |p| p.as_str()),
            "host": host.or_else(|| Some(headers.get("host")?.as_str()?.to_owned())),
            "headers": headers, "body_bytes": asked.body().len(),
        })
    }
}
