//! Inline routes of an HTTP chain. Envoy: `config.route.v3.RouteConfiguration`.
//!
//! What one route cannot honour refuses that route only; what a virtual host or the table cannot, all its routes.

mod action;
mod headers;
mod per_filter;
mod retry;

use headers::mutations;
pub(super) use headers::mutations as header_mutations;

use super::pb::route as pb;
use super::problem::{At, Problem, Result, Warnings};
use super::rate_limit::descriptors::{self, Place};
use super::{ignored, matcher, values, wire};
use crate::model::Refusal;
use crate::model::descriptor::RateLimit;
use crate::model::rate_limit::RouteLimits;
use crate::model::route::{
    Domain, HeaderMutations, PathMatch, Route, RouteAction, RouteMatch, RouteTable, VirtualHost,
};
use bytes::Bytes;
use http::StatusCode;
use per_filter::PerFilter;
use std::sync::Arc;

/// What a table or virtual host gives to each of its routes.
#[derive(Default)]
struct Inherited {
    request_headers: HeaderMutations,
    response_headers: HeaderMutations,
    per_filter: PerFilter,
    rate_limits: Arc<[RateLimit]>,
    max_body: usize,
}

/// Envoy's default for `max_direct_response_body_size_bytes`.
const DIRECT_RESPONSE_BODY_BYTES: usize = 4096;

pub(super) fn table(mut config: pb::RouteConfiguration, warnings: &mut Warnings) -> Result<RouteTable> {
    let mut inherited = Inherited {
        request_headers: mutations(
            &mut config.request_headers_to_add,
            &mut config.request_headers_to_remove,
        )?,
        response_headers: mutations(
            &mut config.response_headers_to_add,
            &mut config.response_headers_to_remove,
        )?,
        per_filter: per_filter::configs(&mut config.typed_per_filter_config, warnings)?,
        rate_limits: Arc::default(),
        max_body: config
            .max_direct_response_body_size_bytes
            .take()
            .map_or(DIRECT_RESPONSE_BODY_BYTES, |n| n.value as usize),
    };
    inherited.max_body = inherited.max_body.min(crate::limits::DIRECT_RESPONSE_BODY_BYTES_MAX);
    let hosts = std::mem::take(&mut config.virtual_hosts);
    let hosts = hosts.into_iter().enumerate();
    let hosts = hosts.map(|(i, host)| virtual_host(host, &inherited, warnings).at_index("virtual_hosts", i));
    let virtual_hosts = hosts.collect::<Result<_>>()?;
    let name = std::mem::take(&mut config.name).into();
    ignored::route_configuration(&mut config);
    wire::nothing_left(&config)?;
    Ok(RouteTable { name, virtual_hosts })
}

fn virtual_host(
    mut host: pb::VirtualHost,
    table: &Inherited,
    warnings: &mut Warnings,
) -> Result<VirtualHost> {
    let rate_limits = std::mem::take(&mut host.rate_limits);
    let mut refusals = Refusals::default();
    let rate_limits = refusals.catch(descriptors::limits(rate_limits, Place::Route))?.unwrap_or_default();
    let request = mutations(&mut host.request_headers_to_add, &mut host.request_headers_to_remove);
    let response = mutations(&mut host.response_headers_to_add, &mut host.response_headers_to_remove);
    let request = refusals.catch(request)?.unwrap_or_default();
    let response = refusals.catch(response)?.unwrap_or_default();
    let inherited = Inherited {
        request_headers: headers::join(request, &table.request_headers),
        response_headers: headers::join(response, &table.response_headers),
        per_filter: per_filter::configs(&mut host.typed_per_filter_config, warnings)?.or(&table.per_filter),
        rate_limits: rate_limits.into(),
        max_body: table.max_body,
    };
    let name: Arc<str> = std::mem::take(&mut host.name).into();
    let domains = std::mem::take(&mut host.domains).iter().map(|domain| self::domain(domain)).collect();
    let include_request_attempt_count = std::mem::take(&mut host.include_request_attempt_count);
    let routes = std::mem::take(&mut host.routes);
    ignored::virtual_host(&mut host);
    refusals.catch(wire::nothing_left(&host))?;
    let routes = routes.into_iter().enumerate().map(|(index, route)| {
        let mut route = self::route(route, &inherited, warnings).at_index("routes", index)?;
        route.refusal = route.refusal.or_else(|| refusals.first.clone());
        Ok(Arc::new(route))
    });
    let routes = routes.collect::<Result<Vec<_>>>()?.into();
    Ok(VirtualHost { routes, name, domains, include_request_attempt_count })
}

