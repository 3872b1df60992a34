//! One issuer: its keys, where its tokens are, what is made of their claims. Envoy: `JwtProvider`.

use super::super::pb::{core, jwt_authn as pb};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{ignored, matcher, values, wire};
use super::unsupported;
use crate::limits;
use crate::model::jwt::{
    Audiences, ClaimHeader, JwksSource, JwtLocation, JwtProvider, PayloadHeader, RemoteJwks,
};
use crate::policy::jwt::jwks;
use http::Uri;
use http::header::AUTHORIZATION;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub(super) type Providers = BTreeMap<String, Arc<JwtProvider>>;

pub(super) fn providers(
    configured: HashMap<String, pb::JwtProvider>,
    warnings: &mut Warnings,
) -> Result<Providers> {
    // Sorted first: which problem is reported must not depend on the order of a hash map.
    let configured: BTreeMap<_, _> = configured.into_iter().collect();
    let translate = |(name, provider): (String, pb::JwtProvider)| {
        let provider = self::provider(&name, provider, warnings).at(&name).at("providers")?;
        Ok((name, Arc::new(provider)))
    };
    configured.into_iter().map(translate).collect()
}

fn provider(name: &str, mut provider: pb::JwtProvider, warnings: &mut Warnings) -> Result<JwtProvider> {
    if !provider.failed_status_in_metadata.is_empty() {
        return Err(unsupported("failed_status_in_metadata"));
    }
    let skew = std::mem::take(&mut provider.clock_skew_seconds);
    let space_delimited =
        provider.normalize_payload_in_metadata.take().unwrap_or_default().space_delimited_claims;
    let translated = JwtProvider {
        name: name.into(),
        issuer: filled(&mut provider.issuer),
        audiences: Audiences::new(&std::mem::take(&mut provider.audiences)),
        subjects: provider.subjects.take().as_ref().map(matcher::string).transpose().at("subjects")?,
        require_expiration: std::mem::take(&mut provider.require_expiration),
        max_lifetime: values::optional_duration(provider.max_lifetime.take().as_ref()).at("max_lifetime")?,
        clock_skew: if skew == 0 { limits::JWT_CLOCK_SKEW } else { Duration::from_secs(skew.into()) },
        keys: keys(name, provider.jwks_source_specifier.take(), warnings)?,
        locations: locations(&mut provider)?,
        forward: std::mem::take(&mut provider.forward),
        payload_header: payload_header(&mut provider).at("forward_payload_header")?,
        claim_headers: claim_headers(std::mem::take(&mut provider.claim_to_headers))?,
        payload_in_metadata: filled(&mut provider.payload_in_metadata),
        header_in_metadata: filled(&mut provider.header_in_metadata),
        space_delimited_claims: space_delimited.into_iter().map(Into::into).collect(),
        clear_route_cache: std::mem::take(&mut provider.clear_route_cache),
    };
    ignored::jwt_provider(&mut provider);
    wire::nothing_left(&provider)?;
    Ok(translated)
}

fn filled(text: &mut String) -> Option<Box<str>> {
    Some(std::mem::take(text)).filter(|text| !text.is_empty()).map(Into::into)
}

fn payload_header(provider: &mut pb::JwtProvider) -> Result<Option<PayloadHeader>> {
    let padded = std::mem::take(&mut provider.pad_forward_payload_header);
    let name = std::mem::take(&mut provider.forward_payload_header);
    if name.is_empty() {
        return Ok(None);
    }
    values::header_name(&name).map(|name| Some(PayloadHeader { name, padded }))
}

fn claim_headers(list: Vec<pb::JwtClaimToHeader>) -> Result<Vec<ClaimHeader>> {
    let header = |claim: pb::JwtClaimToHeader| {
        let path: Box<[Box<str>]> = match (claim.claim_name.as_str(), claim.claim_path.as_slice()) {
            ("", []) => return Err(Problem::invalid("neither claim_name nor claim_path")),
            (name, []) => name.split('.').map(Into::into).collect(),
            ("", path) => path.iter().map(|segment| segment.key.as_str().into()).collect(),
            _ => return Err(Problem::invalid("claim_name and claim_path together")),
        };
        Ok(ClaimHeader { name: values::header_name(&claim.header_name)?, path })
    };
    let list = list.into_iter().enumerate();
    list.map(|(index, claim)| header(claim).at_index("claim_to_headers", index)).collect()
}

