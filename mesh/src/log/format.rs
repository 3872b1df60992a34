//! Events into lines.
//!
//! Invariant: one event is one line, and a plain line's columns are what they say: no value can bring a tab or a line end along.
//! Spans are not shown; what belongs to an event is a field of it.

use crate::log::filter::scope;
use crate::log::writer::Writer;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `TIME\tlevel\tscope\tmessage\tk=v k="v"`.
    #[default]
    Plain,
    /// One JSON object: `level`, `time`, `scope`, `message`, then the fields.
    Json,
}

/// The layer that formats, on the thread that logs.
pub(super) struct Lines {
    format: Format,
    writer: Writer,
}

impl Lines {
    pub(super) fn new(format: Format, writer: Writer) -> Self {
        Self { format, writer }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = Utc::now();
        self.writer.write(match self.format {
            Format::Plain => plain(event, now),
            Format::Json => json(event, now),
        });
    }
}

fn plain(event: &Event<'_>, now: DateTime<Utc>) -> String {
    let metadata = event.metadata();
    let mut fields = PlainFields::default();
    event.record(&mut fields);
    let PlainFields { message, rest } = fields;
    let mut line = format!("{}\t{}\t{}\t{message}", time(now), level(metadata), scope(metadata.target()));
    if !rest.is_empty() {
        line.push('\t');
        line.push_str(&rest);
    }
    line
}

fn json(event: &Event<'_>, now: DateTime<Utc>) -> String {
    let metadata = event.metadata();
    let mut fields = JsonFields(Map::new());
    for (key, value) in [
        ("level", level(metadata).to_owned()),
        ("time", time(now)),
        ("scope", scope(metadata.target()).to_owned()),
    ] {
        fields.0.insert(key.to_owned(), value.into());
    }
    event.record(&mut fields);
    Value::Object(fields.0).to_string()
}

fn time(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn level(metadata: &Metadata<'_>) -> &'static str {
    match *metadata.level() {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

#[derive(Default)]
struct PlainFields {
    message: String,
    rest: String,
}

impl PlainFields {
    fn push(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if !self.rest.is_empty() {
            self.rest.push(' ');
        }
        // Writing into a String does not fail.
        let _ = write!(self.rest, "{}={value}", field.name());
    }
}

impl Visit for PlainFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = one_line(value);
        } else {
            self.push(field, format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = one_line(&text);
        } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.push(field, format_args!("{text:?}"));
        } else {
            self.push(field, format_args!("{text}"));
        }
    }
}

struct JsonFields(Map<String, Value>);

impl JsonFields {
    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for JsonFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}

/// The text with its control characters escaped.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}
