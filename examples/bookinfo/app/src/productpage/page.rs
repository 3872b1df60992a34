//! The two HTML pages, with the facts at the places where the sample has them. No IO.

use hyper::StatusCode;
use serde_json::{Value, json};

const STYLE: &str = "body{font-family:sans-serif;max-width:60rem;margin:2rem auto;color:#1f2937}\
nav{background:#1f2937;color:#fff;padding:.8rem;display:flex;justify-content:space-between}nav a{color:#9ca3af}\
h1{color:#1e3a8a}table{border-collapse:collapse}td,th{padding:.4rem .8rem;text-align:left;border-bottom:1px solid #d1d5db}\
.error{color:#ef4444}.served{font-family:monospace;color:#4b5563}.text-red-500{color:#ef4444}.text-black-500{color:#000}";

pub(super) fn product() -> Value {
    json!({
        "id": 0, "title": "The Comedy of Errors",
        "descriptionHtml": "One day in Ephesus, two pairs of twins with the same names, and a town that cannot tell them \
            apart: <b>Shakespeare's</b> shortest play.",
    })
}

pub(super) fn index() -> String {
    frame(
        "",
        "<h3>Bookinfo: one page, made by productpage from the answers of details, reviews and ratings</h3><ul><li><a href=\"/productpage?u=normal\">Normal user</a></li>\
         <li><a href=\"/productpage?u=test\">Test user</a></li></ul>",
    )
}

pub(super) fn productpage(
    user: &str,
    details: &(StatusCode, Value),
    reviews: &(StatusCode, Value),
) -> String {
    let product = product();
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n{}{}",
        text(&product["title"]),
        product["descriptionHtml"].as_str().unwrap_or_default(),
        details_section(details),
        reviews_section(reviews)
    );
    frame(user, &body)
}

fn frame(user: &str, body: &str) -> String {
    let session = match user {
        "" => "<form method=\"post\" action=\"/login\"><input name=\"username\" required placeholder=\"Username\"> \
               <input name=\"passwd\" type=\"password\" placeholder=\"Password\"> <button>Sign in</button></form>"
            .to_owned(),
        user => format!("<span>{} <a href=\"/logout\">Sign out</a></span>", escape(user)),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Simple Bookstore App</title>\
         <style>{STYLE}</style></head><body>\n<nav><span>BookInfo Sample</span>{session}</nav>\n{body}</body></html>\n"
    )
}

fn details_section((status, details): &(StatusCode, Value)) -> String {
    if *status != StatusCode::OK {
        return format!(
            "<p class=\"error\">Error fetching product details</p>\n<p>{}</p>\n",
            text(&details["error"])
        );
    }
    let columns = [
        ("ISBN-10", "ISBN-10"),
        ("Publisher", "publisher"),
        ("Pages", "pages"),
        ("Type", "type"),
        ("Language", "language"),
    ];
    let head: String = columns.iter().map(|(title, _)| format!("<th>{title}</th>")).collect();
    let row: String = columns.iter().map(|(_, key)| format!("<td>{}</td>", text(&details[*key]))).collect();
    format!("<h4>Book Details</h4>\n<table><tr>{head}</tr><tr>{row}</tr></table>\n")
}

fn reviews_section((status, reviews): &(StatusCode, Value)) -> String {
    if *status != StatusCode::OK {
        return format!(
            "<p class=\"error\">Error fetching product reviews</p>\n<p>{}</p>\n",
            text(&reviews["error"])
        );
    }
    let list = reviews["reviews"].as_array().map(Vec::as_slice).unwrap_or_default();
    let list: String = list.iter().map(|review| one_review(review, reviews)).collect();
    format!("<h4>Book Reviews</h4>\n{list}")
}

fn one_review(review: &Value, reviews: &Value) -> String {
    let rating = &review["rating"];
    let stars = match (rating["stars"].as_u64(), rating["error"].as_str()) {
        (Some(stars), _) => {
            let full = "<span class=\"glyphicon glyphicon-star\">★</span>".repeat(stars.min(5) as usize);
            format!("<div class=\"text-{}-500\">{full}</div>", text(&rating["color"]))
        }
        (None, Some(error)) => format!("<p class=\"error\">{}</p>", escape(error)),
        (None, None) => String::new(),
    };
    let cluster = match text(&reviews["clustername"]) {
        name if name == "null" || name.is_empty() => String::new(),
        name => format!(" on cluster {name}"),
    };
    format!(
        "<section>{stars}<blockquote>\"{}\"</blockquote><b>{}</b>\
         <div class=\"served\">Reviews served by: {}{cluster}</div></section>\n",
        text(&review["text"]),
        text(&review["reviewer"]),
        text(&reviews["podname"])
    )
}

/// A JSON value as escaped text.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => escape(s),
        other => escape(&other.to_string()),
    }
}

fn escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
