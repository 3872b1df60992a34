//! Recorded istiod streams through `translate` and `store`: what an unmodified istiod sends must be understood.
//!
//! `conformance/goldens`: varint length + `DeltaDiscoveryResponse`, repeated, in the order received; a response of type
//! `render.StepMarker` begins a step of the scenario.
#![allow(clippy::unwrap_used)] // the functions the tests share panic as the tests would

#[path = "streams/decide.rs"]
mod decide;
#[path = "streams/decisions.rs"]
mod decisions;
#[path = "streams/describe.rs"]
mod describe;
#[path = "streams/recorded.rs"]
mod recorded;
#[path = "streams/recordings.rs"]
mod recordings;

use expect_test::{Expect, expect};
use recorded::Stream;
use recordings::recordings;
use std::sync::Arc;
use waypoint_core::model::listener::ChainBody;

/// Where everything istiod sends is honoured.
const PLAIN: &[&str] = &[
    "01-bookinfo-no-routes",
    "02-httproute-weights",
    "03-httproute-timeout-retry",
    "05-virtualservice-retry-mirror-cors",
    "07-authz-allow",
    "09-authz-custom-extauthz",
    "12-tcp",
    "17-httproute-filters",
    "22-local-ratelimit-envoyfilter",
    "24-churn",
    "27-istiod-options",
];

#[test]
fn every_stream_is_understood() {
    let recordings = recordings();
    assert!(recordings.len() > 30, "{recordings:?}");
    for path in recordings {
        let name = path.display();
        let mut stream = Stream::read(&path);
        while let Some((response, applied)) = stream.next_response() {
            assert!(
                applied.rejections.is_empty(),
                "{name}: {}: {:#?}",
                response.type_url,
                applied.rejections
            );
            let unknown = applied.warnings.iter().find(|(_, warning)| warning.text.contains("does not know"));
            assert_eq!(unknown, None, "{name}");
        }
        assert!(stream.store.ready(), "{name}");
    }
}

#[test]
fn nothing_is_refused_without_cause() {
    for name in PLAIN {
        let snapshot = Stream::open(name).played_out();
        let listener = snapshot.main_internal.as_ref().unwrap();
        for chain in listener.chains.values() {
            assert_eq!(chain.body.refusal(), None, "{name}: {chain:?}");
            if let ChainBody::Http(http) = &chain.body {
                let refused = http
                    .routes
                    .virtual_hosts
                    .iter()
                    .flat_map(|host| host.routes.iter())
                    .find(|route| route.refusal.is_some());
                assert!(refused.is_none(), "{name}: {refused:?}");
            }
        }
        assert_eq!(snapshot.connect_terminate.as_ref().unwrap().refusal, None, "{name}");
        let refused = snapshot.clusters.values().find(|entry| entry.cluster.refusal.is_some());
        assert!(refused.is_none(), "{name}: {refused:?}");
        let warming: Vec<_> = snapshot
            .clusters
            .values()
            .filter(|entry| entry.is_warming())
            .map(|entry| &entry.cluster.name)
            .collect();
        assert!(warming.is_empty(), "{name}: {warming:?}");
    }
}

#[test]
fn subscriptions_follow_clusters() {
    let mut stream = Stream::open("01-bookinfo-no-routes");
    stream.skip_to("Cluster");
    let wanted = stream.store.wanted_eds();
    assert!(wanted.contains("inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local"), "{wanted:?}");
    let warming = stream.store.snapshot().clusters.values().filter(|entry| entry.is_warming()).count();
    assert_eq!(warming, wanted.len(), "all of EDS is warming until its endpoints come");
}

fn check(scenario: &str, expect: &Expect) {
    expect.assert_eq(&describe::snapshot(&Stream::open(scenario).played_out()));
}

#[test]
fn no_routes() {
    check(
        "01-bookinfo-no-routes",
        &expect![[r#"
        connect_terminate sans=["spiffe://cluster.local/"] rbac=0
        inspect http=all but [(9080, 9081)] tls=off
          10.96.0.11
            :9080
              -> inbound-vip|9080|http|details.bookinfo.svc.cluster.local
          10.96.0.12
            :9080
              -> inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local
          10.96.0.13
            :9080
              -> inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          10.96.0.14
            :9080
              -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          10.96.0.15
            :9080
              -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          10.96.0.16
            :9080
              -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
          10.96.0.17
            :9080
              -> inbound-vip|9080|http|productpage.bookinfo.svc.cluster.local
        chain direct-http
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> encap retries=2x0x8990
        chain direct-tcp
          tcp -> encap stats=true
        chain inbound-vip|9080|http|details.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|details.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|productpage.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|productpage.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local retries=2x0x8990
        cluster encap direct_pod Downstream []
        cluster inbound-vip|9080|http|details.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.11:9080]
        cluster inbound-vip|9080|http|productpage.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.2.13:9080]
        cluster inbound-vip|9080|http|ratings.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.2.11:9080]
        cluster inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.12:9080]
        cluster inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.2.12:9080]
        cluster inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.13:9080]
        cluster inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.12:9080 hbone:10.244.1.13:9080 hbone:10.244.2.12:9080]
        workloads 7
    "#]],
    );
}

