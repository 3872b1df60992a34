use hickory_proto::op::Query;
use serde_json::json;

use super::*;
use crate::manifest::kinds::ENDPOINT_SLICE;

fn zone() -> Zone {
    let mut store = Store::default();
    let mut service = |name: &str, spec| store.put(Object::ours(&SERVICE, "n", name, json!({"spec": spec})));
    service("web", json!({"type": "ClusterIP", "clusterIP": "10.96.0.10"}));
    service("peers", json!({"type": "ClusterIP", "clusterIP": "None"}));
    service("out", json!({"type": "ExternalName", "externalName": "example.org"}));
    service("alias", json!({"type": "ExternalName", "externalName": "web.n.svc.cluster.local"}));
    let endpoint = |last: u8, ready: bool| json!({"addresses": [format!("10.244.0.{last}")], "hostname": format!("peer-{last}"), "conditions": {"ready": ready}});
    store.put(Object::ours(
        &ENDPOINT_SLICE,
        "n",
        "peers-x",
        json!({"metadata": {"labels": {"kubernetes.io/service-name": "peers"}},
            "endpoints": [endpoint(10, true), endpoint(11, true), endpoint(12, false)]}),
    ));
    Zone::of(&store)
}

fn ask(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let bytes = query.to_vec().unwrap();
    let reply = zone().answer(&Message::from_vec(&bytes).unwrap()).unwrap();
    let reply = Message::from_vec(&reply.to_vec().unwrap()).unwrap();
    assert_eq!(reply.metadata.id, query.metadata.id);
    let data = reply.answers.iter().map(|r| r.data.to_string()).collect();
    (reply.metadata.response_code, data)
}

#[test]
fn names_have_addresses() {
    let check = |name: &str, kind: RecordType, code: ResponseCode, expect: &[&str]| {
        let (got, data) = ask(name, kind);
        assert_eq!(
            (got, data.iter().map(String::as_str).collect::<Vec<_>>()),
            (code, expect.to_vec()),
            "{name} {kind}"
        );
    };
    use RecordType::{A, AAAA};
    use ResponseCode::{NXDomain, NoError};
    check("web.n.svc.cluster.local.", A, NoError, &["10.96.0.10"]);
    check("WEB.n.svc.Cluster.Local.", A, NoError, &["10.96.0.10"]);
    check("web.n.svc.", A, NoError, &["10.96.0.10"]);
    check("web.n.svc.cluster.local.", AAAA, NoError, &[]);
    check("a.web.n.svc.cluster.local.", A, NXDomain, &[]);
    check("web.m.svc.cluster.local.", A, NXDomain, &[]);
    check("web.", A, NXDomain, &[]);
    check("example.org.", A, NXDomain, &[]);
    check("peers.n.svc.cluster.local.", A, NoError, &["10.244.0.10", "10.244.0.11"]);
    check("peer-11.peers.n.svc.cluster.local.", A, NoError, &["10.244.0.11"]);
    check("peer-12.peers.n.svc.cluster.local.", A, NXDomain, &[]);
    check("out.n.svc.cluster.local.", A, NoError, &["example.org."]);
    check("alias.n.svc.cluster.local.", A, NoError, &["web.n.svc.cluster.local.", "10.96.0.10"]);
    check("svc.cluster.local.", A, NXDomain, &[]);
}

#[test]
fn a_response_is_not_answered() {
    assert!(zone().answer(&Message::response(1, OpCode::Query)).is_none());
}
