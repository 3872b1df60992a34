use super::*;
use crate::model::route::Fraction;
use crate::model::tracing::{Collector, OpenTelemetry};

fn collector() -> Collector {
    Collector {
        cluster: "c".into(),
        authority: HeaderValue::from_static("c"),
        path: "/".into(),
        headers: Vec::new(),
        timeout: None,
    }
}

fn of(percent: u32) -> Fraction {
    Fraction { numerator: percent, denominator: 100 }
}

fn tracing(provider: TracingProvider, random: u32) -> Tracing {
    Tracing {
        content_hash: 0,
        provider,
        sampling: Sampling { client: of(100), random: of(random), overall: of(100) },
        propagate: true,
        max_path_length: 256,
        tags: Vec::new(),
    }
}

fn zipkin(w3c: bool) -> TracingProvider {
    TracingProvider::Zipkin(Zipkin {
        collector: collector(),
        trace_id_128bit: true,
        shared_span_context: false,
        w3c,
    })
}

fn otel() -> TracingProvider {
    TracingProvider::OpenTelemetry(OpenTelemetry {
        collector: collector(),
        grpc: true,
        service_name: "s".into(),
    })
}

type Headers<'a> = Vec<(&'static str, &'a str)>;

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";

#[test]
fn what_clients_say_is_continued() {
    let b3 = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")];
    let single = format!("{TRACE}-{SPAN}-0");
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    let newer = format!("01-{TRACE}-{SPAN}-01-more");
    let too_long = format!("00-{TRACE}-{SPAN}-01-more");
    let cases: Vec<(TracingProvider, Headers<'_>, Option<bool>)> = vec![
        (zipkin(false), b3.to_vec(), Some(true)),
        (zipkin(false), vec![("b3", &single)], Some(false)),
        (zipkin(false), vec![("traceparent", &parent)], None),
        (zipkin(true), vec![("traceparent", &parent)], Some(true)),
        (otel(), vec![("traceparent", &parent)], Some(true)),
        (otel(), vec![("traceparent", &unsampled)], Some(false)),
        (otel(), vec![("traceparent", &newer)], Some(true)),
        (otel(), vec![("traceparent", &too_long)], None),
        (otel(), vec![("traceparent", "00-+63ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01")], None),
        (otel(), vec![("traceparent", "00-00000000000000000000000000000000-a2fb4a1d1a96d312-01")], None),
        (otel(), b3.to_vec(), None),
    ];
    for (provider, list, expect) in cases {
        let tracing = tracing(provider, 0);
        let context = begin(&tracing, &headers(&list), &mut Dice::new(1));
        let continued = context.parent_id == u64::from_str_radix(SPAN, 16).ok();
        assert_eq!(continued.then_some(context.sampled), expect, "{list:?}");
        assert_eq!(format!("{:032x}", context.trace_id) == TRACE, expect.is_some(), "{list:?}");
    }
}

#[test]
fn a_shared_span_keeps_its_id() {
    let TracingProvider::Zipkin(mut config) = zipkin(false) else { panic!() };
    config.shared_span_context = true;
    let tracing = tracing(TracingProvider::Zipkin(config), 0);
    let incoming = headers(&[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")]);
    let context = begin(&tracing, &incoming, &mut Dice::new(1));
    assert_eq!((format!("{:016x}", context.span_id), context.shared), (SPAN.to_owned(), true));
}

#[test]
fn new_traces_by_chance_or_by_wish() {
    let sampled = |random, list: &[(&'static str, &str)]| {
        begin(&tracing(zipkin(false), random), &headers(list), &mut Dice::new(3)).sampled
    };
    assert!(sampled(100, &[]));
    assert!(!sampled(0, &[]));
    assert!(sampled(0, &[("x-client-trace-id", "wish")]));
    assert!(!sampled(100, &[("x-b3-sampled", "0")]));
    assert!(sampled(0, &[("x-b3-flags", "1")]));
    let mut dice = Dice::new(7);
    let half = tracing(otel(), 50);
    let hits = (0..1000).filter(|_| begin(&half, &HeaderMap::new(), &mut dice).sampled).count();
    assert!((400..600).contains(&hits), "{hits}");
}

#[test]
fn upstream_is_told_in_the_provider_s_words() {
    let context =
        TraceContext { trace_id: 0x1f, span_id: 0x2f, parent_id: Some(0x3f), sampled: true, shared: false };
    let told = |provider, propagate| {
        let mut told = headers(&[("b3", "0"), ("tracestate", "a=b")]);
        inject(&context, &Tracing { propagate, ..tracing(provider, 0) }, &mut told);
        told
    };
    let b3 = told(zipkin(false), true);
    assert_eq!(b3["x-b3-traceid"], "000000000000001f");
    assert_eq!(b3["x-b3-spanid"], "000000000000002f");
    assert_eq!(b3["x-b3-parentspanid"], "000000000000003f");
    assert_eq!(b3["x-b3-sampled"], "1");
    assert!(!b3.contains_key("b3") && !b3.contains_key("traceparent"), "{b3:?}");
    let parent = "00-0000000000000000000000000000001f-000000000000002f-01";
    assert_eq!(told(zipkin(true), true)["traceparent"], parent);
    let w3c = told(otel(), true);
    assert_eq!(
        (&w3c["traceparent"], &w3c["tracestate"]),
        (&parent.parse().unwrap(), &"a=b".parse().unwrap())
    );
    assert!(!told(otel(), false).contains_key("traceparent"));
}
