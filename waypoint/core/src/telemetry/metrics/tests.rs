use super::*;
use crate::failure::{ResponseFlag, ResponseFlags};
use crate::limits::{METRIC_TAG_VALUES_MAX, METRIC_TAGGED_SERIES_MAX};
use crate::model::cluster::ServiceRef;
use crate::model::expression::Expression;
use crate::model::http_chain::TagOverride;
use crate::model::workload::Workload;
use crate::telemetry::record::{Downstream, Protocol, RequestHead, ResponseHead, Upstream};
use expect_test::expect;
use http::HeaderMap;
use std::time::{Duration, UNIX_EPOCH};

/// What a record borrows.
struct Parts {
    headers: HeaderMap,
    source: Arc<Workload>,
    destination: Arc<Workload>,
    service: Arc<ServiceRef>,
    peer: Arc<str>,
    local: Arc<str>,
}

fn workload(name: &str, namespace: &str) -> Arc<Workload> {
    Arc::new(Workload {
        uid: format!("K//Pod/{namespace}/{name}-0").into(),
        namespace: namespace.into(),
        workload_name: format!("{name}-v1").into(),
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        cluster_id: "K".into(),
        principal: format!("spiffe://td/ns/{namespace}/sa/{name}").into(),
        ..Workload::default()
    })
}

impl Parts {
    fn new() -> Self {
        Self {
            headers: HeaderMap::new(),
            source: workload("productpage", "bookinfo"),
            destination: workload("reviews", "bookinfo"),
            service: Arc::new(ServiceRef {
                host: "reviews.bookinfo.svc.cluster.local".into(),
                name: "reviews".into(),
                namespace: "bookinfo".into(),
            }),
            peer: "spiffe://td/ns/bookinfo/sa/productpage".into(),
            local: "spiffe://td/ns/bookinfo/sa/waypoint".into(),
        }
    }

    fn record(&self, status: u16) -> RequestRecord<'_> {
        RequestRecord {
            duration: Duration::from_millis(7),
            request: Some(RequestHead {
                method: "GET",
                path: "/",
                authority: "reviews:9080",
                scheme: "http",
                headers: &self.headers,
                grpc: false,
            }),
            response: Some(ResponseHead { status, headers: &self.headers, trailers: None }),
            bytes_sent: 10,
            upstream: Upstream { workload: Some(&self.destination), ..Upstream::default() },
            downstream: Downstream {
                workload: Some(&self.source),
                peer_principal: Some(&self.peer),
                local_principal: Some(&self.local),
                ..Downstream::default()
            },
            service: Some(&self.service),
            ..RequestRecord::new(UNIX_EPOCH)
        }
    }
}

fn setup() -> (Arc<Metrics>, MetricCache) {
    let metrics = Metrics::new("1.31.0").unwrap();
    (metrics.clone(), MetricCache::new(metrics))
}

/// The exposition's lines of these families, labels one a line.
fn lines(metrics: &Metrics, prefix: &str) -> String {
    let text = metrics.exposition().unwrap();
    let lines = text.lines().filter(|line| line.starts_with(prefix));
    lines.map(|line| line.replace(',', "\n  ") + "\n").collect()
}