#[test]
fn weights() {
    check(
        "02-httproute-weights",
        &expect![[r#"
        connect_terminate sans=["spiffe://cluster.local/"] rbac=0
        inspect http=all but [(9080, 9081)] tls=off
          10.96.0.11
            :9080
              -> inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          10.96.0.12
            :9080
              -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          10.96.0.13
            :9080
              -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          10.96.0.14
            :9080
              -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
        chain direct-http
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> encap retries=2x0x8990
        chain direct-tcp
          tcp -> encap stats=true
        chain inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          jason /* ["Name(\"end-user\")"] -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local retries=2x0x8990
          bookinfo.reviews.1 /* [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local:50 inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local:50 of 100 retries=2x0x8990
        cluster encap direct_pod Downstream []
        cluster inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.11:9080]
        cluster inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.2.11:9080]
        cluster inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.12:9080]
        cluster inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.11:9080 hbone:10.244.1.12:9080 hbone:10.244.2.11:9080]
        workloads 4
    "#]],
    );
}

#[test]
fn timeouts_and_retries() {
    check(
        "03-httproute-timeout-retry",
        &expect![[r#"
        connect_terminate sans=["spiffe://cluster.local/"] rbac=0
        inspect http=all but [(9080, 9081)] tls=off
          10.96.0.11
            :9080
              -> inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          10.96.0.12
            :9080
              -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          10.96.0.13
            :9080
              -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          10.96.0.14
            :9080
              -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
        chain direct-http
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> encap retries=2x0x8990
        chain direct-tcp
          tcp -> encap stats=true
        chain inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local retries=2x0x8990
        chain inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          request-only /request[/*] [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local timeout=500ms retries=2x0x8990
          backend-only /backend[/*] [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local timeout=1s retries=2x0x8990
          disabled /forever[/*] [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local
          codes-only /codes[/*] [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local retries=2x0x8990 on=[429]
          both /slow[/*] [] -> inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local timeout=10s retries=3x0x8990 try=2s on=[500, 502, 503]
          bookinfo.reviews.5 /* [] -> inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local retries=2x0x8990
        cluster encap direct_pod Downstream []
        cluster inbound-vip|9080|http|reviews-v1.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.11:9080]
        cluster inbound-vip|9080|http|reviews-v2.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.2.11:9080]
        cluster inbound-vip|9080|http|reviews-v3.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.12:9080]
        cluster inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local eds Http1 [hbone:10.244.1.11:9080 hbone:10.244.1.12:9080 hbone:10.244.2.11:9080]
        workloads 4
    "#]],
    );
}

#[test]
fn authorization() {
    check(
        "07-authz-allow",
        &expect![[r#"
        connect_terminate sans=["spiffe://cluster.local/"] rbac=0
        inspect http=all but [(8080, 8081)] tls=off
          10.96.0.11
            :8080
              -> inbound-vip|8080|http|orders.shop.svc.cluster.local
          10.96.0.12
            :8080
              -> inbound-vip|8080|http|stock.shop.svc.cluster.local
        chain direct-http
          http grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          default /* [] -> encap retries=2x0x8990
        chain direct-tcp
          tcp -> encap stats=true
        chain inbound-vip|8080|http|orders.shop.svc.cluster.local
          http rbac,grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          Allow ns[shop]-policy[orders-allow]-rule[0]: [((Method=GET | Method=HEAD) & (path=/orders | path=/orders/*))] [((peer=spiffe://cluster.local/ns/client/sa/web))]
          Allow ns[shop]-policy[orders-allow]-rule[1]: [((Authorityi=orders.shop.svc.cluster.local | Authorityi=*.example.com) & (Method=POST) & !(path=/orders/admin*))] [(!(peer=spiffe://cluster.local/ns/shop/sa/stock) & (peer~\A(?:.*/ns/shop/.*)\z))]
          Allow ns[shop]-policy[orders-allow]-rule[2]: [((template[Literal("orders"), One, Literal("items"), Many] | path=*/suffix) & (:8080))] [((peer~\A(?:spiffe://.*/sa/batch)\z) & (Name("x-tenant")=red | Name("x-tenant")=blue*) & !(Name("x-debug") present=true))]
          Allow ns[shop]-policy[orders-allow]-rule[3]: [((path=/sa))] [((peer~\A(?:spiffe://.+/ns/client/(.+/|)sa/a\.b(/.+)?)\z | peer~\A(?:spiffe://.+/ns/shop/(.+/|)sa/stock(/.+)?)\z))]
          Allow ns[shop]-policy[orders-allow]-rule[4]: [((path=/ip) & (:8080))] [((pod in 10.244.0.0/16) & !(pod in 10.244.1.0/24))]
          Allow ns[shop]-policy[orders-allow]-rule[5]: [(!(Authorityi=secret.*) & !(Method=DELETE) & (path=/remote) & !(:9090))] [(!(peer~\A(?:.*/ns/evil.*/.*)\z) & (client in 192.0.2.0/24))]
          default /* [] -> inbound-vip|8080|http|orders.shop.svc.cluster.local retries=2x0x8990
        chain inbound-vip|8080|http|stock.shop.svc.cluster.local
          http rbac,grpc_stats,fault,cors,stats,router upgrades=["websocket"]
          Allow ns[shop]-policy[stock-any-mtls]-rule[0]: [(any)] [((peer~\A(?:.+)\z))]
          default /* [] -> inbound-vip|8080|http|stock.shop.svc.cluster.local retries=2x0x8990
        cluster encap direct_pod Downstream []
        cluster inbound-vip|8080|http|orders.shop.svc.cluster.local eds Http1 [hbone:10.244.1.11:8080]
        cluster inbound-vip|8080|http|stock.shop.svc.cluster.local eds Http1 [hbone:10.244.2.11:8080]
        workloads 5
    "#]],
    );
}

#[test]
fn extensions() {
    check(
        "20-wasm-envoyfilter-ecds",
        &expect![[r#"
        connect_terminate sans=["spiffe://cluster.local/"] rbac=0 REFUSED unsupported_filter{example.unknown.filter}
        inspect http=all but [(8080, 8081)] tls=off
          10.96.0.11
            :8080
              -> inbound-vip|8080|http|api.shop.svc.cluster.local
          10.96.0.12
            :8080
              -> inbound-vip|8080|http|safe.shop.svc.cluster.local
        chain direct-http
          REFUSED unsupported_filter{extensions.istio.io/trafficextension/shop.lua-ext}
        chain direct-tcp
          tcp -> encap stats=true
        chain inbound-vip|8080|http|api.shop.svc.cluster.local
          REFUSED unsupported_filter{extensions.istio.io/trafficextension/shop.lua-ext}
        chain inbound-vip|8080|http|safe.shop.svc.cluster.local
          REFUSED unsupported_filter{extensions.istio.io/trafficextension/shop.lua-ext}
        cluster encap direct_pod Downstream []
        cluster inbound-vip|8080|http|api.shop.svc.cluster.local eds Http1 [hbone:10.244.1.11:8080]
        cluster inbound-vip|8080|http|safe.shop.svc.cluster.local eds Http1 [hbone:10.244.2.11:8080]
        workloads 3
    "#]],
    );
}

/// Chains and clusters carried over between all snapshots of a stream, and those made anew.
fn carried_over(scenario: &str) -> (usize, usize) {
    let mut stream = Stream::open(scenario);
    let (mut shared, mut replaced) = (0, 0);
    let mut previous = stream.store.snapshot();
    while stream.next_response().is_some() {
        let next = stream.store.snapshot();
        if let (Some(old), Some(new)) = (&previous.main_internal, &next.main_internal) {
            for (name, chain) in &new.chains {
                let Some(before) = old.chains.get(name) else { continue };
                assert_eq!(Arc::ptr_eq(before, chain), before.content_hash == chain.content_hash, "{name}");
                if Arc::ptr_eq(before, chain) { shared += 1 } else { replaced += 1 }
            }
        }
        for (name, entry) in next.clusters.iter() {
            let Some(before) = previous.clusters.get(name) else { continue };
            if before.cluster.content_hash == entry.cluster.content_hash {
                assert!(Arc::ptr_eq(&before.cluster, &entry.cluster), "{name}");
            }
        }
        previous = next;
    }
    (shared, replaced)
}

/// Services, pods and policies come and go; no chain that stays is made anew.
#[test]
fn churn_keeps_unchanged_chains() {
    let (shared, replaced) = carried_over("24-churn");
    assert!(shared > 0);
    assert_eq!(replaced, 0);
}

/// Two steps change the weights of one route.
#[test]
fn a_changed_route_replaces_its_chain_only() {
    let (shared, replaced) = carried_over("02-httproute-weights");
    assert!(shared > 0);
    assert_eq!(replaced, 2);
}

/// Deleted services leave no cluster, no endpoints and no subscription behind.
#[test]
fn churn_leaves_nothing_behind() {
    let mut stream = Stream::open("24-churn");
    while stream.next_response().is_some() {}
    let wanted = stream.store.wanted_eds();
    let snapshot = stream.store.snapshot();
    assert!(wanted.iter().all(|name| snapshot.cluster(name).is_some()), "{wanted:?}");
}
