//! What a request is counted by. Envoy: `Router::RateLimitPolicyEntryImpl`, `Common::RateLimit::RateLimitConfig`.
//!
//! Invariant: an action with nothing to add drops its whole descriptor, so a limit never counts by half of its key.

use crate::matching::view::{NetworkView, RequestView};
use crate::matching::{header, query};
use crate::model::descriptor::{
    Action, FixedEntry, LimitOverride, MetadataKey, RateLimit, RateOverride, Told, Unit, VirtualHostLimits,
};
use crate::model::global_rate_limit::{GlobalRateLimit, RateLimitPerRoute};
use crate::model::matcher::HeaderKey;
use crate::model::metadata::MetadataValue;
use crate::model::rate_limit::{LocalRateLimit, RouteLimits};
use http::header::HOST;
use ipnet::IpNet;
use std::borrow::Cow;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor<'a> {
    pub entries: Vec<Entry<'a>>,
    pub limit: Option<RateOverride>,
    pub hits: Option<u64>,
    pub told: Told,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub key: &'a str,
    pub value: Cow<'a, str>,
}

/// What is described.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub network: NetworkView<'a>,
    /// `None` of a CONNECT: it has no path, and headers only its ztunnel writes.
    pub request: Option<RequestView<'a>>,
    /// Of a route that forwards.
    pub route: Option<&'a RouteLimits>,
    /// The cluster it goes to.
    pub destination: Option<&'a str>,
    /// Ours: `<name>.<namespace>`.
    pub service_cluster: &'a str,
}

/// For a filter that counts here; none where no bucket is for descriptors.
#[must_use]
pub fn local<'a>(config: &'a LocalRateLimit, subject: &Subject<'a>) -> Vec<Descriptor<'a>> {
    if config.descriptors.is_empty() {
        return Vec::new();
    }
    if !config.rate_limits.is_empty() {
        return of(config.rate_limits.iter(), subject);
    }
    let limits = of_route(subject.route, config.stage, config.virtual_host);
    of(limits.filter(|limit| !limit.has_disable_key), subject)
}

/// For a filter that asks a service; none where the request goes nowhere.
#[must_use]
pub fn global<'a>(
    config: &'a GlobalRateLimit,
    per_route: Option<&'a RateLimitPerRoute>,
    subject: &Subject<'a>,
) -> Vec<Descriptor<'a>> {
    if subject.route.is_none() {
        return Vec::new();
    }
    let embedded = per_route.map(|per_route| &per_route.rate_limits).filter(|limits| !limits.is_empty());
    let embedded = embedded.unwrap_or(&config.rate_limits);
    if !embedded.is_empty() {
        return of(embedded.iter(), subject);
    }
    let virtual_host = per_route.map(|per_route| per_route.virtual_host).unwrap_or_default();
    of(of_route(subject.route, config.stage, virtual_host), subject)
}

/// The route's entries, and its virtual host's as far as they count.
fn of_route(
    route: Option<&RouteLimits>,
    stage: u32,
    option: VirtualHostLimits,
) -> impl Iterator<Item = &RateLimit> {
    let all = route.into_iter().flat_map(move |route| {
        let included = match option {
            _ if route.include_virtual_host => true,
            VirtualHostLimits::Include => true,
            VirtualHostLimits::Ignore => false,
            VirtualHostLimits::Override => route.rate_limits.is_empty(),
        };
        route.rate_limits.iter().chain(route.virtual_host.iter().filter(move |_| included))
    });
    all.filter(move |limit| limit.stage == stage)
}

fn of<'a>(limits: impl Iterator<Item = &'a RateLimit>, subject: &Subject<'a>) -> Vec<Descriptor<'a>> {
    limits.filter_map(|limit| descriptor(limit, subject)).collect()
}

fn descriptor<'a>(limit: &'a RateLimit, subject: &Subject<'a>) -> Option<Descriptor<'a>> {
    let mut entries = Vec::with_capacity(limit.actions.len());
    for action in &limit.actions {
        match entry(action, subject) {
            Found::Entry(key, value) => entries.push(Entry { key, value }),
            Found::Skip => {}
            Found::Nothing => return None,
        }
    }
    let limit_override = limit.limit.as_ref().and_then(|limit| rate_override(limit, subject));
    Some(Descriptor { entries, limit: limit_override, hits: limit.hits, told: limit.told })
}

enum Found<'a> {
    Entry(&'a str, Cow<'a, str>),
    /// The descriptor goes without.
    Skip,
    Nothing,
}

impl<'a> Found<'a> {
    fn value(key: &'a str, value: Option<Cow<'a, str>>, skip_if_absent: bool) -> Self {
        match value {
            Some(value) => Self::Entry(key, value),
            None if skip_if_absent => Self::Skip,
            None => Self::Nothing,
        }
    }