fn domain(text: &str) -> Domain {
    let lower = text.to_ascii_lowercase();
    match (lower.strip_prefix('*'), lower.strip_suffix('*')) {
        (Some(""), _) => Domain::Any,
        (Some(suffix), _) => Domain::Suffix(suffix.into()),
        (None, Some(prefix)) => Domain::Prefix(prefix.into()),
        (None, None) => Domain::Exact(lower.into()),
    }
}

fn route(mut route: pb::Route, inherited: &Inherited, warnings: &mut Warnings) -> Result<Route> {
    let matched = route.r#match.take().ok_or_else(|| Problem::invalid("route without match"))?;
    let name: Arc<str> = std::mem::take(&mut route.name).into();
    let decorator =
        route.decorator.take().map(|decorator| values::header_text(&decorator.operation)).transpose();
    let istio_config =
        values::metadata_text(route.metadata.take().as_ref(), "istio", "config").map(Into::into);
    let mut refusals = Refusals::default();
    // A match that cannot be honoured must not fall through to the next route: it stands for everything.
    let matcher = refusals.catch(route_match(matched).at("match"))?.unwrap_or_else(any_request);
    let limits = refusals.catch(limits(&mut route.action))?.unwrap_or_default();
    let action = refusals.catch(action(route.action.take(), inherited))?.unwrap_or_else(unavailable);
    let per_filter = refusals
        .catch(per_filter::configs(&mut route.typed_per_filter_config, warnings))?
        .unwrap_or_default();
    let per_filter = per_filter.or(&inherited.per_filter);
    let request = mutations(&mut route.request_headers_to_add, &mut route.request_headers_to_remove);
    let response = mutations(&mut route.response_headers_to_add, &mut route.response_headers_to_remove);
    let request = refusals.catch(request.at("request_headers_to_add"))?.unwrap_or_default();
    let response = refusals.catch(response.at("response_headers_to_add"))?.unwrap_or_default();
    ignored::route(&mut route);
    refusals.catch(wire::nothing_left(&route))?;
    Ok(Route {
        name,
        matcher,
        action,
        request_headers: headers::join(request, &inherited.request_headers),
        response_headers: headers::join(response, &inherited.response_headers),
        fault: per_filter.fault,
        cors: per_filter.cors,
        ext_authz: per_filter.ext_authz,
        limits: RouteLimits {
            local: per_filter.local_rate_limits,
            global: per_filter.rate_limits,
            virtual_host: inherited.rate_limits.clone(),
            ..limits
        },
        decorator: decorator.at("decorator")?,
        istio_config,
        refusal: refusals.first,
    })
}

/// Collects the first thing a route cannot honour, and lets invalid ones through.
#[derive(Default)]
struct Refusals {
    first: Option<Refusal>,
}

impl Refusals {
    fn catch<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        Ok(match result.or_refusal()? {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.first.get_or_insert(refusal);
                None
            }
        })
    }
}

fn any_request() -> RouteMatch {
    RouteMatch {
        path: PathMatch::Any,
        headers: Vec::new(),
        query: Vec::new(),
        metadata: Vec::new(),
        grpc: false,
    }
}

/// Stands in a refused route; `Route::refusal` is looked at first.
fn unavailable() -> RouteAction {
    RouteAction::DirectResponse { status: StatusCode::SERVICE_UNAVAILABLE, body: Bytes::new() }
}