#[test]
fn label_set_of_a_request() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    cache.request(&parts.record(200), &StatsFilter::default());
    expect![[r#"
        istio_requests_total{connection_security_policy="mutual_tls"
          destination_app="reviews"
          destination_canonical_revision="v1"
          destination_canonical_service="reviews"
          destination_cluster="K"
          destination_principal="spiffe://td/ns/bookinfo/sa/reviews"
          destination_service="reviews.bookinfo.svc.cluster.local"
          destination_service_name="reviews"
          destination_service_namespace="bookinfo"
          destination_version="v1"
          destination_workload="reviews-v1"
          destination_workload_namespace="bookinfo"
          grpc_response_status=""
          reporter="waypoint"
          request_protocol="http"
          response_code="200"
          response_flags="-"
          source_app="productpage"
          source_canonical_revision="v1"
          source_canonical_service="productpage"
          source_cluster="K"
          source_principal="spiffe://td/ns/bookinfo/sa/productpage"
          source_version="v1"
          source_workload="productpage-v1"
          source_workload_namespace="bookinfo"} 1
    "#]]
    .assert_eq(&lines(&metrics, "istio_requests_total"));
}

#[test]
fn label_set_of_a_connection_nobody_is_known_of() {
    let (metrics, mut cache) = setup();
    let record = RequestRecord {
        protocol: Protocol::Tcp,
        flags: ResponseFlags::of(ResponseFlag::NR),
        ..RequestRecord::new(UNIX_EPOCH)
    };
    let handles = cache.tcp(&record, &StatsFilter::default());
    handles.opened.unwrap().inc();
    handles.sent.unwrap().inc_by(5);
    expect![[r#"
        istio_tcp_connections_opened_total{connection_security_policy="none"
          destination_app="unknown"
          destination_canonical_revision="unknown"
          destination_canonical_service="unknown"
          destination_cluster="unknown"
          destination_principal="unknown"
          destination_service="unknown"
          destination_service_name="unknown"
          destination_service_namespace="unknown"
          destination_version="unknown"
          destination_workload="unknown"
          destination_workload_namespace="unknown"
          reporter="waypoint"
          request_protocol="tcp"
          response_flags="NR"
          source_app="unknown"
          source_canonical_revision="latest"
          source_canonical_service="unknown"
          source_cluster="unknown"
          source_principal="unknown"
          source_version="unknown"
          source_workload="unknown"
          source_workload_namespace="unknown"} 1
    "#]]
    .assert_eq(&lines(&metrics, "istio_tcp_connections_opened_total"));
    assert!(lines(&metrics, "istio_tcp_sent_bytes_total").ends_with(" 5\n"));
}

#[test]
fn histograms_have_envoys_buckets() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    cache.request(&parts.record(200), &StatsFilter::default());
    let text = metrics.exposition().unwrap();
    let buckets = text.lines().filter(|line| line.starts_with("istio_request_duration_milliseconds_bucket"));
    let counts: Vec<(String, String)> = buckets
        .map(|line| {
            let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            (bound.to_owned(), line.rsplit(' ').next().unwrap().to_owned())
        })
        .collect();
    assert_eq!(counts.len(), BUCKETS.len() + 1);
    let at = |bound: &str| &counts.iter().find(|(known, _)| known == bound).unwrap().1;
    assert_eq!((at("5").as_str(), at("10").as_str(), at("3600000").as_str()), ("0", "1", "1"));
    assert!(text.contains("istio_build{component=\"proxy\",tag=\"1.31.0\"} 1"));
}

#[test]
fn each_combination_has_its_own_series() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    let grpc = {
        let record = parts.record(200);
        let request = record.request.map(|request| RequestHead { grpc: true, ..request });
        RequestRecord { request, grpc_status: Some(14), ..record }
    };
    let failed = RequestRecord { flags: ResponseFlags::of(ResponseFlag::UF), ..parts.record(503) };
    for record in [&parts.record(200), &parts.record(200), &failed, &grpc] {
        cache.request(record, &StatsFilter::default());
    }
    let text = metrics.exposition().unwrap();
    let mut counts: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("istio_requests_total"))
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, ["1", "1", "2"]);
    assert!(text.contains("grpc_response_status=\"14\"") && text.contains("request_protocol=\"grpc\""));
}

fn tag(metric: &str, tag: &str, text: Option<&str>) -> TagOverride {
    let value = text.map(|text| Arc::new(Expression::new(text, cel::Program::compile(text).unwrap())));
    TagOverride { metric: metric.into(), tag: tag.into(), value }
}

/// A request for `host` from a tenant the client names.
fn count(cache: &mut MetricCache, parts: &Parts, host: &str, filter: &StatsFilter) {
    let mut record = parts.record(200);
    if let Some(request) = &mut record.request {
        request.authority = host;
    }
    cache.request(&record, filter);
}

