//! What a load run saw: counted, merged over the workers, and written as one JSON line. No IO.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Outcome {
    requests: u64,
    failed: u64,
    status: BTreeMap<u16, u64>,
    body: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    latencies: Vec<Duration>,
    /// The last answer's body, where it is wanted.
    pub(super) last_body: Option<String>,
    pub(super) seconds: f64,
}

impl Outcome {
    /// A response of any status is an answer; `failed` counts 5xx along with what brought no answer.
    pub(super) fn answered(&mut self, status: StatusCode, body: &[u8], latency: Duration) {
        self.requests += 1;
        self.failed += u64::from(status.is_server_error());
        *self.status.entry(status.as_u16()).or_default() += 1;
        if let Some(version) = version(body) {
            *self.body.entry(version).or_default() += 1;
        }
        self.latencies.push(latency);
    }

    pub(super) fn failed(&mut self, error: String) {
        self.requests += 1;
        self.failed += 1;
        *self.errors.entry(error).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: Self) {
        fn add<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, n) in from {
                *into.entry(key).or_default() += n;
            }
        }
        self.requests += other.requests;
        self.failed += other.failed;
        add(&mut self.status, other.status);
        add(&mut self.body, other.body);
        add(&mut self.errors, other.errors);
        self.latencies.extend(other.latencies);
        self.last_body = other.last_body.or_else(|| self.last_body.take());
    }

    pub(super) fn to_json(&self) -> Value {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |q: f64| percentile(&sorted, q).map(|d| (d.as_secs_f64() * 1e6).round() / 1e3);
        let status: BTreeMap<String, u64> = self.status.iter().map(|(k, v)| (k.to_string(), *v)).collect();
        let mut json = json!({
            "requests": self.requests, "failed": self.failed, "status": status, "body": self.body,
            "latency_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)},
            "seconds": (self.seconds * 1e3).round() / 1e3, "errors": self.errors,
        });
        if let Some(body) = &self.last_body {
            json["last_body"] = body.as_str().into();
        }
        json
    }
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[Duration], q: f64) -> Option<Duration> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Which version answered: `v2` of the pod name `reviews-v2-6b7c-x` in a JSON body's `podname` (or `id`), or in the
/// product page's line about it. A pod name without a version counts as itself.
fn version(body: &[u8]) -> Option<String> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        if let Some(pod) = value["podname"].as_str().filter(|p| !p.is_empty()) {
            return Some(segment(pod).unwrap_or(pod).to_owned());
        }
        return value["id"].as_str().and_then(segment).map(str::to_owned);
    }
    let page = std::str::from_utf8(body).ok()?;
    let pod = page.split_once("Reviews served by: ")?.1;
    let pod = pod.split([' ', '<']).next()?;
    Some(segment(pod).unwrap_or(pod).to_owned())
}

fn segment(pod: &str) -> Option<&str> {
    pod.split('-').find(|s| {
        s.strip_prefix('v')
            .is_some_and(|n| !n.is_empty() && n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests;
