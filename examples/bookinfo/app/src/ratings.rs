//! Stars per reviewer, kept in memory; misbehaves on request as the sample's versions do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Asked, Reply};

/// The sample's numbers: half the requests fail or are late, and outages alternate.
const LATE: Duration = Duration::from_secs(7);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Healthy,
    Faulty,
    Delayed,
    /// Out of order every other period; `health` says whether /health fails along.
    Alternating {
        period: Duration,
        health: bool,
    },
}

impl Manner {
    fn of(version: &str) -> Self {
        match version {
            "v-faulty" => Self::Faulty,
            "v-delayed" => Self::Delayed,
            "v-unavailable" => Self::Alternating { period: Duration::from_secs(60), health: false },
            "v-unhealthy" => Self::Alternating { period: Duration::from_secs(900), health: true },
            _ => Self::Healthy,
        }
    }

    fn is_out(self, age: Duration) -> bool {
        match self {
            Self::Alternating { period, .. } => (age.as_secs() / period.as_secs()) % 2 == 1,
            _ => false,
        }
    }
}

pub(crate) struct Ratings {
    manner: Manner,
    since: Instant,
    added: Mutex<BTreeMap<u64, Value>>,
}

impl Ratings {
    pub(crate) fn from_env() -> Self {
        let manner = Manner::of(&std::env::var("SERVICE_VERSION").unwrap_or_default());
        Self { manner, since: Instant::now(), added: Mutex::default() }
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Reply {
        let path = asked.uri().path();
        if path == "/health" {
            return self.health();
        }
        let id = match reply::product_id(path, "/ratings/") {
            None => return reply::not_found(),
            Some(Err(bad)) => return bad,
            Some(Ok(id)) => id,
        };
        match *asked.method() {
            Method::GET => self.rated(id).await,
            Method::POST => self.rate(id, asked.body()),
            _ => reply::with_type(StatusCode::METHOD_NOT_ALLOWED, "text/plain", ""),
        }
    }

    fn health(&self) -> Reply {
        let sick = matches!(self.manner, Manner::Alternating { health: true, .. })
            && self.manner.is_out(self.since.elapsed());
        match sick {
            true => {
                reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"status": "Ratings is not healthy"}))
            }
            false => reply::json(StatusCode::OK, &json!({"status": "Ratings is healthy"})),
        }
    }

    async fn rated(&self, id: u64) -> Reply {
        let unlucky = fastrand::bool();
        if self.manner.is_out(self.since.elapsed()) || (self.manner == Manner::Faulty && unlucky) {
            return reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "Service unavailable"}));
        }
        if self.manner == Manner::Delayed && unlucky {
            tokio::time::sleep(LATE).await;
        }
        reply::json(StatusCode::OK, &self.of(id))
    }

    fn rate(&self, id: u64, body: &[u8]) -> Reply {
        let Ok(ratings) = serde_json::from_slice::<Value>(body) else {
            return reply::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": "please provide valid ratings JSON"}),
            );
        };
        self.added.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ratings);
        reply::json(StatusCode::OK, &self.of(id))
    }

    fn of(&self, id: u64) -> Value {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let ratings = added.get(&id).cloned().unwrap_or_else(|| json!({"Reviewer1": 5, "Reviewer2": 4}));
        json!({"id": id, "ratings": ratings})
    }
}

#[cfg(test)]
mod tests;
