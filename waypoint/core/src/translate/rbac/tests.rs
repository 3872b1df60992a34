use super::*;
use crate::translate::tests::{outcome, pack};
use pb::permission::Rule;
use pb::principal::Identifier;

fn filter_of(rule: Option<Rule>, identifier: Option<Identifier>) -> http_rbac::Rbac {
    let policy = pb::Policy {
        permissions: vec![pb::Permission { rule }],
        principals: vec![pb::Principal { identifier }],
        ..Default::default()
    };
    let rules = pb::Rbac {
        action: pb::rbac::Action::Deny as i32,
        policies: [("p".to_owned(), policy)].into(),
        ..Default::default()
    };
    http_rbac::Rbac { rules: Some(rules), ..Default::default() }
}

fn range(prefix: &str, length: u32) -> core::CidrRange {
    core::CidrRange {
        address_prefix: prefix.into(),
        prefix_len: Some(super::super::pb::protobuf::UInt32Value { value: length }),
    }
}

#[test]
fn policies_are_in_name_order() {
    let mut filter = filter_of(Some(Rule::Any(true)), Some(Identifier::Any(true)));
    let policies = &mut filter.rules.as_mut().unwrap().policies;
    let policy = policies["p"].clone();
    for name in ["z", "a", "m"] {
        policies.insert(name.into(), policy.clone());
    }
    let rbac = http_filter(filter, &mut Warnings::default()).unwrap();
    let rules = rbac.rules.unwrap();
    assert_eq!(rules.action, RbacAction::Deny);
    let names: Vec<_> = rules.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["a", "m", "p", "z"]);
}

/// Nothing unknown may turn into "does not match": under DENY that would let everything through.
#[test]
fn what_is_not_understood_is_never_a_mismatch() {
    let any = || Some(Identifier::Any(true));
    let extension = |name: &str| core::TypedExtensionConfig { name: name.into(), typed_config: None };
    let state = pb_matcher::FilterStateMatcher { key: "other".into(), matcher: None };
    let cases = [
        (None, any(), "unsupported unsupported_rule{p:permission}"),
        (Some(Rule::Matcher(extension("m"))), any(), "unsupported unsupported_rule{p:m}"),
        (
            Some(Rule::SourcedMetadata(Default::default())),
            any(),
            "unsupported unsupported_rule{p:sourced_metadata}",
        ),
        (Some(Rule::Any(true)), None, "unsupported unsupported_principal{p:unknown}"),
        (
            Some(Rule::Any(true)),
            Some(Identifier::Custom(extension("c"))),
            "unsupported unsupported_principal{p:c}",
        ),
        (
            Some(Rule::Any(true)),
            Some(Identifier::FilterState(state)),
            "unsupported unsupported_principal{p:filter_state:other}",
        ),
        (
            Some(Rule::DestinationPort(70_000)),
            any(),
            "invalid rules.policies[p].permissions[0].destination_port: bad port 70000",
        ),
        (
            Some(Rule::Any(true)),
            Some(Identifier::RemoteIp(range("10.0.0.0", 33))),
            "invalid rules.policies[p].principals[0].remote_ip: bad prefix length 10.0.0.0/33",
        ),
        (
            Some(Rule::DestinationIp(range("not-an-ip", 8))),
            any(),
            "invalid rules.policies[p].permissions[0].destination_ip: bad address \"not-an-ip\"",
        ),
    ];
    for (rule, identifier, expect) in cases {
        assert_eq!(outcome(http_filter(filter_of(rule, identifier), &mut Warnings::default())), expect);
    }
}

#[test]
fn conditions_matchers_and_empty_policies() {
    let mut filter = filter_of(Some(Rule::Any(true)), Some(Identifier::Any(true)));
    filter.matcher = Some(Default::default());
    assert_eq!(
        outcome(http_filter(filter, &mut Warnings::default())),
        "unsupported unsupported_field{RBAC#4}"
    );
    let mut filter = filter_of(Some(Rule::Any(true)), Some(Identifier::Any(true)));
    filter.rules.as_mut().unwrap().policies.get_mut("p").unwrap().principals.clear();
    let expect = "invalid rules.policies[p].permissions: policy without permissions or principals";
    assert_eq!(outcome(http_filter(filter, &mut Warnings::default())), expect);
    let mut filter = filter_of(Some(Rule::Any(true)), Some(Identifier::Any(true)));
    filter.rules.as_mut().unwrap().policies.get_mut("p").unwrap().condition = Some(Default::default());
    assert_eq!(
        outcome(http_filter(filter, &mut Warnings::default())),
        "unsupported unsupported_rule{p:condition}"
    );
}

#[test]
fn rules_may_not_nest_without_end() {
    let mut rule = pb::Permission { rule: Some(Rule::Any(true)) };
    for _ in 0..=NESTING_MAX {
        rule = pb::Permission { rule: Some(Rule::NotRule(Box::new(rule))) };
    }
    let filter = filter_of(rule.rule, Some(Identifier::Any(true)));
    assert!(outcome(http_filter(filter, &mut Warnings::default())).ends_with("rules nest too deep"));
}

#[test]
fn templates() {
    use TemplateSegment::{Literal, Many, One};
    let ok = |text: &str| parse_template(text).map(|template| template.segments);
    assert_eq!(ok("/a/{*}/{**}").unwrap(), [Literal("a".into()), One, Many]);
    assert_eq!(ok("/a/*/**/z").unwrap(), [Literal("a".into()), One, Many, Literal("z".into())]);
    for (text, expect) in [
        ("a/b", "invalid : bad path template \"a/b\": does not begin with a slash"),
        ("/{**}/{*}", "invalid : bad path template \"/{**}/{*}\": an operator follows `**`"),
        ("/x-{*}", "unsupported unsupported_template{/x-{*}}"),
    ] {
        assert_eq!(outcome(ok(text)), expect, "{text}");
    }
    let config = uri_template::UriTemplateMatchConfig { path_template: "/a/{*}".into() };
    let config =
        core::TypedExtensionConfig { name: "uri-template".into(), typed_config: Some(pack(&config)) };
    assert_eq!(template(&config).unwrap().segments.len(), 2);
}
