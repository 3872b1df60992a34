use super::*;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{HeaderKey, HeaderMatcher, HeaderValueMatcher, StringPattern};
use proptest::prelude::*;

fn text(pattern: StringPattern) -> StringMatcher {
    StringMatcher { pattern, ignore_case: false }
}

fn exact(value: &str) -> StringMatcher {
    text(StringPattern::Exact(value.into()))
}

fn prefix(value: &str) -> StringMatcher {
    text(StringPattern::Prefix(value.into()))
}

fn method(value: &str) -> Permission {
    let matcher = HeaderValueMatcher::String(exact(value));
    Permission::Header(HeaderMatcher {
        key: HeaderKey::Method,
        matcher,
        invert: false,
        treat_missing_as_empty: false,
    })
}

fn policy(name: &str, permission: Permission, principal: Principal) -> RbacPolicy {
    RbacPolicy { name: name.into(), permissions: vec![permission], principals: vec![principal] }
}

fn rbac(action: RbacAction, policies: Vec<RbacPolicy>) -> Rbac {
    Rbac { rules: Some(RbacRules { action, policies }), ..Rbac::default() }
}

/// `None` passes; otherwise the name in the details.
fn denied(rbac: &Rbac, request: &Sample) -> Option<String> {
    let denial = check(rbac, &request.view()).denied?;
    let failure = denial.failure();
    assert_eq!((failure.status.as_u16(), &*failure.body), (403, "RBAC: access denied"));
    Some(denial.policy.as_deref().unwrap_or("none").into())
}

#[test]
fn actions() {
    let get = || vec![policy("get", method("GET"), Principal::Any)];
    let put = || vec![policy("put", method("PUT"), Principal::Any)];
    let cases = [
        (RbacAction::Allow, get(), None),
        (RbacAction::Allow, put(), Some("none")),
        (RbacAction::Allow, vec![], Some("none")),
        (RbacAction::Deny, get(), Some("get")),
        (RbacAction::Deny, put(), None),
        (RbacAction::Deny, vec![], None),
        (RbacAction::Log, get(), None),
        (RbacAction::Log, put(), None),
    ];
    for (action, policies, expect) in cases {
        let logs = action == RbacAction::Log && policies[0].name.as_ref() == "get";
        let rbac = rbac(action, policies);
        let sample = Sample::get("/");
        assert_eq!(denied(&rbac, &sample).as_deref(), expect, "{rbac:?}");
        assert_eq!(check(&rbac, &sample.view()).logged, logs, "{rbac:?}");
    }
}

/// A filter that enforces nothing lets everything pass, whatever its dry run says.
#[test]
fn shadow_rules_only_tell() {
    let rules = RbacRules {
        action: RbacAction::Deny,
        policies: vec![policy("dry", Permission::Any, Principal::Any)],
    };
    let rbac = Rbac { shadow: Some(rules), ..Rbac::default() };
    let decision = check(&rbac, &Sample::get("/").view());
    assert_eq!(decision.denied, None);
    assert_eq!(decision.shadow, Some(Shadow { allowed: false, policy: Some("dry".into()) }));
}

/// What is enforced and what is only tried out are counted apart, and only where there are such rules.
#[test]
fn decisions_are_counted() {
    let rules = |action| RbacRules { action, policies: vec![policy("get", method("GET"), Principal::Any)] };
    let (allow, deny, log) = (rules(RbacAction::Allow), rules(RbacAction::Deny), rules(RbacAction::Log));
    let cases = [
        (None, None, [0, 0, 0, 0]),
        (Some(allow.clone()), None, [1, 0, 0, 0]),
        (Some(deny.clone()), None, [0, 1, 0, 0]),
        (Some(log), None, [1, 0, 0, 0]),
        (None, Some(allow.clone()), [0, 0, 1, 0]),
        (Some(allow), Some(deny), [1, 0, 0, 1]),
    ];
    for (rules, shadow, expect) in cases {
        let rbac = Rbac { rules, shadow, ..Rbac::default() };
        let _uncounted = check(&rbac, &Sample::get("/").view());
        let counters = rbac.counters.get_or_init(RbacCounters::default);
        let _counted = check(&rbac, &Sample::get("/").view());
        let counts = [&counters.allowed, &counters.denied, &counters.shadow_allowed, &counters.shadow_denied]
            .map(|counter| counter.load(Ordering::Relaxed));
        assert_eq!(counts, expect, "{rbac:?}");
    }
}

