use super::*;
use crate::model::ext_authz::{AuthzPath, AuthzService};
use crate::model::matcher::{MetadataMatcher, StringPattern, ValueMatcher};
use crate::model::route::{Fraction, HeaderMutations};

fn matcher(pattern: StringPattern) -> StringMatcher {
    StringMatcher { pattern, ignore_case: true }
}

fn list(names: &[&str]) -> Vec<StringMatcher> {
    names.iter().map(|name| matcher(StringPattern::Exact((*name).into()))).collect()
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let mut map = HeaderMap::new();
    map.extend(headers.map(|(name, value): (HeaderName, HeaderValue)| (name, value)));
    map
}

fn http_service() -> HttpAuthz {
    HttpAuthz {
        cluster: "authz".into(),
        path: AuthzPath::Prefix("/check".into()),
        headers_to_add: HeaderMutations::default(),
        upstream: list(&["x-user"]),
        upstream_append: list(&["x-groups"]),
        client: Some(list(&["x-reason"])),
        client_on_success: list(&["set-cookie"]),
        metadata: list(&["x-meta"]),
    }
}

fn filter() -> ExtAuthz {
    ExtAuthz {
        service: AuthzService::Http(Box::new(http_service())),
        timeout: None,
        failure_mode_allow: false,
        failure_mode_allow_header_add: false,
        status_on_error: StatusCode::FORBIDDEN,
        body: None,
        clear_route_cache: false,
        enabled: Fraction { numerator: 100, denominator: 100 },
        enabled_metadata: None,
        deny_at_disable: false,
        headers: SentHeaders::default(),
        metadata_namespaces: Vec::new(),
        ingest_metadata: true,
        include_tls_session: false,
        max_denied_body_bytes: 0,
    }
}

/// What the RBAC filter before it leaves when a CUSTOM policy of the provider matched.
fn shadow(policy: &str) -> DynamicMetadata {
    let mut metadata = DynamicMetadata::default();
    let told = BTreeMap::from([("policy_id".into(), MetadataValue::String(policy.into()))]);
    metadata.merge("rbac", told);
    metadata
}

#[test]
fn only_what_its_policies_matched_is_checked() {
    let pattern = StringPattern::Prefix("istio-ext-authz-one".into());
    let wanted = MetadataMatcher {
        filter: "rbac".into(),
        path: ["policy_id".into()].into(),
        value: ValueMatcher::String(StringMatcher { pattern, ignore_case: false }),
        invert: false,
    };
    let all = Fraction { numerator: 100, denominator: 100 };
    let none = Fraction { numerator: 0, denominator: 100 };
    let ours = shadow("istio-ext-authz-one-ns[a]-policy[b]-rule[0]");
    let cases = [
        (None, all, false, DynamicMetadata::default(), Enabled::Check),
        (None, none, false, DynamicMetadata::default(), Enabled::Skip),
        (None, none, true, DynamicMetadata::default(), Enabled::Deny),
        (Some(&wanted), all, false, DynamicMetadata::default(), Enabled::Skip),
        (Some(&wanted), all, true, DynamicMetadata::default(), Enabled::Deny),
        (Some(&wanted), all, false, shadow("istio-ext-authz-two-ns[a]"), Enabled::Skip),
        (Some(&wanted), all, false, ours, Enabled::Check),
    ];
    for (enabled_metadata, fraction, deny_at_disable, metadata, expect) in cases {
        let enabled_metadata = enabled_metadata.cloned();
        let config = ExtAuthz { enabled_metadata, enabled: fraction, deny_at_disable, ..filter() };
        assert_eq!(enabled(&config, &metadata, &mut Dice::new(1)), expect, "{config:?} {metadata:?}");
    }
}

#[test]
fn the_route_has_the_last_word_about_the_body() {
    let of = |max_bytes| BufferSettings { max_bytes, allow_partial: true, pack_as_bytes: false };
    let settings = |body| ExtAuthzPerRoute::Settings { context: Vec::new(), body };
    let cases = [
        (None, None, None),
        (Some(of(1)), None, Some(of(1))),
        (Some(of(1)), Some(settings(BodyOverride::AsFilter)), Some(of(1))),
        (Some(of(1)), Some(settings(BodyOverride::Never)), None),
        (None, Some(settings(BodyOverride::With(of(2)))), Some(of(2))),
    ];
    for (body, route, expect) in cases {
        let config = ExtAuthz { body, ..filter() };
        assert_eq!(wanted_body(&config, route.as_ref()), expect, "{body:?} {route:?}");
    }
}

#[test]
fn headers_the_service_sees() {
    let sent = map(&[("a", "1"), ("a", "2"), ("b", "3"), (PARTIAL_BODY, "false")]);
    let joined = vec![("a", "1,2"), ("b", "3")];
    let cases = [
        (SentHeaders::default(), joined.clone()),
        (SentHeaders { raw: true, ..SentHeaders::default() }, vec![("a", "1"), ("a", "2"), ("b", "3")]),
        (SentHeaders { allowed: Some(list(&["A"])), ..SentHeaders::default() }, vec![("a", "1,2")]),
        (SentHeaders { allowed: Some(Vec::new()), ..SentHeaders::default() }, vec![]),
        (SentHeaders { disallowed: list(&["a"]), ..SentHeaders::default() }, vec![("b", "3")]),
        (SentHeaders { allowed: Some(list(&["a"])), disallowed: list(&["a"]), raw: false }, vec![]),
    ];
    for (selection, expect) in cases {
        let got: Vec<(&str, String)> = selection
            .of(&sent)
            .map(|(name, value)| (name.as_str(), String::from_utf8(value.into_owned()).unwrap()))
            .collect();
        let got: Vec<(&str, &str)> = got.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(got, expect, "{selection:?}");
    }
}