/// Envoy: sorted by name within each kind; without any, the two places of RFC 6750.
fn locations(provider: &mut pb::JwtProvider) -> Result<Vec<JwtLocation>> {
    let headers = std::mem::take(&mut provider.from_headers).into_iter().map(|header| {
        let key = header.name.to_ascii_lowercase() + &header.value_prefix;
        let name = values::header_name(&header.name).at("from_headers")?;
        Ok((key, JwtLocation::Header { name, prefix: header.value_prefix.into() }))
    });
    let headers: BTreeMap<String, JwtLocation> = headers.collect::<Result<_>>()?;
    let mut locations: Vec<JwtLocation> = headers.into_values().collect();
    let mut parameters = std::mem::take(&mut provider.from_params);
    let mut cookies = std::mem::take(&mut provider.from_cookies);
    for names in [&mut parameters, &mut cookies] {
        names.sort();
        names.dedup();
    }
    locations.extend(parameters.into_iter().map(|name| JwtLocation::Parameter(name.into())));
    locations.extend(cookies.into_iter().map(|name| JwtLocation::Cookie(name.into())));
    if locations.is_empty() {
        locations.push(JwtLocation::Header { name: AUTHORIZATION, prefix: "Bearer ".into() });
        locations.push(JwtLocation::Parameter("access_token".into()));
    }
    Ok(locations)
}

fn keys(
    name: &str,
    source: Option<pb::jwt_provider::JwksSourceSpecifier>,
    warnings: &mut Warnings,
) -> Result<JwksSource> {
    use pb::jwt_provider::JwksSourceSpecifier as Kind;
    match source {
        Some(Kind::LocalJwks(source)) => {
            let keys = jwks::parse(&values::inline(&source).at("local_jwks")?);
            let keys = keys.inspect_err(|error| {
                warnings
                    .push_here(format!("provider {name} accepts no token, its keys are unusable: {error}"));
            });
            Ok(JwksSource::Local(keys.ok().map(Arc::new)))
        }
        Some(Kind::RemoteJwks(remote)) => {
            remote_jwks(remote).at("remote_jwks").map(|remote| JwksSource::Remote(Arc::new(remote)))
        }
        None => Err(Problem::invalid("neither local_jwks nor remote_jwks")),
    }
}

fn remote_jwks(mut remote: pb::RemoteJwks) -> Result<RemoteJwks> {
    ignored::remote_jwks(&mut remote);
    let mut http = remote.http_uri.take().ok_or_else(|| Problem::invalid("no http_uri"))?;
    let Some(core::http_uri::HttpUpstreamType::Cluster(cluster)) = http.http_upstream_type.take() else {
        return Err(Problem::invalid("http_uri without cluster"));
    };
    let text = std::mem::take(&mut http.uri);
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.authority().is_some());
    let uri = uri.ok_or_else(|| Problem::invalid(format_args!("bad uri {text:?}")))?;
    let timeout = values::limit(http.timeout.take().as_ref()).at("timeout")?;
    wire::nothing_left(&http)?;
    let mut fetch = remote.async_fetch.take().unwrap_or_default();
    let refetch =
        values::limit(fetch.failed_refetch_duration.take().as_ref()).at("failed_refetch_duration")?;
    wire::nothing_left(&fetch)?;
    let cache = values::limit(remote.cache_duration.take().as_ref()).at("cache_duration")?;
    let retry = remote.retry_policy.take().map(retry).transpose().at("retry_policy")?;
    let (retries, back_off_base, back_off_max) = retry.unwrap_or_default();
    wire::nothing_left(&remote)?;
    Ok(RemoteJwks {
        cluster: cluster.into(),
        authority: uri.authority().map_or("", |authority| authority.as_str()).into(),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).into(),
        timeout: timeout.unwrap_or(limits::JWKS_TIMEOUT),
        cache_duration: cache.unwrap_or(limits::JWKS_CACHE_DURATION),
        refetch_after_failure: refetch.unwrap_or(limits::JWKS_REFETCH_AFTER_FAILURE),
        retries,
        back_off_base,
        back_off_max,
    })
}

/// Retries, first and longest pause.
fn retry(mut policy: core::RetryPolicy) -> Result<(u32, Duration, Duration)> {
    let retries = policy.num_retries.take().map_or(1, |number| number.value).min(limits::JWKS_RETRIES_MAX);
    let back_off = policy.retry_back_off.take().unwrap_or_default();
    wire::nothing_left(&policy)?;
    let base = values::limit(back_off.base_interval.as_ref()).at("base_interval")?;
    let base = base.unwrap_or(limits::JWKS_BACK_OFF_BASE);
    let max = values::limit(back_off.max_interval.as_ref()).at("max_interval")?;
    Ok((retries, base, max.unwrap_or(base * 10).max(base)))
}
