use super::*;
use crate::matching::view::sample::Sample;
use crate::model::access_log::{Format, LogHeader, Operator, Segment};
use crate::model::route::{Forward, HeaderAdd, PathMatch, PathRewrite, RouteAction};
use crate::routing::pick::Picked;
use crate::routing::plan::sample::{forward, route};
use crate::routing::plan::{Plan, plan};
use std::sync::Arc;
use std::time::Duration;

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn add(action: HeaderAppendAction, value: HeaderText) -> HeaderMutations {
    HeaderMutations {
        remove: vec![],
        add: vec![HeaderAdd { name: HeaderName::from_static("x-a"), value, action }],
    }
}

#[test]
fn append_actions() {
    use HeaderAppendAction::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd};
    let cases: &[(HeaderAppendAction, &[&str], &[&str])] = &[
        (AppendIfExistsOrAdd, &["old"], &["old", "new"]),
        (AppendIfExistsOrAdd, &[], &["new"]),
        (AddIfAbsent, &["old"], &["old"]),
        (AddIfAbsent, &[], &["new"]),
        (OverwriteIfExistsOrAdd, &["old", "older"], &["new"]),
        (OverwriteIfExistsOrAdd, &[], &["new"]),
        (OverwriteIfExists, &["old"], &["new"]),
        (OverwriteIfExists, &[], &[]),
    ];
    for (action, before, after) in cases {
        let mut headers = HeaderMap::new();
        for value in *before {
            headers.append("x-a", HeaderValue::from_static(value));
        }
        let mutations = add(*action, HeaderText::Literal(HeaderValue::from_static("new")));
        apply(&mutations, &mut headers, &mut |_, _| None);
        assert_eq!(values(&headers, "x-a"), *after, "{action:?} on {before:?}");
    }
}

#[test]
fn removal_comes_first() {
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("old"));
    let new = HeaderText::Literal(HeaderValue::from_static("new"));
    let mutations = HeaderMutations {
        remove: vec![HeaderName::from_static("x-a")],
        ..add(HeaderAppendAction::AppendIfExistsOrAdd, new)
    };
    apply(&mutations, &mut headers, &mut |_, _| None);
    assert_eq!(values(&headers, "x-a"), ["new"]);
}

#[test]
fn formats_are_rendered_by_the_caller() {
    let operator = Segment::Operator { operator: Operator::Protocol, truncate: None };
    let format = || HeaderText::Format(Arc::new(Format { segments: vec![operator.clone()] }));
    let mut headers = HeaderMap::new();
    let mutations = add(HeaderAppendAction::OverwriteIfExistsOrAdd, format());
    apply(&mutations, &mut headers, &mut |format, _| {
        assert_eq!(format.segments.len(), 1);
        Some(HeaderValue::from_static("HTTP/1.1"))
    });
    assert_eq!(values(&headers, "x-a"), ["HTTP/1.1"]);
    // Nothing to print: the header there was stays.
    apply(&mutations, &mut headers, &mut |_, _| None);
    assert_eq!(values(&headers, "x-a"), ["HTTP/1.1"]);
}

#[test]
fn values_are_made_of_what_was_there_before_any_was_put_in() {
    let operator = |name: &str| Segment::Operator {
        operator: Operator::Request {
            name: LogHeader::Name(HeaderName::try_from(name).unwrap()),
            alternative: None,
        },
        truncate: None,
    };
    let set = |name: &str, from: &str| HeaderAdd {
        name: HeaderName::try_from(name).unwrap(),
        value: HeaderText::Format(Arc::new(Format { segments: vec![operator(from)] })),
        action: HeaderAppendAction::OverwriteIfExistsOrAdd,
    };
    let mutations = HeaderMutations {
        remove: vec![HeaderName::from_static("x-gone")],
        add: vec![set("x-a", "x-b"), set("x-b", "x-a"), set("x-c", "x-gone")],
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-a", "1"), ("x-b", "2"), ("x-c", "3"), ("x-gone", "4")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    apply(&mutations, &mut headers, &mut |format, now| {
        let Segment::Operator { operator: Operator::Request { name: LogHeader::Name(name), .. }, .. } =
            &format.segments[0]
        else {
            panic!()
        };
        now.get(name).cloned()
    });
    let have = ["x-a", "x-b", "x-c"].map(|name| values(&headers, name).concat());
    assert_eq!(have, ["2", "1", "3"], "what prints to nothing changes nothing");
}

#[test]
fn clients_do_not_speak_for_proxies() {
    let mut headers = HeaderMap::new();
    for name in ["x-envoy-original-path", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "x-user"] {
        headers.insert(name, HeaderValue::from_static("1"));
    }
    sanitize_client(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-user"]);
}

fn finalized(forward: Forward, suppress: bool) -> HeaderMap {
    let route = route(PathMatch::Any, RouteAction::Forward(Box::new(forward)));
    let sample =
        Sample::get("/old?b=1").header("content-type", "application/grpc").header("grpc-timeout", "1S");
    let mut dice = crate::dice::Dice::new(0);
    let picked = Picked::of(&route, &sample.view(), &mut dice);
    let Plan::Forward(plan) = plan(&picked, &sample.view(), &mut dice) else { panic!() };
    let mut headers = sample.headers.clone();
    headers.remove("content-type");
    let original = Original { path: sample.path.as_str(), authority: sample.authority };
    finalize_upstream(&plan, original, suppress, &mut headers);
    headers
}

#[test]
fn the_routers_own_headers() {
    let host = crate::model::route::HostRewrite::Literal(HeaderValue::from_static("new.example"));
    let full = || Forward {
        rewrite: Some(PathRewrite::Full("/new".into())),
        host_rewrite: Some(host.clone()),
        append_x_forwarded_host: true,
        max_grpc_timeout: Some(Duration::from_millis(500)),
        ..forward()
    };
    let headers = finalized(full(), false);
    for (name, value) in [
        ("x-envoy-original-path", "/old?b=1"),
        ("x-envoy-original-host", "shop:80"),
        ("x-envoy-expected-rq-timeout-ms", "500"),
        ("x-forwarded-host", "shop:80"),
        ("grpc-timeout", "500m"),
    ] {
        assert_eq!(values(&headers, name), [value], "{name}");
    }
    let suppressed = finalized(full(), true);
    assert!(suppressed.keys().all(|name| !name.as_str().starts_with("x-envoy-")), "{suppressed:?}");
    let plain = finalized(forward(), false);
    assert_eq!(plain.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-timeout"]);
    assert_eq!(values(&plain, "grpc-timeout"), ["1S"]);
}