#[test]
fn permissions() {
    let port = |port| Permission::DestinationPort(port);
    let template = crate::model::rbac::UriTemplate {
        segments: vec![
            crate::model::rbac::TemplateSegment::Literal("orders".into()),
            crate::model::rbac::TemplateSegment::One,
        ],
    };
    let cases = [
        (Permission::Any, true),
        (Permission::And(vec![]), true),
        (Permission::Or(vec![]), false),
        (Permission::Not(Box::new(Permission::Any)), false),
        (Permission::UrlPath(exact("/orders/7")), true),
        (Permission::UrlPath(exact("/orders/7?q=1")), false),
        (Permission::UrlPath(prefix("/orders/")), true),
        (Permission::UriTemplate(Arc::new(template)), true),
        (Permission::DestinationIp("10.96.0.0/16".parse().unwrap()), true),
        (Permission::DestinationIp("10.97.0.0/16".parse().unwrap()), false),
        (port(80), true),
        (port(8080), false),
        (Permission::DestinationPortRange { start: 80, end: 81 }, true),
        (Permission::DestinationPortRange { start: 70, end: 80 }, false),
        (Permission::RequestedServerName(exact("")), true),
        (Permission::RequestedServerName(exact("shop")), false),
    ];
    for (permission, expect) in cases {
        let rbac = rbac(RbacAction::Deny, vec![policy("p", permission, Principal::Any)]);
        assert_eq!(denied(&rbac, &Sample::get("/orders/7?q=1")).is_some(), expect, "{rbac:?}");
    }
}

#[test]
fn principals() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let web = "spiffe://cluster.local/ns/client/sa/web";
    let cases = [
        (Principal::Peer(None), true),
        (Principal::Peer(Some(exact(web))), true),
        (Principal::Peer(Some(exact("spiffe://cluster.local/ns/client/sa/we"))), false),
        (Principal::Peer(Some(prefix("spiffe://other/"))), false),
        // The client pod, not what it claims.
        (Principal::DirectRemoteIp(net("10.244.3.0/24")), true),
        (Principal::DirectRemoteIp(net("192.0.2.0/24")), false),
        (Principal::RemoteIp(net("192.0.2.0/24")), true),
        (Principal::RemoteIp(net("10.244.3.0/24")), false),
        (Principal::Not(Box::new(Principal::DirectRemoteIp(net("10.244.3.12/32")))), false),
        (Principal::UrlPath(exact("/x")), true),
        (Principal::And(vec![Principal::Any, Principal::Or(vec![])]), false),
    ];
    for (principal, expect) in cases {
        let rbac = rbac(RbacAction::Deny, vec![policy("p", Permission::Any, principal)]);
        let sample = Sample::get("/x").header("x-forwarded-for", "10.244.3.99, 192.0.2.5");
        assert_eq!(denied(&rbac, &sample).is_some(), expect, "{rbac:?}");
    }
}

#[test]
fn no_identity_is_no_peer() {
    let any_peer = rbac(RbacAction::Allow, vec![policy("p", Permission::Any, Principal::Peer(None))]);
    let anonymous = Sample { peer: None, ..Sample::get("/") };
    assert_eq!(denied(&any_peer, &anonymous).as_deref(), Some("none"));
}

#[test]
fn an_ipv4_block_sees_mapped_addresses() {
    let block = Principal::DirectRemoteIp("10.244.3.0/24".parse().unwrap());
    let rbac = rbac(RbacAction::Deny, vec![policy("p", Permission::Any, block)]);
    let mapped = Sample { source_ip: "::ffff:10.244.3.12".parse().unwrap(), ..Sample::get("/") };
    assert!(denied(&rbac, &mapped).is_some());
}

/// On TCP, HTTP matchers never match: an ALLOW that needs one allows nothing.
#[test]
fn http_matchers_on_tcp() {
    let sample = Sample::get("/");
    let http = || policy("http", method("GET"), Principal::Any);
    let tcp = || policy("tcp", Permission::DestinationPort(80), Principal::Peer(None));
    for (action, policies, expect) in [
        (RbacAction::Allow, vec![http()], true),
        (RbacAction::Allow, vec![http(), tcp()], false),
        (RbacAction::Deny, vec![http()], false),
        (RbacAction::Deny, vec![tcp()], true),
        (RbacAction::Deny, vec![policy("path", Permission::UrlPath(prefix("")), Principal::Any)], false),
    ] {
        let rbac = rbac(action, policies);
        assert_eq!(check_network(&rbac, &sample.network()).denied.is_some(), expect, "{rbac:?}");
    }
    let remote = Principal::RemoteIp("10.244.3.12/32".parse().unwrap());
    let by_ip = rbac(RbacAction::Deny, vec![policy("ip", Permission::Any, remote)]);
    assert!(check_network(&by_ip, &sample.network()).denied.is_some());
}

