//! What requests are counted by. Envoy: `config.route.v3.RateLimit`.

use super::super::pb::{matcher as pb_matcher, metadata as pb_metadata, route as pb, types};
use super::super::problem::{At, Problem, Result};
use super::super::{ignored, matcher, values, wire};
use crate::model::descriptor::{
    Action, FixedEntry, LimitOverride, MetadataKey, RateLimit, RateOverride, Told, Unit,
};
use crate::model::matcher::HeaderKey;
use std::sync::Arc;

const UNSUPPORTED: &str = "unsupported_rate_limit";

/// Envoy: stages are 0 to 10, hits at most a billion.
const STAGE_MAX: u32 = 10;
const HITS_MAX: u64 = 1_000_000_000;

/// Where entries stand decides what they may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::translate) enum Place {
    /// A route or a virtual host, for filters of any kind.
    Route,
    /// In the configuration of a filter that counts here.
    Local,
    /// In the configuration of a filter that asks a service.
    Global,
}

pub(in crate::translate) fn limits(list: Vec<pb::RateLimit>, place: Place) -> Result<Vec<RateLimit>> {
    let list = list.into_iter().enumerate();
    list.map(|(index, limit)| self::limit(limit, place).at_index("rate_limits", index)).collect()
}

pub(in crate::translate) fn stage(stage: u32) -> Result<u32> {
    if stage <= STAGE_MAX {
        Ok(stage)
    } else {
        Err(Problem::invalid(format_args!("stage {stage} is above 10")))
    }
}

fn limit(mut limit: pb::RateLimit, place: Place) -> Result<RateLimit> {
    let has_disable_key = !std::mem::take(&mut limit.disable_key).is_empty();
    let stage = limit.stage.take();
    if place != Place::Route && (has_disable_key || stage.is_some()) {
        return Err(Problem::invalid("stage and disable_key are for routes"));
    }
    let actions = std::mem::take(&mut limit.actions);
    if actions.is_empty() {
        return Err(Problem::invalid("no actions"));
    }
    let actions = actions.into_iter().enumerate();
    let actions = actions.map(|(index, action)| self::action(action).at_index("actions", index));
    let translated = RateLimit {
        stage: self::stage(stage.map_or(0, |stage| stage.value)).at("stage")?,
        has_disable_key,
        actions: actions.collect::<Result<_>>()?,
        limit: limit.limit.take().map(|limit| limit_override(limit, place)).transpose().at("limit")?,
        hits: limit.hits_addend.take().map(|hits| self::hits(hits, place)).transpose().at("hits_addend")?,
        told: told(std::mem::take(&mut limit.x_ratelimit_option))?,
    };
    wire::nothing_left(&limit)?; // apply_on_stream_done among them
    Ok(translated)
}

fn told(option: i32) -> Result<Told> {
    use pb::rate_limit::XRateLimitOption as Option;
    Ok(match wire::enum_value(option, "x_ratelimit_option")? {
        Option::Unspecified => Told::AsFilter,
        Option::Off => Told::Never,
        Option::DraftVersion03 => Told::Always,
    })
}

/// Envoy heeds it in configurations of filters only.
fn hits(mut hits: pb::rate_limit::HitsAddend, place: Place) -> Result<u64> {
    let number = hits.number.take().map(|number| number.value);
    if place == Place::Route {
        return Err(Problem::unsupported(UNSUPPORTED, "hits_addend of a route"));
    }
    wire::nothing_left(&hits)?; // formats, and tokens that are given back
    match number {
        Some(number @ 0..=HITS_MAX) => Ok(number),
        Some(number) => Err(Problem::invalid(format_args!("{number} is above {HITS_MAX}"))),
        None => Err(Problem::invalid("neither number nor format")),
    }
}