/// The headers of a request after a 200 with these headers.
fn allowed(headers: &[(&str, &str)], request: &[(&str, &str)]) -> (Allowed, HeaderMap) {
    let verdict = http_verdict(&http_service(), StatusCode::OK, &map(headers), Bytes::new());
    let Verdict::Allowed(allowed) = verdict else { panic!("{verdict:?}") };
    let mut request = map(request);
    allowed.apply(&mut request);
    (*allowed, request)
}

#[test]
fn a_200_changes_the_request_as_far_as_it_may() {
    let cases: [[&[(&str, &str)]; 3]; 7] = [
        [&[("x-user", "ann"), ("x-other", "1")], &[("x-user", "forged")], &[("x-user", "ann")]],
        [&[("x-user", "")], &[("x-user", "forged")], &[("x-user", "")]],
        [&[("x-groups", "b")], &[("x-groups", "a")], &[("x-groups", "a"), ("x-groups", "b")]],
        [&[("x-groups", "b")], &[], &[("x-groups", "b")]],
        [
            &[(HEADERS_TO_REMOVE, "authorization, :path,X-Two")],
            &[("authorization", "t"), ("x-two", "2")],
            &[],
        ],
        [
            &[(HEADERS_TO_REMOVE, "content-length, host")],
            &[("content-length", "1")],
            &[("content-length", "1")],
        ],
        [&[], &[("x-user", "kept")], &[("x-user", "kept")]],
    ];
    for [answer, request, expect] in cases {
        let (allowed, after) = allowed(answer, request);
        assert_eq!(after, map(expect), "{answer:?}");
        assert_eq!(allowed.changes_request(), !answer.is_empty(), "{answer:?}");
    }
}

#[test]
fn framing_is_not_the_services_to_change() {
    let service = HttpAuthz { upstream: vec![matcher(StringPattern::Prefix("".into()))], ..http_service() };
    let headers = map(&[("content-length", "0"), ("transfer-encoding", "chunked"), ("x-user", "ann")]);
    let verdict = http_verdict(&service, StatusCode::OK, &headers, Bytes::new());
    let Verdict::Allowed(allowed) = verdict else { panic!("{verdict:?}") };
    let mut request = map(&[("content-length", "7")]);
    allowed.apply(&mut request);
    assert_eq!(request, map(&[("content-length", "7"), ("x-user", "ann")]));
}

#[test]
fn a_200_that_cannot_be_carried_out_is_no_permission() {
    let headers = map(&[(HEADERS_TO_REMOVE, "not a name")]);
    assert_eq!(http_verdict(&http_service(), StatusCode::OK, &headers, Bytes::new()), Verdict::Invalid);
}

#[test]
fn what_a_200_tells_client_and_filters() {
    let (allowed, _) =
        allowed(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-meta", "m"), ("x", "y")], &[]);
    let mut response = map(&[("set-cookie", "upstream=1")]);
    apply(&allowed.response, &mut response);
    assert_eq!(response.get_all("set-cookie").iter().count(), 3);
    assert!(!allowed.changes_request());
    let told = BTreeMap::from([("x-meta".into(), MetadataValue::String("m".into()))]);
    assert_eq!(allowed.metadata, Some(MetadataValue::Struct(told)));
}

#[test]
fn other_statuses_deny_and_server_errors_are_errors() {
    let headers = map(&[("x-reason", "no"), ("x-secret", "1"), ("www-authenticate", "Basic"), ("host", "h")]);
    let all = HttpAuthz { client: None, ..http_service() };
    let cases = [
        (http_service(), 403, Some(vec!["x-reason", "www-authenticate"])),
        (http_service(), 302, Some(vec!["x-reason", "www-authenticate"])),
        (http_service(), 204, Some(vec!["x-reason", "www-authenticate"])),
        (all, 401, Some(vec!["x-reason", "x-secret", "www-authenticate"])),
        (http_service(), 500, None),
        (http_service(), 503, None),
    ];
    for (service, status, expect) in cases {
        let code = StatusCode::from_u16(status).unwrap();
        let verdict = http_verdict(&service, code, &headers, Bytes::from_static(b"go away"));
        let got = match &verdict {
            Verdict::Denied(answer) => {
                assert_eq!((answer.status, &*answer.body), (Some(code), &b"go away"[..]));
                Some(answer.headers.iter().map(|change| change.name.as_str()).collect())
            }
            Verdict::Error(None) => None,
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(got, expect, "{status}");
    }
}

#[test]
fn a_local_answer_may_repeat_its_headers() {
    let change = |name: &'static str, value| HeaderChange {
        name: HeaderName::from_static(name),
        value: HeaderValue::from_static(value),
        action: HeaderAppendAction::OverwriteIfExistsOrAdd,
    };
    let mut headers = map(&[("set-cookie", "ours"), ("x", "kept")]);
    replace(
        &[change("set-cookie", "a"), change("set-cookie", "b"), change("content-length", "9")],
        &mut headers,
    );
    assert_eq!(headers, map(&[("x", "kept"), ("set-cookie", "a"), ("set-cookie", "b")]));
}
