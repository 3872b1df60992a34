use super::ExpectedPeer;
use crate::identity::SpiffeId;

#[track_caller]
fn check(expected: &ExpectedPeer, id: &str, accepted: bool) {
    assert_eq!(expected.accepts(&SpiffeId::parse(id).unwrap()), accepted, "{expected:?} {id}");
}

#[test]
fn exact_means_one_of_the_list() {
    let ids = ["spiffe://td/ns/a/sa/a", "spiffe://td/ns/b/sa/b"].map(|id| SpiffeId::parse(id).unwrap());
    let expected = ExpectedPeer::Exact(ids.into());
    check(&expected, "spiffe://td/ns/a/sa/a", true);
    check(&expected, "spiffe://td/ns/b/sa/b", true);
    check(&expected, "spiffe://td/ns/a/sa/b", false);
    check(&ExpectedPeer::Exact([].into()), "spiffe://td/ns/a/sa/a", false);
}

#[test]
fn a_trust_domain_does_not_accept_one_that_starts_alike() {
    let expected = ExpectedPeer::trust_domains(["td", "other"]);
    check(&expected, "spiffe://td/ns/a/sa/a", true);
    check(&expected, "spiffe://other/ns/a/sa/a", true);
    check(&expected, "spiffe://td.evil/ns/a/sa/a", false);
    check(&expected, "spiffe://t/ns/a/sa/a", false);
}
