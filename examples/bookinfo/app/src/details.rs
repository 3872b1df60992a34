//! Facts about the book: a constant.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::reply::{self, Asked, Reply};

pub(crate) fn answer(asked: &Asked) -> Reply {
    match asked.uri().path() {
        "/health" => reply::json(StatusCode::OK, &json!({"status": "Details is healthy"})),
        path => match reply::product_id(path, "/details/") {
            None => reply::not_found(),
            Some(Err(bad)) => bad,
            Some(Ok(id)) => reply::json(StatusCode::OK, &book(id)),
        },
    }
}

fn book(id: u64) -> Value {
    json!({
        "id": id, "author": "William Shakespeare", "year": 1595, "type": "paperback", "pages": 200,
        "publisher": "PublisherA", "language": "English", "ISBN-10": "1234567890", "ISBN-13": "123-1234567890",
    })
}