/// Policy and upstream see one path: what the deny rule means cannot be written another way.
#[test]
fn path_spellings_of_admin() {
    let admin =
        rbac(RbacAction::Deny, vec![policy("p", Permission::UrlPath(prefix("/admin")), Principal::Any)]);
    for (target, expect) in [
        ("/admin", true),
        ("/x/../admin", true),
        ("/%61dmin", true),
        ("/./admin", true),
        ("/x/%2e%2e/admin", true),
        ("/x\\..\\admin", true),
        ("/x/..;/admin", true),
        ("/admin;v=1", true),
        ("/admin#x", true),
        ("/admin?x", true),
        // Envoy keeps these apart, and so does the upstream: the bytes judged are the bytes sent.
        ("//admin", false),
        ("/Admin", false),
        ("/%2561dmin", false),
    ] {
        assert_eq!(denied(&admin, &Sample::get(target)).is_some(), expect, "{target}");
    }
}

/// Hosts are compared without case and with the port, as Envoy does: a rule has to name the forms it means.
#[test]
fn host_spellings() {
    let matcher = HeaderValueMatcher::String(StringMatcher {
        pattern: StringPattern::Exact("secret.com".into()),
        ignore_case: true,
    });
    let host =
        HeaderMatcher { key: HeaderKey::Authority, matcher, invert: false, treat_missing_as_empty: false };
    let rbac = rbac(RbacAction::Deny, vec![policy("p", Permission::Header(host), Principal::Any)]);
    for (authority, expect) in [
        ("secret.com", true),
        ("Secret.COM", true),
        ("secret.com:80", false),
        ("secret.com.", false),
        ("", false),
    ] {
        let sample = Sample { authority, ..Sample::get("/") };
        assert_eq!(denied(&rbac, &sample).is_some(), expect, "{authority}");
    }
}

/// A random rule over three facts, and the same rule as a truth table.
fn permission() -> impl Strategy<Value = Permission> {
    let leaf = prop_oneof![
        Just(Permission::Any),
        Just(method("GET")),
        Just(Permission::UrlPath(exact("/a"))),
        Just(Permission::DestinationPort(80)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Permission::And),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Permission::Or),
            inner.prop_map(|permission| Permission::Not(Box::new(permission))),
        ]
    })
}

fn truth(permission: &Permission, get: bool, path_a: bool, port_80: bool) -> bool {
    let again = |permission: &Permission| truth(permission, get, path_a, port_80);
    match permission {
        Permission::Any => true,
        Permission::And(all) => !all.iter().any(|permission| !again(permission)),
        Permission::Or(any) => !any.iter().all(|permission| !again(permission)),
        Permission::Not(permission) => !again(permission),
        Permission::Header(_) => get,
        Permission::UrlPath(_) => path_a,
        _ => port_80,
    }
}

proptest! {
    #[test]
    fn agrees_with_brute_force(
        rules in proptest::collection::vec((permission(), any::<bool>()), 0..4),
        get: bool, path_a: bool, port_80: bool,
        action in prop_oneof![Just(RbacAction::Allow), Just(RbacAction::Deny)],
    ) {
        let sample = Sample {
            method: if get { "GET" } else { "PUT" },
            destination: ([10, 96, 0, 7], if port_80 { 80 } else { 81 }).into(),
            ..Sample::get(if path_a { "/a" } else { "/b" })
        };
        let matches = |(permission, known): &(Permission, bool)| *known && truth(permission, get, path_a, port_80);
        let expect = rules.iter().any(matches) == (action == RbacAction::Deny);
        let peer = |known: bool| if known { "spiffe://cluster.local/" } else { "spiffe://other/" };
        let policies = rules
            .iter()
            .map(|(permission, known)| policy("p", permission.clone(), Principal::Peer(Some(prefix(peer(*known))))))
            .collect();
        prop_assert_eq!(denied(&rbac(action, policies), &sample).is_some(), expect);
    }
}