#[test]
fn tags_by_expression() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    let filter = StatsFilter {
        tags: vec![
            tag("requests_total", "request_host", Some("request.host")),
            tag("", "response_flags", Some("response.code == 200 ? 'fine' : 'bad'")),
            tag("requests_total", "source_app", None),
            tag("requests_total", "source_app", Some("request.headers['nope']")),
            tag("requests_total", "nobody", None),
        ],
        ..StatsFilter::default()
    };
    for host in ["a", "b", "a"] {
        count(&mut cache, &parts, host, &filter);
    }
    // Another chain of the same process, without any of it.
    cache.request(&parts.record(200), &StatsFilter::default());
    let text = metrics.exposition().unwrap();
    let tagged = |host: &str| {
        let line = text.lines().find(|line| line.contains(&format!("request_host=\"{host}\""))).unwrap();
        assert!(line.starts_with("istio_requests_total{"), "{line}");
        assert!(
            line.contains("response_flags=\"fine\"") && line.contains("source_app=\"unknown\""),
            "{line}"
        );
        line.rsplit_once(' ').unwrap().1.to_owned()
    };
    assert_eq!((tagged("a"), tagged("b")), ("2".to_owned(), "1".to_owned()));
    let durations: Vec<&str> =
        text.lines().filter(|line| line.starts_with("istio_request_duration_milliseconds_count")).collect();
    assert_eq!(durations.len(), 2, "with and without the flags' expression: {durations:?}");
    assert!(!text.contains("nobody"), "{text}");
    let heads = text.lines().filter(|line| line.starts_with("# TYPE istio_requests_total")).count();
    assert_eq!(heads, 1, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("istio_requests_total{")).count(), 3);
}

#[test]
fn a_client_makes_only_so_many_values() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    let filter =
        StatsFilter { tags: vec![tag("", "request_host", Some("request.host"))], ..StatsFilter::default() };
    for host in 0..METRIC_TAG_VALUES_MAX + 50 {
        count(&mut cache, &parts, &format!("host-{host}"), &filter);
    }
    // A second worker is held to the same.
    let mut other = MetricCache::new(metrics.clone());
    count(&mut other, &parts, "host-new", &filter);
    count(&mut other, &parts, "host-1", &filter);
    let text = metrics.exposition().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("istio_requests_total{")).collect();
    assert_eq!(lines.len(), METRIC_TAG_VALUES_MAX + 1);
    let of = |host: &str| {
        let line = lines.iter().find(|line| line.contains(&format!("request_host=\"{host}\"")));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, count)| count)
    };
    assert_eq!((of("unknown"), of("host-1"), of("host-new")), (Some("51"), Some("2"), None));
    // With their workloads the series go, and there is room again.
    assert_eq!(metrics.sweep(|_| false), 0);
    assert!(metrics.sweep(|_| false) > METRIC_TAG_VALUES_MAX);
    count(&mut cache, &parts, "host-new", &filter);
    let text = metrics.exposition().unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("istio_requests_total{")).count(), 1);
    assert!(text.contains("request_host=\"host-new\""));
}

#[test]
fn tags_together_leave_room_for_other_series() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    let filter = StatsFilter {
        tags: vec![
            tag("requests_total", "host", Some("request.host")),
            tag("requests_total", "path", Some("request.path")),
        ],
        dropped: ["request_duration_milliseconds", "request_bytes", "response_bytes"].map(Into::into).into(),
        ..StatsFilter::default()
    };
    let requests = METRIC_TAGGED_SERIES_MAX + 100;
    let mut record = parts.record(200);
    let paths: Vec<String> = (0..100).map(|path| format!("/{path}")).collect();
    let hosts: Vec<String> = (0..requests / 100 + 1).map(|host| format!("h{host}")).collect();
    for at in 0..requests {
        if let Some(request) = &mut record.request {
            (request.authority, request.path) = (&hosts[at / 100], &paths[at % 100]);
        }
        cache.request(&record, &filter);
    }
    cache.request(&parts.record(404), &StatsFilter::default());
    let series = metrics.series.lock().unwrap();
    let with = |tag: &str| {
        let values = series.by_key.keys().map(|(_, values)| values.as_strs());
        values.filter(|values| values[values.len() - 2..].contains(&tag)).count()
    };
    // What came too late shares one series, and what has no such tags is not touched.
    assert_eq!((series.tagged, with("unknown")), (METRIC_TAGGED_SERIES_MAX + 1, 1));
    assert!(series.by_key.keys().any(|(_, values)| values.as_strs().contains(&"404")));
}

