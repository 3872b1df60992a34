//! Two reviews; versions 2 and 3 ask ratings for stars.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Asked, Reply};
use crate::upstream::{Upstream, forwarded};

const TEXTS: [(&str, &str); 2] = [
    ("Reviewer1", "Two pairs of twins, one town, and not a quiet minute. I laughed until the last page."),
    ("Reviewer2", "Quick and merry. Whoever looks for the weight of the tragedies will not find it here."),
];

pub(crate) struct Reviews {
    pod: String,
    cluster: String,
    stars: Option<(String, Upstream)>,
}

impl Reviews {
    pub(crate) fn from_env() -> Self {
        let env = |name: &str| std::env::var(name).ok();
        let stars = star_color(env).map(|color| {
            // The sample's: patient in version 2, impatient in version 3. Its fault injection task shows why.
            let timeout =
                if color == "black" { Duration::from_secs(10) } else { Duration::from_millis(2500) };
            (color, Upstream::from_env("ratings", timeout))
        });
        Self {
            pod: env("HOSTNAME").unwrap_or_else(|| "null".to_owned()),
            cluster: env("CLUSTER_NAME").unwrap_or_else(|| "null".to_owned()),
            stars,
        }
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Reply {
        match asked.uri().path() {
            "/health" => reply::json(StatusCode::OK, &json!({"status": "Reviews is healthy"})),
            _ if asked.method() != Method::GET => reply::not_found(),
            path => match reply::product_id(path, "/reviews/") {
                None => reply::not_found(),
                Some(Err(bad)) => bad,
                Some(Ok(id)) => reply::json(StatusCode::OK, &self.reviews(id, asked).await),
            },
        }
    }

    async fn reviews(&self, id: u64, asked: &Asked) -> Value {
        let rating = match &self.stars {
            None => Rating::Off,
            Some((color, ratings)) => {
                match ratings.ask(&format!("/ratings/{id}"), &forwarded(asked.headers(), None)).await {
                    Ok((StatusCode::OK, body)) => match serde_json::from_slice::<Value>(&body) {
                        Ok(value) => Rating::Stars(color, value),
                        Err(_) => Rating::Unavailable,
                    },
                    _ => Rating::Unavailable,
                }
            }
        };
        let reviews: Vec<Value> = TEXTS.iter().map(|(who, text)| rating.review(who, text)).collect();
        json!({"id": id.to_string(), "podname": self.pod, "clustername": self.cluster, "reviews": reviews})
    }
}

enum Rating<'a> {
    Off,
    Unavailable,
    Stars(&'a str, Value),
}

impl Rating<'_> {
    fn review(&self, who: &str, text: &str) -> Value {
        let mut review = json!({"reviewer": who, "text": text});
        let rating = match self {
            Self::Off => return review,
            Self::Stars(color, value) => match value["ratings"][who].as_i64() {
                Some(stars) => json!({"stars": stars, "color": color}),
                None => json!({"error": "Ratings service is currently unavailable"}),
            },
            Self::Unavailable => json!({"error": "Ratings service is currently unavailable"}),
        };
        review["rating"] = rating;
        review
    }
}

/// The images of versions 2 and 3 carry ENABLE_RATINGS and STAR_COLOR; without them SERVICE_VERSION says the same.
fn star_color(env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let version = env("SERVICE_VERSION").unwrap_or_default();
    let by_version = matches!(version.as_str(), "v2" | "v3");
    let enabled = env("ENABLE_RATINGS").map_or(by_version, |v| v.eq_ignore_ascii_case("true"));
    let default = if version == "v3" { "red" } else { "black" };
    enabled.then(|| env("STAR_COLOR").unwrap_or_else(|| default.to_owned()))
}

#[cfg(test)]
mod tests;
