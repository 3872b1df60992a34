use super::*;
use crate::model::jwt::{JwksSource, JwtLocation, JwtProvider};
use crate::translate::pb::{core, matcher, protobuf, route as pb_route};
use crate::translate::tests::{outcome, pack, seconds};
use std::sync::Arc;

const EMPTY: protobuf::Empty = protobuf::Empty {};

fn inline(text: &str) -> Option<pb::jwt_provider::JwksSourceSpecifier> {
    let specifier = Some(core::data_source::Specifier::InlineString(text.into()));
    Some(pb::jwt_provider::JwksSourceSpecifier::LocalJwks(core::DataSource {
        specifier,
        ..Default::default()
    }))
}

fn keys() -> Option<pb::jwt_provider::JwksSourceSpecifier> {
    inline(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#)
}

fn provider(issuer: &str) -> pb::JwtProvider {
    pb::JwtProvider { issuer: issuer.into(), jwks_source_specifier: keys(), ..Default::default() }
}

fn requires(kind: pb::jwt_requirement::RequiresType) -> pb::JwtRequirement {
    pb::JwtRequirement { requires_type: Some(kind) }
}

fn named(name: &str) -> pb::JwtRequirement {
    requires(pb::jwt_requirement::RequiresType::ProviderName(name.into()))
}

fn any(requirements: Vec<pb::JwtRequirement>) -> pb::JwtRequirement {
    requires(pb::jwt_requirement::RequiresType::RequiresAny(pb::JwtRequirementOrList { requirements }))
}

fn all(requirements: Vec<pb::JwtRequirement>) -> pb::JwtRequirement {
    requires(pb::jwt_requirement::RequiresType::RequiresAll(pb::JwtRequirementAndList { requirements }))
}

fn missing() -> pb::JwtRequirement {
    requires(pb::jwt_requirement::RequiresType::AllowMissing(EMPTY))
}

fn rule(requirement: pb::JwtRequirement) -> pb::RequirementRule {
    let path = pb_route::route_match::PathSpecifier::Prefix("/".into());
    pb::RequirementRule {
        r#match: Some(pb_route::RouteMatch { path_specifier: Some(path), ..Default::default() }),
        requirement_type: Some(pb::requirement_rule::RequirementType::Requires(requirement)),
    }
}

fn config(providers: Vec<(&str, pb::JwtProvider)>, requirement: pb::JwtRequirement) -> pb::JwtAuthentication {
    pb::JwtAuthentication {
        providers: providers.into_iter().map(|(name, provider)| (name.to_owned(), provider)).collect(),
        rules: vec![rule(requirement)],
        ..Default::default()
    }
}

fn translate(config: &pb::JwtAuthentication) -> Result<JwtAuthn> {
    filter(&pack(config), &mut Warnings::default())
}

/// The tree as text.
fn text(requirement: &JwtRequirement) -> String {
    let list = |list: &[JwtRequirement]| list.iter().map(text).collect::<Vec<_>>().join(" ");
    match requirement {
        JwtRequirement::Provider { provider, audiences: None } => provider.name.to_string(),
        JwtRequirement::Provider { provider, audiences: Some(audiences) } => {
            format!("{}{:?}", provider.name, audiences.0)
        }
        JwtRequirement::Any { of, tolerates } => format!("any({}; {tolerates:?})", list(of)),
        JwtRequirement::All(of) => format!("all({})", list(of)),
        JwtRequirement::Anyone(tolerates) => format!("anyone({tolerates:?})"),
        JwtRequirement::Nothing => "nothing".into(),
    }
}

#[test]
fn requirement_trees() {
    let two = || vec![("a", provider("a")), ("b", provider("b"))];
    let both = pb::ProviderWithAudiences { provider_name: "a".into(), audiences: vec!["https://x/".into()] };
    let both = requires(pb::jwt_requirement::RequiresType::ProviderAndAudiences(both));
    let failed = || requires(pb::jwt_requirement::RequiresType::AllowMissingOrFailed(EMPTY));
    let istio = any(vec![
        named("a"),
        named("b"),
        all(vec![any(vec![named("a"), missing()]), any(vec![named("b"), missing()])]),
    ]);
    let cases = [
        (named("a"), "a"),
        (both, "a[\"x\"]"),
        (any(vec![named("a"), missing()]), "any(a; Missing)"),
        (any(vec![failed(), named("a"), missing()]), "any(a; MissingOrFailed)"),
        (any(vec![missing()]), "anyone(Missing)"),
        (failed(), "anyone(MissingOrFailed)"),
        (istio, "any(a b all(any(a; Missing) any(b; Missing)); Nothing)"),
        (pb::JwtRequirement::default(), "nothing"),
    ];
    for (requirement, expect) in cases {
        let filter = translate(&config(two(), requirement)).unwrap();
        assert_eq!(filter.rules[0].requirement.as_ref().map(text).as_deref(), Some(expect));
    }
}

#[test]
fn rules_by_name_and_without_requirement() {
    let mut config = config(vec![("a", provider("a"))], named("a"));
    config.requirement_map = [("strict".to_owned(), named("a"))].into();
    let by_name = |name: &str| Some(pb::requirement_rule::RequirementType::RequirementName(name.into()));
    config.rules.push(pb::RequirementRule { requirement_type: by_name("strict"), ..config.rules[0].clone() });
    config.rules.push(pb::RequirementRule { requirement_type: None, ..config.rules[0].clone() });
    let rules = translate(&config).unwrap().rules;
    let texts: Vec<Option<String>> = rules.iter().map(|rule| rule.requirement.as_ref().map(text)).collect();
    assert_eq!(texts, [Some("a".to_owned()), Some("a".to_owned()), None]);
    config.rules[1].requirement_type = by_name("other");
    assert_eq!(outcome(translate(&config)), "invalid rules[1]: no requirement \"other\"");
}

fn one(provider: pb::JwtProvider) -> Result<Arc<JwtProvider>> {
    translate(&config(vec![("p", provider)], named("p"))).map(|filter| filter.providers[0].clone())
}

#[test]
fn places_of_tokens() {
    let header = |name: &str, prefix: &str| pb::JwtHeader { name: name.into(), value_prefix: prefix.into() };
    let shown = |provider: pb::JwtProvider| {
        let provider = one(provider).unwrap();
        let place = |place: &JwtLocation| match place {
            JwtLocation::Header { name, prefix } => format!("{name}={prefix:?}"),
            JwtLocation::Parameter(name) => format!("?{name}"),
            JwtLocation::Cookie(name) => format!("cookie {name}"),
        };
        provider.locations.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(shown(provider("i")), ["authorization=\"Bearer \"", "?access_token"]);
    let all = pb::JwtProvider {
        from_headers: vec![header("X-Jwt", ""), header("Authorization", "Bearer "), header("x-jwt", "")],
        from_params: vec!["t".into(), "a".into(), "t".into()],
        from_cookies: vec!["c".into()],
        ..provider("i")
    };
    assert_eq!(shown(all), ["authorization=\"Bearer \"", "x-jwt=\"\"", "?a", "?t", "cookie c"]);
}

#[test]
fn what_providers_say() {
    let full = pb::JwtProvider {
        audiences: vec!["http://a".into()],
        clock_skew_seconds: 5,
        forward_payload_header: "X-Payload".into(),
        pad_forward_payload_header: true,
        payload_in_metadata: "payload".into(),
        require_expiration: true,
        max_lifetime: seconds(60),
        clear_route_cache: true,
        jwt_cache_config: Some(pb::JwtCacheConfig { jwt_cache_size: 10, ..Default::default() }),
        claim_to_headers: vec![
            pb::JwtClaimToHeader {
                header_name: "x-team".into(),
                claim_name: "nested.team".into(),
                claim_path: vec![],
            },
            pb::JwtClaimToHeader {
                header_name: "x-url".into(),
                claim_name: String::new(),
                claim_path: vec![pb::jwt_claim_to_header::PathSegment { key: "http://a.b".into() }],
            },
        ],
        ..provider("i")
    };
    let filter = translate(&config(vec![("p", full)], named("p"))).unwrap();
    let provider = &filter.providers[0];
    assert_eq!((provider.clock_skew.as_secs(), provider.audiences.0.as_slice()), (5, &["a".into()][..]));
    let paths: Vec<String> = provider.claim_headers.iter().map(|claim| claim.path.join("/")).collect();
    assert_eq!(paths, ["nested/team", "http://a.b"]);
    let reserved: Vec<&str> = filter.reserved_headers.iter().map(HeaderName::as_str).collect();
    assert_eq!(reserved, ["x-payload", "x-team", "x-url"]);
    let plain = one(self::provider("")).unwrap();
    assert_eq!((plain.issuer.as_deref(), plain.clock_skew.as_secs()), (None, 60));
}

#[test]
fn unusable_keys_close_their_provider_only() {
    let mut warnings = Warnings::default();
    let bad = pb::JwtProvider { jwks_source_specifier: inline("<html>"), ..provider("a") };
    let config = config(vec![("bad", bad), ("good", provider("b"))], any(vec![named("bad"), named("good")]));
    let filter = filter(&pack(&config), &mut warnings).unwrap();
    let usable: Vec<bool> =
        filter.providers.iter().map(|provider| matches!(provider.keys, JwksSource::Local(Some(_)))).collect();
    assert_eq!(usable, [false, true]);
    assert_eq!(
        warnings.into_list()[0].text,
        "provider bad accepts no token, its keys are unusable: no JSON object"
    );
}

fn remote(change: impl FnOnce(&mut pb::RemoteJwks)) -> pb::JwtProvider {
    let mut remote = pb::RemoteJwks {
        http_uri: Some(core::HttpUri {
            uri: "https://issuer.example:8443/keys?v=1".into(),
            timeout: seconds(3),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                "outbound|8443||issuer".into(),
            )),
        }),
        cache_duration: seconds(300),
        ..Default::default()
    };
    change(&mut remote);
    let specifier = Some(pb::jwt_provider::JwksSourceSpecifier::RemoteJwks(remote));
    pb::JwtProvider { jwks_source_specifier: specifier, ..provider("i") }
}

