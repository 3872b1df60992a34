use crate::rbac::{Connection, Denied, authorize};
use crate::state::fixtures::{exact, find, pod, policy, presence, snapshot};
use mesh::identity::SpiffeId;
use xds_client::proto::authorization::{
    Action, Address, Authorization, Group, Match, Rules, Scope, ServiceAccountMatch, StringMatch,
    string_match::MatchType,
};

const ALICE: &str = "spiffe://cluster.local/ns/web/sa/alice";

/// From 10.0.0.9:5000 as `identity` to the pod `cart` (10.0.0.1) on `port`.
fn decide(policies: Vec<Authorization>, identity: Option<&str>, port: u16) -> Result<(), String> {
    let mut cart = pod("shop", "cart", "10.0.0.1");
    let selects = policies.iter().filter(|policy| policy.scope == Scope::WorkloadSelector as i32);
    cart.authorization_policies =
        selects.map(|policy| format!("{}/{}", policy.namespace, policy.name)).collect();
    let snapshot = snapshot([cart], [], policies);
    let connection = Connection {
        source: "10.0.0.9:5000".parse().unwrap(),
        identity: identity.map(|id| SpiffeId::parse(id).unwrap()),
        destination: format!("10.0.0.1:{port}").parse().unwrap(),
    };
    authorize(&snapshot, &find(&snapshot, "cart"), &connection).map_err(|denied| denied.to_string())
}

fn allow(only: Match) -> Authorization {
    policy("shop/allow", Scope::Namespace, Action::Allow, only)
}

fn deny(only: Match) -> Authorization {
    policy("shop/deny", Scope::WorkloadSelector, Action::Deny, only)
}

fn ports(ports: &[u32]) -> Match {
    Match { destination_ports: ports.to_vec(), ..Default::default() }
}

const NOT_ALLOWED: &str = "allow policies exist, but none allowed";
const DENIED: &str = "explicitly denied by: shop/deny";

#[test]
fn deny_comes_first_and_allow_only_where_there_is_one() {
    let check = |policies: Vec<Authorization>, expect: Result<(), &str>| {
        assert_eq!(decide(policies, Some(ALICE), 80), expect.map_err(str::to_owned));
    };
    check(vec![], Ok(()));
    check(vec![deny(ports(&[81]))], Ok(()));
    check(vec![deny(ports(&[80]))], Err(DENIED));
    check(vec![allow(ports(&[80]))], Ok(()));
    check(vec![allow(ports(&[81]))], Err(NOT_ALLOWED));
    check(vec![allow(ports(&[80])), deny(ports(&[80]))], Err(DENIED));
}

#[test]
fn dry_run_policies_decide_nothing() {
    let dry = |policy: Authorization| Authorization { dry_run: true, ..policy };
    assert_eq!(decide(vec![dry(deny(ports(&[80])))], None, 80), Ok(()));
    assert_eq!(decide(vec![dry(allow(ports(&[81])))], None, 80), Ok(()));
}

/// Whether a match holds for ALICE and for a peer without identity.
fn check_match(only: &Match, alice: bool, anonymous: bool) {
    let holds = |identity| decide(vec![deny(only.clone())], identity, 80).is_err();
    assert_eq!((holds(Some(ALICE)), holds(None)), (alice, anonymous), "{only:?}");
}

#[test]
fn predicates_on_identity() {
    let text = |kind: MatchType| vec![StringMatch { match_type: Some(kind) }];
    let principals = |principals| Match { principals, ..Default::default() };
    check_match(&principals(vec![exact("cluster.local/ns/web/sa/alice")]), true, false);
    check_match(&principals(vec![exact("cluster.local/ns/web/sa/bob")]), false, false);
    check_match(&principals(text(MatchType::Prefix("cluster.local/".into()))), true, false);
    check_match(&principals(text(MatchType::Suffix("/sa/alice".into()))), true, false);
    check_match(&principals(vec![presence()]), true, false);
    check_match(&Match { not_principals: vec![presence()], ..Default::default() }, false, true);
    check_match(&Match { namespaces: vec![exact("web")], ..Default::default() }, true, false);
    check_match(&Match { not_namespaces: vec![exact("web")], ..Default::default() }, false, true);
    let account = |name: &str| ServiceAccountMatch { namespace: "web".into(), service_account: name.into() };
    check_match(&Match { service_accounts: vec![account("alice")], ..Default::default() }, true, false);
    check_match(&Match { service_accounts: vec![account("bob")], ..Default::default() }, false, false);
    check_match(&Match { not_service_accounts: vec![account("alice")], ..Default::default() }, false, true);
}