fn limit_override(limit: pb::rate_limit::Override, place: Place) -> Result<LimitOverride> {
    use pb::rate_limit::r#override::OverrideSpecifier as Kind;
    if place == Place::Local {
        return Err(Problem::invalid("local limits take no override"));
    }
    match limit.override_specifier {
        Some(Kind::RateLimit(fixed)) => {
            let unit = wire::enum_value(fixed.unit, "unit")?;
            Ok(LimitOverride::Fixed(RateOverride {
                requests: fixed.requests_per_unit,
                unit: self::unit(unit),
            }))
        }
        Some(Kind::DynamicMetadata(dynamic)) => {
            metadata_key(dynamic.metadata_key).at("metadata_key").map(LimitOverride::Metadata)
        }
        None => Err(Problem::unsupported(UNSUPPORTED, "limit")),
    }
}

fn unit(unit: types::RateLimitUnit) -> Unit {
    match unit {
        types::RateLimitUnit::Unknown => Unit::Unknown,
        types::RateLimitUnit::Second => Unit::Second,
        types::RateLimitUnit::Minute => Unit::Minute,
        types::RateLimitUnit::Hour => Unit::Hour,
        types::RateLimitUnit::Day => Unit::Day,
        types::RateLimitUnit::Month => Unit::Month,
        types::RateLimitUnit::Year => Unit::Year,
    }
}

fn action(action: pb::rate_limit::Action) -> Result<Action> {
    use pb::rate_limit::action::ActionSpecifier as Kind;
    Ok(match action.action_specifier {
        Some(Kind::SourceCluster(_)) => Action::SourceCluster,
        Some(Kind::DestinationCluster(_)) => Action::DestinationCluster,
        Some(Kind::RequestHeaders(header)) => Action::RequestHeader {
            header: header_key(&header.header_name)?,
            key: key(header.descriptor_key)?,
            skip_if_absent: header.skip_if_absent,
        },
        Some(Kind::QueryParameters(query)) => Action::QueryParameter {
            name: query.query_parameter_name.into(),
            key: key(query.descriptor_key)?,
            skip_if_absent: query.skip_if_absent,
        },
        Some(Kind::RemoteAddress(_)) => Action::RemoteAddress,
        Some(Kind::MaskedRemoteAddress(masked)) => Action::MaskedRemoteAddress {
            v4: prefix_length(masked.v4_prefix_mask_len.map(|length| length.value), 32)?,
            v6: prefix_length(masked.v6_prefix_mask_len.map(|length| length.value), 128)?,
        },
        Some(Kind::RemoteAddressMatch(address)) => remote_address_match(address)?,
        Some(Kind::GenericKey(mut generic)) => {
            ignored::generic_key(&mut generic);
            Action::GenericKey(entry(generic.descriptor_key, "generic_key", generic.descriptor_value)?)
        }
        Some(Kind::HeaderValueMatch(matched)) => header_match(matched)?,
        Some(Kind::QueryParameterValueMatch(matched)) => query_match(matched)?,
        Some(Kind::DynamicMetadata(dynamic)) => Action::Metadata {
            key: key(dynamic.descriptor_key)?,
            source: metadata_key(dynamic.metadata_key)?,
            default: Some(dynamic.default_value).filter(|value| !value.is_empty()).map(Into::into),
            skip_if_absent: false,
        },
        Some(Kind::Metadata(metadata)) => self::metadata(metadata)?,
        Some(Kind::Extension(extension)) => {
            // By its type: its name is a label.
            let kind = extension.typed_config.as_ref().map_or("extension", wire::type_name);
            return Err(Problem::unsupported(UNSUPPORTED, kind));
        }
        None => return Err(Problem::unsupported(UNSUPPORTED, "action")),
    })
}

fn header_key(name: &str) -> Result<HeaderKey> {
    match matcher::header_key(name)? {
        HeaderKey::Name(name) if name.as_str().starts_with(':') => {
            Err(Problem::invalid(format_args!("no such header {name}")))
        }
        key => Ok(key),
    }
}

fn key(key: String) -> Result<Arc<str>> {
    if key.is_empty() { Err(Problem::invalid("no descriptor_key")) } else { Ok(key.into()) }
}

