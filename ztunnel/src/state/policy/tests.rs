use crate::state::Policy;
use crate::state::fixtures::policy;
use xds_client::proto::authorization::{self as proto, Action, Match, Scope};

fn unreadable(only: Match) -> bool {
    let policy = Policy::try_from(&policy("shop/p", Scope::Namespace, Action::Allow, only)).unwrap();
    policy.rules[0][0][0].unreadable
}

#[test]
fn a_predicate_that_cannot_be_read_is_not_dropped() {
    let ip = |bytes: &[u8], length| proto::Address { address: bytes.to_vec().into(), length };
    assert!(!unreadable(Match { source_ips: vec![ip(&[10, 0, 0, 0], 8)], ..Default::default() }));
    assert!(unreadable(Match { source_ips: vec![ip(&[10, 0, 0], 8)], ..Default::default() }));
    assert!(unreadable(Match { not_destination_ips: vec![ip(&[10, 0, 0, 0], 64)], ..Default::default() }));
    assert!(unreadable(Match { destination_ports: vec![70_000], ..Default::default() }));
    assert!(unreadable(Match { principals: vec![proto::StringMatch::default()], ..Default::default() }));
    let extension = xds_client::proto::workload::Extension::default();
    assert!(unreadable(Match { extensions: vec![extension], ..Default::default() }));
}

#[test]
fn an_action_or_scope_we_do_not_know_is_refused() {
    let mut proto = policy("shop/p", Scope::Namespace, Action::Deny, Match::default());
    proto.action = 7;
    assert_eq!(Policy::try_from(&proto).unwrap_err().to_string(), "action: 7 is not supported");
    proto.action = 0;
    proto.scope = 9;
    assert_eq!(Policy::try_from(&proto).unwrap_err().to_string(), "scope: 9 is not supported");
}
