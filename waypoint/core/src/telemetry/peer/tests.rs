use super::*;

fn workload() -> Workload {
    Workload {
        name: "web-1".into(),
        namespace: "wds".into(),
        workload_name: "web".into(),
        canonical_name: "web".into(),
        canonical_revision: "v1".into(),
        cluster_id: "K".into(),
        principal: "spiffe://td/ns/wds/sa/web".into(),
        workload_type: "deployment",
        ..Workload::default()
    }
}

#[test]
fn nothing_known() {
    let labels = source(None, None);
    assert_eq!((labels.workload, labels.namespace, labels.principal), (UNKNOWN, UNKNOWN, UNKNOWN));
    assert_eq!(labels.canonical_revision, "latest");
    assert_eq!(destination(None).canonical_revision, UNKNOWN);
}

#[test]
fn the_certificate_names_the_source_s_namespace() {
    let workload = workload();
    let cases = [
        (Some("spiffe://td/ns/san/sa/web"), "san"),
        (Some("spiffe://td/other/san"), "wds"),
        (Some("https://td/ns/san/sa/web"), "wds"),
        (None, "wds"),
    ];
    for (principal, expect) in cases {
        assert_eq!(source(Some(&workload), principal).namespace, expect, "{principal:?}");
    }
    assert_eq!(destination(Some(&workload)).principal, "spiffe://td/ns/wds/sa/web");
}

#[test]
fn fields() {
    let workload = workload();
    let cases =
        [("app", Some("web")), ("version", Some("v1")), ("type", Some("deployment")), ("nothing", None)];
    for (name, expect) in cases {
        assert_eq!(field(&workload, name), expect, "{name}");
    }
}
