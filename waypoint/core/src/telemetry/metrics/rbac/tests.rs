use super::*;
use crate::model::rbac::Rbac;

fn filter(shadow_stat_prefix: &str) -> Rbac {
    Rbac { shadow_stat_prefix: shadow_stat_prefix.into(), ..Rbac::default() }
}

fn text(series: &RbacSeries) -> Vec<String> {
    let text = prometheus::TextEncoder::new().encode_to_string(&series.gather()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// What Envoy 1.40 shows with the tags of Istio 1.31's bootstrap.
#[test]
fn names_are_envoys() {
    let manager = r#"http_conn_manager_prefix="inbound_0.0.0.0_8080""#;
    let cases = [
        ("http.inbound_0.0.0.0_8080;.rbac.allowed", format!(r#"envoy_http_rbac{{authz_enforce_result="allowed",{manager}}}"#)),
        ("http.inbound_0.0.0.0_8080;.rbac.shadow_denied", format!(r#"envoy_http_rbac{{authz_dry_run_result="denied",{manager}}}"#)),
        (
            "http.inbound_0.0.0.0_8080;.rbac.istio_dry_run_deny_.shadow_allowed",
            format!(r#"envoy_http_rbac{{authz_dry_run_action="deny",authz_dry_run_result="allowed",{manager}}}"#),
        ),
        (
            "http.inbound_0.0.0.0_8080;.rbac.other.shadow_allowed",
            format!(r#"envoy_http_rbac_other{{authz_dry_run_result="allowed",{manager}}}"#),
        ),
        ("http.odd-name;.rbac.denied", r#"envoy_http_odd_name__rbac{authz_enforce_result="denied"}"#.into()),
        (
            "http.connect_terminate.rbac.allowed",
            r#"envoy_http_connect_terminate_rbac{authz_enforce_result="allowed"}"#.into(),
        ),
        ("tcp.rbac.denied", r#"envoy_tcp{authz_enforce_result="denied",tcp_prefix="rbac"}"#.into()),
        (
            "tcp.rbac.istio_dry_run_allow_.shadow_denied",
            r#"envoy_tcp{authz_dry_run_action="allow",authz_dry_run_result="denied",tcp_prefix="rbac.istio_dry_run_allow_"}"#.into(),
        ),
        ("mytcp.rbac.allowed", r#"envoy_mytcp_rbac{authz_enforce_result="allowed"}"#.into()),
    ];
    for (name, expect) in cases {
        let series = RbacSeries::default();
        let _held = series.counter(name).unwrap();
        assert_eq!(text(&series), [format!("{expect} 0")], "{name}");
    }
}

/// Envoy makes all four of a filter, whichever rules it has, and one counter of each name.
#[test]
fn filters_of_one_name_count_together() {
    let series = RbacSeries::default();
    let (one, other) = (filter("istio_dry_run_allow_"), filter(""));
    for filter in [&one, &other] {
        assert!(series.place(&PlacedRbac { filter, connection_manager: Some("inbound_;") }));
        filter.counters.get().unwrap().denied.fetch_add(1, Ordering::Relaxed);
        filter.counters.get().unwrap().shadow_denied.fetch_add(1, Ordering::Relaxed);
    }
    let expect = [
        r#"envoy_http_rbac{authz_dry_run_action="allow",authz_dry_run_result="allowed",http_conn_manager_prefix="inbound_"} 0"#,
        r#"envoy_http_rbac{authz_dry_run_action="allow",authz_dry_run_result="denied",http_conn_manager_prefix="inbound_"} 1"#,
        r#"envoy_http_rbac{authz_dry_run_result="allowed",http_conn_manager_prefix="inbound_"} 0"#,
        r#"envoy_http_rbac{authz_dry_run_result="denied",http_conn_manager_prefix="inbound_"} 1"#,
        r#"envoy_http_rbac{authz_enforce_result="allowed",http_conn_manager_prefix="inbound_"} 0"#,
        r#"envoy_http_rbac{authz_enforce_result="denied",http_conn_manager_prefix="inbound_"} 2"#,
    ];
    assert_eq!(text(&series), expect);
}

#[test]
fn what_istio_does_not_include_is_not_shown() {
    let series = RbacSeries::default();
    let filter = Rbac { stat_prefix: "tcp.".into(), rules_stat_prefix: "mine".into(), ..filter("mine") };
    assert!(series.place(&PlacedRbac { filter: &filter, connection_manager: None }));
    let shown = text(&series);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.iter().all(|line| line.contains("authz_dry_run_result=")), "{shown:?}");
}

/// A policy pushed anew goes on where it was; one that is gone takes its series along.
#[test]
fn series_live_as_long_as_a_filter_counts_into_them() {
    let series = RbacSeries::default();
    let old = filter("");
    let place = |filter: &Rbac| series.place(&PlacedRbac { filter, connection_manager: Some("x") });
    place(&old);
    old.counters.get().unwrap().allowed.fetch_add(3, Ordering::Relaxed);
    let new = filter("");
    place(&new);
    drop(old);
    series.sweep();
    assert!(text(&series).contains(&r#"envoy_http_x_rbac{authz_enforce_result="allowed"} 3"#.to_owned()));
    drop(new);
    assert_eq!(text(&series).len(), 4);
    series.sweep();
    assert_eq!(text(&series), [""; 0]);
}

#[test]
fn series_are_bounded() {
    let series = RbacSeries::default();
    let place = |manager: &str| {
        let filter = filter("");
        (series.place(&PlacedRbac { filter: &filter, connection_manager: Some(manager) }), filter)
    };
    let held: Vec<_> = (0..RBAC_SERIES_MAX / 4).map(|index| place(&format!("m{index}"))).collect();
    assert!(held.iter().all(|(counted, _)| *counted));
    assert!(!place("more").0);
    assert!(place("m0").0, "known names are counted all the same");
    assert_eq!(text(&series).len(), RBAC_SERIES_MAX);
}