    fn fixed_if(entry: &'a FixedEntry, condition: bool) -> Self {
        if condition { Self::Entry(&entry.key, Cow::Borrowed(&entry.value)) } else { Self::Nothing }
    }
}

fn entry<'a>(action: &'a Action, subject: &Subject<'a>) -> Found<'a> {
    match action {
        Action::SourceCluster => Found::Entry("source_cluster", subject.service_cluster.into()),
        Action::DestinationCluster => {
            Found::value("destination_cluster", subject.destination.map(Cow::Borrowed), false)
        }
        Action::RequestHeader { header, key, skip_if_absent } => {
            let value = subject.request.and_then(|request| header_value(header, request));
            Found::value(key, value, *skip_if_absent)
        }
        Action::QueryParameter { name, key, skip_if_absent } => {
            let query = subject.request.and_then(|request| request.path.query());
            Found::value(key, query::decoded_value(query, name).map(text), *skip_if_absent)
        }
        Action::RemoteAddress => Found::Entry("remote_address", remote_ip(subject).to_string().into()),
        Action::MaskedRemoteAddress { v4, v6 } => {
            Found::value("masked_remote_address", masked(remote_ip(subject), *v4, *v6), false)
        }
        Action::RemoteAddressMatch { entry, ranges, invert } => {
            let ip = remote_ip(subject);
            Found::fixed_if(entry, ranges.iter().any(|range| range.contains(&ip)) != *invert)
        }
        Action::GenericKey(entry) => Found::fixed_if(entry, true),
        Action::HeaderMatch { entry, headers, expect } => {
            let matches = subject
                .request
                .map(|request| headers.iter().all(|matcher| header::matches(matcher, &request)));
            Found::fixed_if(entry, matches == Some(*expect))
        }
        Action::QueryMatch { entry, parameters, expect } => {
            let matches = subject.request.map(|request| {
                parameters.iter().all(|matcher| {
                    query::matches_value(matcher, query::decoded_value(request.path.query(), &matcher.name))
                })
            });
            Found::fixed_if(entry, matches == Some(*expect))
        }
        Action::Metadata { key, source, default, skip_if_absent } => {
            let value = metadata_text(source, subject).or(default.as_deref());
            Found::value(key, value.map(Cow::Borrowed), *skip_if_absent)
        }
    }
}

/// The first value of a repeated header.
fn header_value<'a>(key: &HeaderKey, request: RequestView<'a>) -> Option<Cow<'a, str>> {
    Some(match key {
        HeaderKey::Method => request.method.into(),
        HeaderKey::Path => request.path.as_str().into(),
        HeaderKey::Authority => request.authority.into(),
        HeaderKey::Scheme => request.scheme.into(),
        HeaderKey::Name(name) if *name == HOST => request.authority.into(),
        HeaderKey::Name(name) => String::from_utf8_lossy(request.headers.get(name)?.as_bytes()),
    })
}

fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

fn remote_ip(subject: &Subject<'_>) -> IpAddr {
    subject.request.map_or(subject.network.source_ip, |request| request.remote_ip)
}

fn masked(ip: IpAddr, v4: u8, v6: u8) -> Option<Cow<'static, str>> {
    let length = if ip.is_ipv4() { v4 } else { v6 };
    IpNet::new(ip, length).ok().map(|net| net.trunc().to_string().into())
}

fn metadata_text<'a>(source: &MetadataKey, subject: &Subject<'a>) -> Option<&'a str> {
    match subject.network.metadata.value(&source.filter, &source.path)? {
        MetadataValue::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Envoy: one that cannot be read is none.
fn rate_override(limit: &LimitOverride, subject: &Subject<'_>) -> Option<RateOverride> {
    let source = match limit {
        LimitOverride::Fixed(limit) => return Some(*limit),
        LimitOverride::Metadata(source) => source,
    };
    let MetadataValue::Struct(fields) = subject.network.metadata.value(&source.filter, &source.path)? else {
        return None;
    };
    match (fields.get("requests_per_unit")?, fields.get("unit")?) {
        (MetadataValue::Number(requests), MetadataValue::String(unit)) => {
            Some(RateOverride { requests: *requests as u32, unit: unit_named(unit)? })
        }
        _ => None,
    }
}

fn unit_named(name: &str) -> Option<Unit> {
    Some(match name {
        "UNKNOWN" => Unit::Unknown,
        "SECOND" => Unit::Second,
        "MINUTE" => Unit::Minute,
        "HOUR" => Unit::Hour,
        "DAY" => Unit::Day,
        "MONTH" => Unit::Month,
        "YEAR" => Unit::Year,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
