use crate::proxy::headers::{baggage, forwarded, forwarded_host, traceparent};
use crate::state::Workload;
use crate::state::fixtures::pod;
use http::{HeaderMap, HeaderValue};
use xds_client::proto::workload::{Locality, WorkloadType};

#[test]
fn baggage_names_the_workload_and_leaves_out_what_is_empty() {
    let mut proto = pod("default", "client", "10.0.0.1");
    assert_eq!(
        baggage(&Workload::try_from(&proto).unwrap()),
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=client,service.name=client,service.version=v1"
    );
    proto.workload_type = WorkloadType::Cronjob as i32;
    proto.canonical_revision = String::new();
    proto.locality = Some(Locality { region: "eu".into(), zone: "eu-1".into(), ..Default::default() });
    assert_eq!(
        baggage(&Workload::try_from(&proto).unwrap()),
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.cronjob.name=client,service.name=client,cloud.region=eu,cloud.availability_zone=eu-1"
    );
}

#[test]
fn forwarded_names_client_and_service() {
    let client = "10.99.0.2:55270".parse().unwrap();
    assert_eq!(forwarded(client, Some("echo.default.svc")), "for=\"10.99.0.2:55270\";host=echo.default.svc");
    assert_eq!(forwarded("[::1]:1".parse().unwrap(), None), "for=\"[::1]:1\"");
}

#[test]
fn the_service_is_read_back() {
    let check = |values: &[&str], expect: Option<&str>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("forwarded", HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(forwarded_host(&headers), expect, "{values:?}");
    };
    check(&[], None);
    check(&["for=\"1.2.3.4:5\""], None);
    check(&["for=\"1.2.3.4:5\";host=a.b"], Some("a.b"));
    check(&["for=x; host=\"a.b\""], Some("a.b"));
    check(&["for=x;host=first, for=y;host=last"], Some("last"));
    check(&["for=x;host=first", "for=y;host=last"], Some("last"));
    check(&["for=x;host="], None);
}

#[test]
fn a_trace_is_never_all_zeros() {
    assert_eq!(traceparent(0xab, 0xcd), "00-000000000000000000000000000000ab-00000000000000cd-00");
    assert_eq!(traceparent(0, 0), "00-00000000000000000000000000000001-0000000000000001-00");
}