fn entry(key: String, default: &str, value: String) -> Result<FixedEntry> {
    if value.is_empty() {
        return Err(Problem::invalid("no descriptor_value"));
    }
    let key = if key.is_empty() { default.into() } else { key.into() };
    Ok(FixedEntry { key, value: value.into() })
}

fn prefix_length(length: Option<u32>, most: u8) -> Result<u8> {
    let length = length.map_or(Ok(most), u8::try_from).ok().filter(|length| *length <= most);
    length.ok_or_else(|| Problem::invalid("prefix length out of range"))
}

fn remote_address_match(address: pb::rate_limit::action::RemoteAddressMatch) -> Result<Action> {
    // Here, unlike elsewhere, Envoy takes it for a format.
    if address.descriptor_value.contains('%') {
        return Err(Problem::unsupported(UNSUPPORTED, "format in remote_address_match"));
    }
    let value =
        Some(address.descriptor_value).filter(|value| !value.is_empty()).unwrap_or(address.default_value);
    let pb_matcher::AddressMatcher { ranges, invert_match } =
        address.address_matcher.ok_or_else(|| Problem::invalid("no address_matcher"))?;
    Ok(Action::RemoteAddressMatch {
        entry: entry(address.descriptor_key, "remote_address_match", value)?,
        ranges: ranges.iter().map(values::xds_cidr).collect::<Result<_>>()?,
        invert: invert_match,
    })
}

fn header_match(mut matched: pb::rate_limit::action::HeaderValueMatch) -> Result<Action> {
    ignored::header_value_match(&mut matched);
    if matched.headers.is_empty() {
        return Err(Problem::invalid("no headers"));
    }
    Ok(Action::HeaderMatch {
        entry: entry(matched.descriptor_key, "header_match", matched.descriptor_value)?,
        headers: matcher::headers(&matched.headers)?,
        expect: matched.expect_match.is_none_or(|expect| expect.value),
    })
}

fn query_match(mut matched: pb::rate_limit::action::QueryParameterValueMatch) -> Result<Action> {
    ignored::query_parameter_value_match(&mut matched);
    if matched.query_parameters.is_empty() {
        return Err(Problem::invalid("no query_parameters"));
    }
    let parameters = matched.query_parameters.iter().enumerate();
    let parameters = parameters.map(|(index, one)| matcher::query(one).at_index("query_parameters", index));
    Ok(Action::QueryMatch {
        entry: entry(matched.descriptor_key, "query_match", matched.descriptor_value)?,
        parameters: parameters.collect::<Result<_>>()?,
        expect: matched.expect_match.is_none_or(|expect| expect.value),
    })
}

fn metadata(metadata: pb::rate_limit::action::MetaData) -> Result<Action> {
    use pb::rate_limit::action::meta_data::Source;
    let source: Source = wire::enum_value(metadata.source, "source")?;
    if source != Source::Dynamic {
        return Err(Problem::unsupported(UNSUPPORTED, format!("metadata of {}", source.as_str_name())));
    }
    Ok(Action::Metadata {
        key: key(metadata.descriptor_key)?,
        source: metadata_key(metadata.metadata_key)?,
        default: Some(metadata.default_value).filter(|value| !value.is_empty()).map(Into::into),
        skip_if_absent: metadata.skip_if_absent,
    })
}

fn metadata_key(key: Option<pb_metadata::MetadataKey>) -> Result<MetadataKey> {
    use pb_metadata::metadata_key::path_segment::Segment;
    let key = key.ok_or_else(|| Problem::invalid("no metadata_key"))?;
    let path = key.path.into_iter().map(|segment| match segment.segment {
        Some(Segment::Key(key)) => Ok(key.into()),
        Some(Segment::Index(_)) | None => Err(Problem::unsupported(UNSUPPORTED, "metadata path")),
    });
    Ok(MetadataKey { filter: key.key.into(), path: path.collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests;