#[test]
fn predicates_on_addresses() {
    let ip = |address: [u8; 4], length| vec![Address { address: address.to_vec().into(), length }];
    let both = |only: Match, expect| check_match(&only, expect, expect);
    both(Match { source_ips: ip([10, 0, 0, 0], 24), ..Default::default() }, true);
    both(Match { source_ips: ip([10, 0, 1, 0], 24), ..Default::default() }, false);
    both(Match { not_source_ips: ip([10, 0, 0, 9], 32), ..Default::default() }, false);
    both(Match { destination_ips: ip([10, 0, 0, 1], 32), ..Default::default() }, true);
    both(Match { not_destination_ips: ip([10, 0, 0, 1], 32), ..Default::default() }, false);
    both(Match { not_destination_ports: vec![81], ..Default::default() }, true);
    both(Match { destination_ports: vec![80], not_destination_ports: vec![80], ..Default::default() }, false);
}

#[test]
fn empty_things() {
    check_match(&Match::default(), false, false);
    let with = |groups: Vec<Group>| Authorization { groups, ..deny(Match::default()) };
    let empty_clause = Group { rules: vec![Rules { matches: vec![] }] };
    assert_eq!(decide(vec![with(vec![])], None, 80), Ok(()), "no rule never matches");
    assert_eq!(
        decide(vec![with(vec![Group { rules: vec![] }])], None, 80),
        Err(DENIED.into()),
        "a rule without clauses"
    );
    assert_eq!(decide(vec![with(vec![empty_clause])], None, 80), Err(DENIED.into()), "an empty clause holds");
    let nothing_allowed = Authorization { groups: vec![], ..allow(Match::default()) };
    assert_eq!(decide(vec![nothing_allowed], None, 80), Err(NOT_ALLOWED.into()));
}

#[test]
fn a_rule_needs_all_its_clauses_and_a_clause_one_of_its_matches() {
    let clause = |matches: &[Match]| Rules { matches: matches.to_vec() };
    let rule = |clauses: &[Rules]| Authorization {
        groups: vec![Group { rules: clauses.to_vec() }],
        ..deny(Match::default())
    };
    let (yes, no) = (ports(&[80]), ports(&[81]));
    let denied = |clauses: &[Rules]| decide(vec![rule(clauses)], None, 80).is_err();
    assert!(denied(&[clause(&[no.clone(), yes.clone()]), clause(std::slice::from_ref(&yes))]));
    assert!(!denied(&[clause(&[yes]), clause(&[no])]));
}

#[test]
fn what_cannot_be_read_fails_closed() {
    let odd = Match { destination_ports: vec![70_000], ..Default::default() };
    assert_eq!(decide(vec![deny(odd.clone())], None, 80), Err(DENIED.into()));
    assert_eq!(decide(vec![allow(odd)], None, 80), Err(NOT_ALLOWED.into()));
}

#[test]
fn a_policy_that_has_not_arrived_denies() {
    let mut cart = pod("shop", "cart", "10.0.0.1");
    cart.authorization_policies = vec!["shop/later".into()];
    let connection = Connection {
        source: "10.0.0.9:5000".parse().unwrap(),
        identity: None,
        destination: "10.0.0.1:80".parse().unwrap(),
    };
    let check = |policies: Vec<Authorization>, expect| {
        let snapshot = snapshot([cart.clone()], [], policies);
        assert_eq!(authorize(&snapshot, &find(&snapshot, "cart"), &connection), Err(expect));
    };
    check(vec![], Denied::Unknown("shop/later".into()));
    check(vec![allow(ports(&[80]))], Denied::Unknown("shop/later".into()));
    let global = policy("istio-system/deny", Scope::Global, Action::Deny, ports(&[80]));
    check(vec![global], Denied::Explicitly("istio-system/deny".into()));
}
