use super::SpiffeId;

#[track_caller]
fn check(uri: &str, expect: Option<(&str, &str, &str)>) {
    let parsed = SpiffeId::parse(uri).ok();
    let parts = parsed.as_ref().map(|id| (id.trust_domain(), id.namespace(), id.service_account()));
    assert_eq!(parts, expect, "{uri:?}");
}

#[test]
fn only_the_five_segment_form_is_an_identity() {
    check("spiffe://cluster.local/ns/default/sa/sleep", Some(("cluster.local", "default", "sleep")));
    check("spiffe://td/ns/ns/sa/sa", Some(("td", "ns", "sa")));
    check("spiffe://a.b-c_d/ns/x/sa/y.z", Some(("a.b-c_d", "x", "y.z")));
    for bad in [
        "",
        "spiffe://",
        "spiffe://td",
        "spiffe://td/ns/n/sa/",
        "spiffe://td/ns//sa/s",
        "spiffe:///ns/n/sa/s",
        "spiffe://td/ns/n/sa/s/",
        "spiffe://td/ns/n/sa/s/more",
        "spiffe://td/sa/s/ns/n",
        "spiffe://td/namespace/n/sa/s",
        "SPIFFE://td/ns/n/sa/s",
        "https://td/ns/n/sa/s",
        " spiffe://td/ns/n/sa/s",
        "spiffe://td/ns/n/sa/s ",
        "spiffe://td/ns/n/sa/s\n",
        "spiffe://td/ns/n/sa/s\0",
        "spiffe://td/ns/n/sa/s?x",
        "spiffe://td/ns/n/sa/s#x",
        "spiffe://td/ns/%2e/sa/s",
        "spiffe://user@td/ns/n/sa/s",
        "spiffe://td/ns/nä/sa/s",
    ] {
        check(bad, None);
    }
}

#[test]
fn new_and_parse_agree() {
    let id = SpiffeId::new("cluster.local", "default", "sleep");
    assert_eq!(SpiffeId::parse(id.as_str()), Ok(id.clone()));
    assert_eq!(id.to_string(), "spiffe://cluster.local/ns/default/sa/sleep");
}

#[test]
fn an_error_does_not_carry_an_endless_text() {
    let error = SpiffeId::parse(&"x".repeat(100_000)).unwrap_err();
    assert!(error.to_string().len() < 400);
}

proptest::proptest! {
    #[test]
    fn what_parses_is_put_together_from_its_parts(text in "(spiffe://)?[a-z./:?#%@ns\\PC]{0,12}(/ns/[a-z/.]{0,4}/sa/[a-z/%]{0,4})?") {
        if let Ok(id) = SpiffeId::parse(&text) {
            let again = SpiffeId::new(id.trust_domain(), id.namespace(), id.service_account());
            proptest::prop_assert_eq!(again.as_str(), text);
        }
    }
}
