//! What becomes of a request, decided in process: istiod's recorded configuration and a request in, a route or a refusal out.
//! `conformance/replay` asks the same of the binary, over sockets; here a wrong decision shows without them.
use crate::decide::decisions;
use expect_test::{Expect, expect};

/// `scenario@n` is what holds after its n-th step, without `@n` after the last. A line is `METHOD target | header: value | from ns/account`.
fn check(scenario: &str, chain: &str, requests: &[&str], expect: &Expect) {
    expect.assert_eq(&decisions(scenario, chain, requests));
}

const API: &str = "inbound-vip|8080|http|api.shop.svc.cluster.local";
const ORDERS: &str = "inbound-vip|8080|http|orders.shop.svc.cluster.local";
const REVIEWS: &str = "inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local";

#[test]
fn weights_and_header_matches() {
    check(
        "02-httproute-weights",
        REVIEWS,
        &[
            "GET /reviews/1",
            "GET / | end-user: jason",
            "GET / | end-user: Jason",
            "GET / | end-user: bob | end-user: jason",
        ],
        &expect![[r#"
            GET /reviews/1 => bookinfo.reviews.1: 50 inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local, 50 inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
            GET / | end-user: jason => jason: inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
            GET / | end-user: Jason => bookinfo.reviews.1: 50 inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local, 50 inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
            GET / | end-user: bob | end-user: jason => jason: inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
        "#]],
    );
}

#[test]
fn fault_before_route() {
    check(
        "04-virtualservice-fault",
        "inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local",
        &["GET /ratings/0", "GET / | end-user: jason", "POST /svc.S/M | content-type: application/grpc"],
        &expect![[r#"
            GET /ratings/0 => rest: inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local
            GET / | end-user: jason => after 7s jason-delay: inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local
            POST /svc.S/M | content-type: application/grpc => 200 fault_filter_abort
        "#]],
    );
}

#[test]
fn virtual_service() {
    check(
        "05-virtualservice-retry-mirror-cors",
        REVIEWS,
        &[
            "GET /api/x",
            "GET /apiX",
            "POST /two?a=1",
            "GET /api/x | origin: https://a.example.org",
            "GET /api/x | origin: https://evil.test",
            "OPTIONS /api/x | origin: https://example.com | access-control-request-method: GET",
            "OPTIONS /api/x | origin: https://example.com",
        ],
        &expect![[r#"
            GET /api/x => api: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
            GET /apiX => api: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
            POST /two?a=1 => multi-mirror: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local copy to inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
            GET /api/x | origin: https://a.example.org => (CORS for "https://a.example.org") api: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
            GET /api/x | origin: https://evil.test => api: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
            OPTIONS /api/x | origin: https://example.com | access-control-request-method: GET => preflight of Some("https://example.com")
            OPTIONS /api/x | origin: https://example.com => (CORS for "https://example.com") api: inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
        "#]],
    );
}

#[test]
fn allow() {
    check(
        "07-authz-allow",
        ORDERS,
        &[
            "GET /orders/7 | from client/web",
            "PUT /orders/7 | from client/web",
            "GET /a/suffix | from client/batch | x-tenant: red",
            "GET /a/suffix | from client/batch | x-tenant: reddish",
            "GET /orders/1/items/2/3 | from client/batch | x-tenant: blue-1",
            "GET /orders/1/items | from client/batch | x-tenant: red",
            "GET /orders/1/2/items/3 | from client/batch | x-tenant: red",
            "POST /any | from shop/orders | host: a.example.com",
            "POST /any | from shop/orders | host: aexample.com",
        ],
        &expect![[r#"
            GET /orders/7 | from client/web => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            PUT /orders/7 | from client/web => 403 rbac_access_denied_matched_policy[none]
            GET /a/suffix | from client/batch | x-tenant: red => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            GET /a/suffix | from client/batch | x-tenant: reddish => 403 rbac_access_denied_matched_policy[none]
            GET /orders/1/items/2/3 | from client/batch | x-tenant: blue-1 => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            GET /orders/1/items | from client/batch | x-tenant: red => 403 rbac_access_denied_matched_policy[none]
            GET /orders/1/2/items/3 | from client/batch | x-tenant: red => 403 rbac_access_denied_matched_policy[none]
            POST /any | from shop/orders | host: a.example.com => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            POST /any | from shop/orders | host: aexample.com => 403 rbac_access_denied_matched_policy[none]
        "#]],
    );
}

#[test]
fn deny() {
    check(
        "08-authz-deny-audit-empty@1",
        ORDERS,
        &[
            "GET /",
            "DELETE / | from client/web",
            "GET /admin",
            "GET /x/../admin",
            "GET /%61dmin",
            "GET //admin",
            "GET /Admin",
            "TRACE /",
        ],
        &expect![[r#"
            GET / => 403 rbac_access_denied_matched_policy[none]
            DELETE / | from client/web => 403 rbac_access_denied_matched_policy[ns[shop]-policy[deny-delete]-rule[0]]
            GET /admin => 403 rbac_access_denied_matched_policy[ns[shop]-policy[gateway-deny-admin]-rule[0]]
            GET /x/../admin => 403 rbac_access_denied_matched_policy[ns[shop]-policy[gateway-deny-admin]-rule[0]]
            GET /%61dmin => 403 rbac_access_denied_matched_policy[ns[shop]-policy[gateway-deny-admin]-rule[0]]
            GET //admin => 403 rbac_access_denied_matched_policy[none]
            GET /Admin => 403 rbac_access_denied_matched_policy[none]
            TRACE / => 403 rbac_access_denied_matched_policy[ns[istio-system]-policy[class-deny-trace]-rule[0]]
        "#]],
    );
}

#[test]
fn tokens() {
    check(
        "10-jwt-authn-authz",
        ORDERS,
        &[
            "GET /",
            "GET / | authorization: Basic YTpi",
            "GET / | authorization: Bearer x",
            "GET / | authorization: Bearer e30.e30.AA",
        ],
        &expect![[r#"
            GET / => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            GET / | authorization: Basic YTpi => default: inbound-vip|8080|http|orders.shop.svc.cluster.local
            GET / | authorization: Bearer x => 401 jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}
            GET / | authorization: Bearer e30.e30.AA => 401 jwt_authn_access_denied{Jwt_header_[alg]_field_is_required_and_must_be_a_string}
        "#]],
    );
}

#[test]
fn every_filter_of_an_http_route() {
    check(
        "17-httproute-filters",
        API,
        &[
            "GET /",
            "GET /exact",
            "GET /exact/",
            "GET /Exact",
            "GET /x/../exact",
            "GET /%65xact",
            "GET /exact;v=1",
            "GET /older",
            "GET /old",
            "GET /old/",
            "GET /old/a?b=c",
            "GET /moved/x?q=1 | host: api",
            "GET /away?x=1",
            "POST /perm | host: api:8080",
            "POST /match/x?color=red&size=10 | x-re: v1",
            "GET /match/x?color=red&size=10 | x-re: v1",
            "POST /match/x?color=red&size=10x | x-re: v1",
            "POST /match/x?color=red&size=10 | x-re: v12",
            "GET /match/abc/end",
            "GET /match/ABC/end",
            "GET /match/abc/end/x",
            "GET /none",
            "GET /bad",
            "OPTIONS /cors | origin: https://a.wild.example.com | access-control-request-method: PUT",
            "OPTIONS /cors | origin: https://evil.test | access-control-request-method: PUT",
            "GET /cors | origin: https://app.example.com",
        ],
        &expect![[r#"
            GET / => 404 route_not_found
            GET /exact => rewrite-full: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /full/path
            GET /exact/ => 404 route_not_found
            GET /Exact => 404 route_not_found
            GET /x/../exact => rewrite-full: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /full/path
            GET /%65xact => rewrite-full: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /full/path
            GET /exact;v=1 => 404 route_not_found
            GET /older => 404 route_not_found
            GET /old => rewrite-prefix: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /new host Set("rewritten.example.com")
            GET /old/ => rewrite-prefix: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /new/ host Set("rewritten.example.com")
            GET /old/a?b=c => rewrite-prefix: inbound-vip|8080|http|api-v1.shop.svc.cluster.local as /new/a?b=c host Set("rewritten.example.com")
            GET /moved/x?q=1 | host: api => redirect-prefix: 302 "http://api:8080/here/x?q=1"
            GET /away?x=1 => redirect-all: 301 "https://other.example.com:8443/landing?x=1"
            POST /perm | host: api:8080 => redirect-308: 308 "https://api:8080/perm"
            POST /match/x?color=red&size=10 | x-re: v1 => query-method: inbound-vip|8080|http|api-v2.shop.svc.cluster.local
            GET /match/x?color=red&size=10 | x-re: v1 => 404 route_not_found
            POST /match/x?color=red&size=10x | x-re: v1 => 404 route_not_found
            POST /match/x?color=red&size=10 | x-re: v12 => 404 route_not_found
            GET /match/abc/end => query-method: inbound-vip|8080|http|api-v2.shop.svc.cluster.local
            GET /match/ABC/end => 404 route_not_found
            GET /match/abc/end/x => 404 route_not_found
            GET /none => no-backend: 500 ""
            GET /bad => bad-backend: inbound-vip|8080|http|does-not-exist.shop.svc.cluster.local
            OPTIONS /cors | origin: https://a.wild.example.com | access-control-request-method: PUT => preflight of Some("https://a.wild.example.com")
            OPTIONS /cors | origin: https://evil.test | access-control-request-method: PUT => preflight of None
            GET /cors | origin: https://app.example.com => (CORS for "https://app.example.com") cors: inbound-vip|8080|http|api-v1.shop.svc.cluster.local
        "#]],
    );
}
