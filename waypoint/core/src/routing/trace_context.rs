//! The trace a request belongs to: read from its headers or begun here, and passed on.
//!
//! Spec: B3 propagation (single and multiple headers), W3C Trace Context. Envoy: `SpanContextExtractor` of its Zipkin and
//! OpenTelemetry tracers, `HttpConnManagerImpl`'s trace decision.

use crate::dice::Dice;
use crate::model::tracing::{Sampling, Tracing, TracingProvider, Zipkin};
use http::{HeaderMap, HeaderName, HeaderValue};

const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const CLIENT_TRACE_ID: HeaderName = HeaderName::from_static("x-client-trace-id");

/// Our span in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: u128,
    pub span_id: u64,
    pub parent_id: Option<u64>,
    pub sampled: bool,
    /// The client's span, continued here (Zipkin's `shared_span_context`).
    pub shared: bool,
}

impl TraceContext {
    /// In hex, 16 or 32 digits.
    #[must_use]
    pub fn trace_id_text(&self) -> String {
        match self.trace_id >> 64 {
            0 => format!("{:016x}", self.trace_id),
            _ => format!("{:032x}", self.trace_id),
        }
    }
}

/// What a client said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Incoming {
    trace_id: u128,
    span_id: u64,
    parent_id: Option<u64>,
    /// Undecided where the client left it to us.
    sampled: Option<bool>,
}

/// The span of this request.
#[must_use]
pub fn begin(tracing: &Tracing, headers: &HeaderMap, dice: &mut Dice) -> TraceContext {
    let incoming = match &tracing.provider {
        TracingProvider::Zipkin(zipkin) => {
            b3(headers).or_else(|| traceparent(headers).filter(|_| zipkin.w3c))
        }
        TracingProvider::OpenTelemetry(_) => traceparent(headers),
    };
    let decided = match incoming {
        Some(incoming) => incoming.sampled,
        None => b3_sampled(tracing, headers),
    };
    let sampled = decided.unwrap_or_else(|| chosen(&tracing.sampling, headers, dice));
    match incoming {
        Some(Incoming { trace_id, span_id, parent_id, .. }) if shares_span(tracing) => {
            TraceContext { trace_id, span_id, parent_id, sampled, shared: true }
        }
        Some(Incoming { trace_id, span_id, .. }) => {
            TraceContext { trace_id, span_id: id(dice), parent_id: Some(span_id), sampled, shared: false }
        }
        None => fresh(tracing, sampled, dice),
    }
}

fn shares_span(tracing: &Tracing) -> bool {
    matches!(&tracing.provider, TracingProvider::Zipkin(zipkin) if zipkin.shared_span_context)
}

/// A client that has no trace may still have decided that there should be none.
fn b3_sampled(tracing: &Tracing, headers: &HeaderMap) -> Option<bool> {
    match &tracing.provider {
        TracingProvider::Zipkin(_) => sampled_headers(headers),
        TracingProvider::OpenTelemetry(_) => None,
    }
}

fn fresh(tracing: &Tracing, sampled: bool, dice: &mut Dice) -> TraceContext {
    let wide = !matches!(&tracing.provider, TracingProvider::Zipkin(Zipkin { trace_id_128bit: false, .. }));
    let span_id = id(dice);
    let trace_id = if wide { u128::from(id(dice)) << 64 | u128::from(id(dice)) } else { u128::from(span_id) };
    TraceContext { trace_id, span_id, parent_id: None, sampled, shared: false }
}

/// Zero means "none" in both formats.
fn id(dice: &mut Dice) -> u64 {
    dice.draw().max(1)
}

/// Envoy: a client that asks for a trace, or chance; then the overall share of these.
fn chosen(sampling: &Sampling, headers: &HeaderMap, dice: &mut Dice) -> bool {
    let mut hit =
        |fraction: crate::model::route::Fraction| dice.chance(fraction.numerator, fraction.denominator);
    let asked = headers.contains_key(CLIENT_TRACE_ID) && hit(sampling.client);
    (asked || hit(sampling.random)) && hit(sampling.overall)
}