#[test]
fn remote_keys() {
    let described = |change: fn(&mut pb::RemoteJwks)| {
        let provider = one(remote(change)).unwrap();
        let JwksSource::Remote(remote) = &provider.keys else { panic!("{:?}", provider.keys) };
        let seconds =
            [remote.timeout, remote.cache_duration, remote.refetch_after_failure, remote.back_off_max];
        (
            format!("{} {}{}", remote.cluster, remote.authority, remote.path),
            seconds.map(|s| s.as_secs()),
            remote.retries,
        )
    };
    let address = "outbound|8443||issuer issuer.example:8443/keys?v=1".to_owned();
    assert_eq!(described(|_| {}), (address.clone(), [3, 300, 1, 0], 0));
    let full = described(|remote| {
        let failed_refetch_duration = seconds(7);
        remote.async_fetch = Some(pb::JwksAsyncFetch { fast_listener: true, failed_refetch_duration });
        remote.retry_policy = Some(core::RetryPolicy::default());
        remote.cache_duration = None;
    });
    assert_eq!(full, (address, [3, 600, 7, 10], 1));
}

#[test]
fn what_cannot_be_honoured_or_read() {
    use pb::jwt_requirement::RequiresType;
    let with = |provider: pb::JwtProvider| config(vec![("p", provider)], named("p"));
    let plain = || provider("i");
    let extract =
        requires(RequiresType::ExtractOnlyWithoutValidation(pb::ExtractOnlyWithoutValidation::default()));
    let mut by_state = with(plain());
    by_state.filter_state_rules = Some(pb::FilterStateRule { name: "x".into(), ..Default::default() });
    let file = core::DataSource {
        specifier: Some(core::data_source::Specifier::Filename("/keys".into())),
        ..Default::default()
    };
    let file = Some(pb::jwt_provider::JwksSourceSpecifier::LocalJwks(file));
    let header = |name: &str| pb::JwtClaimToHeader {
        header_name: name.into(),
        claim_name: "a".into(),
        ..Default::default()
    };
    let cases = vec![
        (
            config(vec![("p", plain())], extract),
            "unsupported unsupported_jwt{extract_only_without_validation}",
        ),
        (by_state, "unsupported unsupported_jwt{filter_state_rules}"),
        (
            with(pb::JwtProvider { failed_status_in_metadata: "x".into(), ..plain() }),
            "unsupported unsupported_jwt{failed_status_in_metadata}",
        ),
        (
            with(pb::JwtProvider { jwks_source_specifier: file, ..plain() }),
            "unsupported unsupported_source{file:/keys}",
        ),
        (
            with(pb::JwtProvider { subjects: Some(matcher::StringMatcher::default()), ..plain() }),
            "unsupported unsupported_matcher{StringMatcher}",
        ),
        (
            with(pb::JwtProvider { jwks_source_specifier: None, ..plain() }),
            "invalid providers.p: neither local_jwks nor remote_jwks",
        ),
        (config(vec![], named("p")), "invalid rules[0]: no provider \"p\""),
        (config(vec![("p", plain())], any(vec![])), "invalid rules[0]: requires_any of nothing"),
        (
            with(pb::JwtProvider { claim_to_headers: vec![header("a b")], ..plain() }),
            "invalid providers.p.claim_to_headers[0]: bad header name \"a b\"",
        ),
        (with(remote(|remote| remote.http_uri = None)), "invalid providers.p.remote_jwks: no http_uri"),
        (
            with(remote(|remote| remote.http_uri.as_mut().unwrap().uri = "/keys".into())),
            "invalid providers.p.remote_jwks: bad uri \"/keys\"",
        ),
        (
            with(remote(|remote| {
                let retry_on = "5xx".into();
                remote.retry_policy = Some(core::RetryPolicy { retry_on, ..Default::default() });
            })),
            "unsupported unsupported_field{RetryPolicy#3}",
        ),
    ];
    for (config, expect) in cases {
        assert_eq!(outcome(translate(&config)), expect);
    }
}

/// A requirement this version has never heard of must not pass as "nothing required".
#[test]
fn unknown_requirements_refuse_the_chain() {
    let mut any = pack(&config(vec![("p", provider("i"))], pb::JwtRequirement::default()));
    prost::encoding::string::encode(99, &"new".to_owned(), &mut any.value);
    let result = filter(&any, &mut Warnings::default());
    assert_eq!(outcome(result), "unsupported unsupported_jwt{a field of a newer version}");
}

#[test]
fn bottomless_requirements_are_invalid() {
    let mut deep = named("p");
    for _ in 0..1000 {
        deep = all(vec![deep]);
    }
    let got = outcome(translate(&config(vec![("p", provider("i"))], deep)));
    assert!(
        got.starts_with("invalid : JwtAuthentication") && got.ends_with("recursion limit reached"),
        "{got}"
    );
}