#[test]
fn dropped_metrics_and_removed_tags() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    let filter = StatsFilter {
        dropped: vec!["request_bytes".into()],
        tags: vec![tag("requests_total", "request_protocol", None), tag("", "source_app", None)],
        ..StatsFilter::default()
    };
    cache.request(&parts.record(200), &filter);
    assert_eq!(lines(&metrics, "istio_request_bytes"), "");
    let requests = lines(&metrics, "istio_requests_total");
    assert!(requests.contains("request_protocol=\"\"") && requests.contains("source_app=\"\""), "{requests}");
    let durations = lines(&metrics, "istio_request_duration_milliseconds_count");
    assert!(
        durations.contains("request_protocol=\"http\"") && durations.contains("source_app=\"\""),
        "{durations}"
    );
}

#[test]
fn the_host_header_stands_in_for_an_unknown_service_only_where_allowed() {
    let parts = Parts::new();
    for (disabled, expect) in
        [(false, "destination_service=\"reviews:9080\""), (true, "destination_service=\"unknown\"")]
    {
        let (metrics, mut cache) = setup();
        let record = RequestRecord { service: None, ..parts.record(200) };
        cache.request(
            &record,
            &StatsFilter { disable_host_header_fallback: disabled, ..StatsFilter::default() },
        );
        assert!(lines(&metrics, "istio_requests_total").contains(expect), "{disabled}");
    }
}

#[test]
fn series_go_with_their_workloads_after_one_more_scrape() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    cache.request(&parts.record(200), &StatsFilter::default());
    assert_eq!(metrics.sweep(|_| true), 0);
    let gone = |uid: &str| uid != &*parts.destination.uid;
    assert_eq!(metrics.sweep(gone), 0, "its last value can still be scraped");
    assert_ne!(lines(&metrics, "istio_requests_total"), "");
    assert_eq!(metrics.sweep(gone), 4);
    assert_eq!(lines(&metrics, "istio_requests_total"), "");
    // The worker's cached handle is of the time before: it must not count into a series nobody sees.
    cache.request(&parts.record(200), &StatsFilter::default());
    assert!(lines(&metrics, "istio_requests_total").ends_with(" 1\n"));
}

#[test]
fn a_series_in_use_again_is_kept() {
    let (metrics, mut cache) = setup();
    let parts = Parts::new();
    cache.request(&parts.record(200), &StatsFilter::default());
    assert_eq!(metrics.sweep(|_| false), 0);
    // Another pod of the same deployments: the same labels.
    let again = Parts {
        source: Arc::new(Workload { uid: "new-source".into(), ..(*parts.source).clone() }),
        destination: Arc::new(Workload { uid: "new-destination".into(), ..(*parts.destination).clone() }),
        ..Parts::new()
    };
    cache.request(&again.record(200), &StatsFilter::default());
    assert_eq!(metrics.sweep(|uid| uid.starts_with("new-")), 0);
    assert!(lines(&metrics, "istio_requests_total").ends_with(" 2\n"));
}

/// A stream counts once, its messages by number; what is no gRPC makes no such series.
#[test]
fn grpc_messages() {
    let parts = Parts::new();
    let metrics = Metrics::new("1.30").unwrap();
    let mut cache = MetricCache::new(metrics.clone());
    let filter = StatsFilter::default();
    cache.request(&parts.record(200), &filter);
    assert!(!metrics.exposition().unwrap().contains("messages_total"));

    let mut record = parts.record(200);
    record.request.as_mut().unwrap().grpc = true;
    record.grpc_messages = Some(crate::telemetry::record::GrpcMessages { request: 2, response: 5 });
    cache.request(&record, &filter);
    cache.request(&record, &filter);
    let text = metrics.exposition().unwrap();
    for (family, expect) in [("istio_request_messages_total", 4), ("istio_response_messages_total", 10)] {
        let line = text.lines().find(|line| line.starts_with(family)).unwrap();
        assert!(
            line.contains("request_protocol=\"grpc\"") && line.ends_with(&format!(" {expect}")),
            "{line}"
        );
    }
}
