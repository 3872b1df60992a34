//! The front end: signs users in by name, asks details and reviews, and shows the page.

mod page;

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, REFERER, SET_COOKIE};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Asked, Reply};
use crate::upstream::{Upstream, forwarded};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Productpage {
    details: Upstream,
    reviews: Upstream,
    ratings: Upstream,
}

impl Productpage {
    pub(crate) fn from_env() -> Self {
        let upstream = |service| Upstream::from_env(service, TIMEOUT);
        Self { details: upstream("details"), reviews: upstream("reviews"), ratings: upstream("ratings") }
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Reply {
        let path = asked.uri().path();
        match path {
            "/" | "/index.html" => reply::html(page::index()),
            "/health" => reply::html("Product page is healthy".to_owned()),
            "/login" if asked.method() == Method::POST => login(asked),
            "/logout" => back(asked, "session=; Path=/; Max-Age=0"),
            "/productpage" => self.front(asked).await,
            "/api/v1/products" => reply::json(StatusCode::OK, &json!([page::product()])),
            _ => match path.strip_prefix("/api/v1/products/") {
                Some(rest) => self.api(rest, asked).await,
                None => reply::not_found(),
            },
        }
    }

    async fn front(&self, asked: &Asked) -> Reply {
        let user = user(asked.headers());
        let headers = forwarded(asked.headers(), user.as_deref());
        let details = self.fetch("details", "0", &headers).await;
        let reviews = self.fetch("reviews", "0", &headers).await;
        reply::html(page::productpage(user.as_deref().unwrap_or_default(), &details, &reviews))
    }

    async fn api(&self, rest: &str, asked: &Asked) -> Reply {
        let (id, service) = match rest.split_once('/') {
            None => (rest, "details"),
            Some((id, service @ ("reviews" | "ratings"))) => (id, service),
            Some(_) => return reply::not_found(),
        };
        let headers = forwarded(asked.headers(), user(asked.headers()).as_deref());
        let (status, value) = self.fetch(service, id, &headers).await;
        reply::json(status, &value)
    }

    async fn fetch(&self, service: &str, id: &str, headers: &HeaderMap) -> (StatusCode, Value) {
        let (upstream, attempts) = match service {
            "details" => (&self.details, 1),
            "ratings" => (&self.ratings, 1),
            // The sample's own second attempt: its fault injection task is about what it hides.
            _ => (&self.reviews, 2),
        };
        let mut status = StatusCode::INTERNAL_SERVER_ERROR;
        for _ in 0..attempts {
            match upstream.ask(&format!("/{service}/{id}"), headers).await {
                Ok((StatusCode::OK, body)) => {
                    if let Ok(value) = serde_json::from_slice(&body) {
                        return (StatusCode::OK, value);
                    }
                }
                Ok((other, _)) => status = other,
                Err(_) => status = StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
        (
            status,
            json!({"error": format!("Sorry, product {service} are currently unavailable for this book.")}),
        )
    }
}

fn login(asked: &Asked) -> Reply {
    let name = url::form_urlencoded::parse(asked.body()).find(|(key, _)| key == "username");
    let name = name.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    back(asked, &format!("session={encoded}; Path=/; HttpOnly"))
}

/// Sets the session and leads the browser back to where it came from.
fn back(asked: &Asked, cookie: &str) -> Reply {
    let mut reply = reply::with_type(StatusCode::FOUND, "text/html", Bytes::new());
    let target = asked.headers().get(REFERER).cloned();
    reply.headers_mut().insert(LOCATION, target.unwrap_or_else(|| HeaderValue::from_static("/productpage")));
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    reply
}

/// The signed-in user. The sample asks no password, so the name is a label for routing, not an identity.
fn user(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok());
    let session = cookies.flat_map(|v| v.split(';')).find_map(|c| c.trim().strip_prefix("session="))?;
    let name = percent_encoding::percent_decode_str(session).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

#[cfg(test)]
mod tests;