/// Tells upstream about our span.
pub fn inject(context: &TraceContext, tracing: &Tracing, headers: &mut HeaderMap) {
    if !tracing.propagate {
        return;
    }
    match &tracing.provider {
        TracingProvider::Zipkin(zipkin) => {
            headers.remove(B3);
            set(headers, B3_TRACE_ID, &context.trace_id_text());
            set(headers, B3_SPAN_ID, &format!("{:016x}", context.span_id));
            match context.parent_id {
                Some(parent) => set(headers, B3_PARENT, &format!("{parent:016x}")),
                None => drop(headers.remove(B3_PARENT)),
            }
            headers.insert(B3_SAMPLED, HeaderValue::from_static(if context.sampled { "1" } else { "0" }));
            if zipkin.w3c {
                set(headers, TRACEPARENT, &w3c(context));
            }
        }
        // `tracestate` belongs to others and goes through as it came.
        TracingProvider::OpenTelemetry(_) => set(headers, TRACEPARENT, &w3c(context)),
    }
}

fn w3c(context: &TraceContext) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", context.trace_id, context.span_id, u8::from(context.sampled))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn b3(headers: &HeaderMap) -> Option<Incoming> {
    if let Some(incoming) = text(headers, B3).and_then(b3_single) {
        return Some(incoming);
    }
    Some(Incoming {
        trace_id: trace_id(text(headers, B3_TRACE_ID)?)?,
        span_id: span_id(text(headers, B3_SPAN_ID)?)?,
        parent_id: text(headers, B3_PARENT).and_then(span_id),
        sampled: sampled_headers(headers),
    })
}

/// `trace-span`, `trace-span-sampled`, `trace-span-sampled-parent`.
fn b3_single(value: &str) -> Option<Incoming> {
    let mut parts = value.split('-');
    let (trace_id, span_id) = (trace_id(parts.next()?)?, span_id(parts.next()?)?);
    let sampled = parts.next().and_then(sampled);
    Some(Incoming { trace_id, span_id, parent_id: parts.next().and_then(self::span_id), sampled })
}

fn sampled_headers(headers: &HeaderMap) -> Option<bool> {
    if text(headers, B3_FLAGS) == Some("1") {
        return Some(true); // debug
    }
    // Of the single header, `0` and `1` may stand alone.
    text(headers, B3_SAMPLED).or_else(|| text(headers, B3)).and_then(sampled)
}

fn sampled(value: &str) -> Option<bool> {
    match value {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn trace_id(hex: &str) -> Option<u128> {
    let parsed = u128::from_str_radix(hex, 16).ok().filter(|_| is_hex(hex) && matches!(hex.len(), 16 | 32));
    parsed.filter(|id| *id != 0)
}

fn span_id(hex: &str) -> Option<u64> {
    u64::from_str_radix(hex, 16).ok().filter(|id| *id != 0 && is_hex(hex) && hex.len() == 16)
}

/// Numbers may have a sign, ids may not.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `00-<trace>-<span>-<flags>`; later versions may have more after it.
fn traceparent(headers: &HeaderMap) -> Option<Incoming> {
    let mut parts = text(headers, TRACEPARENT)?.split('-');
    let version = parts.next().filter(|version| version.len() == 2 && is_hex(version) && *version != "ff")?;
    let trace_id = parts.next().filter(|id| id.len() == 32).and_then(trace_id)?;
    let span_id = parts.next().and_then(span_id)?;
    let flags = parts.next().filter(|flags| flags.len() == 2 && is_hex(flags))?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let complete = version != "00" || parts.next().is_none();
    complete.then_some(Incoming { trace_id, span_id, parent_id: None, sampled: Some(flags & 1 == 1) })
}

#[cfg(test)]
mod tests;