pub(super) fn route_match(mut matched: pb::RouteMatch) -> Result<RouteMatch> {
    use pb::route_match::PathSpecifier as Kind;
    let ignore_case = matched.case_sensitive.take().is_some_and(|sensitive| !sensitive.value);
    let path = match matched.path_specifier.take() {
        Some(Kind::Prefix(prefix)) if prefix == "/" || prefix.is_empty() => PathMatch::Any,
        Some(Kind::Prefix(prefix)) => PathMatch::Prefix { prefix: prefix.into(), ignore_case },
        Some(Kind::Path(path)) => PathMatch::Exact { path: path.into(), ignore_case },
        Some(Kind::PathSeparatedPrefix(prefix)) => {
            PathMatch::SegmentPrefix { prefix: prefix.into(), ignore_case }
        }
        Some(Kind::SafeRegex(regex)) => PathMatch::Regex(matcher::regex(&regex).at("safe_regex")?),
        Some(Kind::ConnectMatcher(_)) => {
            return Err(Problem::unsupported("unsupported_match", "connect_matcher"));
        }
        Some(Kind::PathMatchPolicy(policy)) => {
            return Err(Problem::unsupported("unsupported_match", policy.name));
        }
        None => return Err(Problem::unsupported("unsupported_match", "path_specifier")),
    };
    let headers = matcher::headers(&std::mem::take(&mut matched.headers))?;
    let query = std::mem::take(&mut matched.query_parameters);
    let query = query.iter().enumerate().map(|(i, one)| matcher::query(one).at_index("query_parameters", i));
    let query = query.collect::<Result<_>>()?;
    let metadata = std::mem::take(&mut matched.dynamic_metadata);
    let metadata =
        metadata.iter().enumerate().map(|(i, one)| matcher::metadata(one).at_index("dynamic_metadata", i));
    let metadata = metadata.collect::<Result<_>>()?;
    let grpc = matcher::empty(matched.grpc.take())?;
    wire::nothing_left(&matched)?;
    Ok(RouteMatch { path, headers, query, metadata, grpc })
}

/// What a route that forwards has of its own.
fn limits(action: &mut Option<pb::route::Action>) -> Result<RouteLimits> {
    let Some(pb::route::Action::Route(route)) = action else { return Ok(RouteLimits::default()) };
    let rate_limits =
        descriptors::limits(std::mem::take(&mut route.rate_limits), Place::Route).at("route")?;
    let include_virtual_host = route.include_vh_rate_limits.take().is_some_and(|include| include.value);
    Ok(RouteLimits { rate_limits, include_virtual_host, ..RouteLimits::default() })
}

fn action(action: Option<pb::route::Action>, inherited: &Inherited) -> Result<RouteAction> {
    match action {
        Some(pb::route::Action::Route(route)) => {
            action::forward(route).at("route").map(|forward| RouteAction::Forward(Box::new(forward)))
        }
        Some(pb::route::Action::Redirect(redirect)) => action::redirect(redirect)
            .at("redirect")
            .map(|redirect| RouteAction::Redirect(Box::new(redirect))),
        Some(pb::route::Action::DirectResponse(response)) => {
            direct_response(response, inherited).at("direct_response")
        }
        Some(pb::route::Action::FilterAction(_)) => {
            Err(Problem::unsupported("unsupported_action", "filter_action"))
        }
        Some(pb::route::Action::NonForwardingAction(_)) => {
            Err(Problem::unsupported("unsupported_action", "non_forwarding_action"))
        }
        None => Err(Problem::unsupported("unsupported_action", "unknown")),
    }
}

fn direct_response(mut response: pb::DirectResponseAction, inherited: &Inherited) -> Result<RouteAction> {
    let status = values::status(std::mem::take(&mut response.status)).at("status")?;
    let body = response.body.take().unwrap_or_default();
    let body = values::inline(&body).at("body")?;
    if body.len() > inherited.max_body {
        return Err(Problem::invalid(format_args!(
            "{} bytes, allowed are {}",
            body.len(),
            inherited.max_body
        )))
        .at("body");
    }
    wire::nothing_left(&response)?;
    Ok(RouteAction::DirectResponse { status, body: body.into() })
}

#[cfg(test)]
mod tests;
