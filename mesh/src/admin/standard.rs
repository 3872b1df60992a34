//! The handlers both proxies have.

use crate::admin::Admin;
use crate::admin::request::{AdminRequest, AdminResponse, answer, text};
use crate::lifecycle::Readiness;
use crate::log::{LogError, LogHandle};
use http::StatusCode;
use std::future::ready;
use std::sync::Arc;

impl Admin {
    /// GET `path`: 200 `ready`, or `not_ready` (Envoy: 503, ztunnel: 500) and what is pending.
    #[must_use]
    pub fn ready(self, path: &str, readiness: Readiness, not_ready: StatusCode) -> Self {
        self.get(path, move |_| {
            let pending = readiness.pending();
            ready(if pending.is_empty() {
                text(StatusCode::OK, "ready\n")
            } else {
                text(not_ready, format!("not ready, pending: {}\n", pending.join(", ")))
            })
        })
    }

    /// POST `/logging`: `?level=L`, `?level=SCOPE:L`, `?reset`, Envoy's `?paths=SCOPE:L,…` and `?SCOPE=L`; without
    /// parameters it only tells. GET is refused, as ztunnel does.
    #[must_use]
    pub fn logging(self, log: LogHandle) -> Self {
        self.post("/logging", move |request| ready(logging(&log, &request)))
    }

    /// POST `/quitquitquit` calls `quit`, which starts the shutdown.
    #[must_use]
    pub fn quit(self, quit: impl Fn() + Send + Sync + 'static) -> Self {
        self.post("/quitquitquit", move |_| {
            quit();
            ready(text(StatusCode::OK, "shutdown now\n"))
        })
    }

    /// GET `/stats/prometheus` and `/metrics`. `render` sees the request, for its `Accept`, and returns content type and text.
    #[must_use]
    pub fn metrics(self, render: impl Fn(&AdminRequest) -> (String, String) + Send + Sync + 'static) -> Self {
        let render = Arc::new(render);
        ["/stats/prometheus", "/metrics"].into_iter().fold(self, |admin, path| {
            let render = Arc::clone(&render);
            admin.get(path, move |request| {
                let (content_type, body) = render(&request);
                ready(answer(StatusCode::OK, &content_type, body.into()))
            })
        })
    }
}

fn logging(log: &LogHandle, request: &AdminRequest) -> AdminResponse {
    match apply(log, &request.queries()) {
        Ok(()) => text(StatusCode::OK, format!("current log level is {}\n", log.current())),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn apply(log: &LogHandle, queries: &[(String, String)]) -> Result<(), LogError> {
    let mut directives = Vec::new();
    for (key, value) in queries {
        match (key.as_str(), value.as_str()) {
            ("reset", "" | "true") => log.reset(),
            ("reset", _) => return Err(LogError::Filter(format!("reset={value}"))),
            ("level" | "paths", value) => directives.push(value.to_owned()),
            (scope, value) => directives.push(format!("{scope}={value}")),
        }
    }
    if directives.is_empty() { Ok(()) } else { log.set_level(&directives.join(",")) }
}
