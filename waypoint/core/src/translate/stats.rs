//! `istio.stats`: which metrics are wanted. Istio: `stats.PluginConfig`, built by `pilot/pkg/model/telemetry.go`.
//!
//! Telemetry only, so nothing here refuses a chain.

use super::pb::{protobuf::Any, stats as pb};
use super::problem::{At, Problem, Result, Warnings};
use super::{cel, values};
use crate::model::http_chain::{StatsFilter, TagOverride};
use std::sync::Arc;

/// `any` is known to be a `stats.PluginConfig`.
pub(super) fn filter(any: &Any, warnings: &mut Warnings) -> Result<StatsFilter> {
    let config =
        <pb::PluginConfig as prost::Message>::decode(any.value.as_slice()).map_err(Problem::invalid)?;
    let mut filter = StatsFilter {
        disable_host_header_fallback: config.disable_host_header_fallback,
        tcp_reporting_interval: values::limit(config.tcp_reporting_duration.map(protobuf).as_ref())
            .at("tcp_reporting_duration")?,
        ..StatsFilter::default()
    };
    if config.reporter != pb::Reporter::ServerGateway as i32 {
        warnings.push("istio.stats: metrics are reported as a waypoint's, whatever the reporter says");
    }
    if !config.definitions.is_empty() {
        warnings.push("istio.stats: metric definitions are not honoured");
    }
    if config.rotation_interval.is_some() {
        warnings.push("istio.stats: series are dropped when their workloads go, not by rotation");
    }
    for metric in config.metrics {
        // istiod leaves `istio_` off; whoever writes PluginConfig by hand may not.
        let name = metric.name.strip_prefix("istio_").unwrap_or(&metric.name);
        if metric.drop {
            filter.dropped.push(name.into());
        }
        for tag in metric.tags_to_remove {
            filter.tags.push(TagOverride { metric: name.into(), tag: tag.into(), value: None });
        }
        // A map of protobuf has no order; Envoy sorts too.
        let mut dimensions: Vec<_> = metric.dimensions.into_iter().collect();
        dimensions.sort_unstable();
        for (tag, text) in dimensions {
            filter.tags.push(TagOverride { metric: name.into(), ..dimension(&tag, &text, warnings) });
        }
    }
    Ok(filter)
}

/// A tag we cannot evaluate is left out: its usual value would be taken for the expression's. Envoy does the same where
/// it cannot parse one.
fn dimension(tag: &str, text: &str, warnings: &mut Warnings) -> TagOverride {
    let name: String =
        tag.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    let value =
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || RESERVED.contains(&&*name) {
            Err(Problem::unsupported("unsupported_tag", tag))
        } else {
            cel::expression(text, warnings)
        };
    let value = value.map_err(|problem| match problem {
        Problem::Unsupported { kind, what } => {
            warnings.push(format!("istio.stats: tag {tag} is left out: {kind}{{{what}}}"));
        }
        Problem::Invalid { reason, .. } => {
            warnings.push(format!("istio.stats: tag {tag} is left out: {reason}"));
        }
    });
    TagOverride { metric: Arc::default(), tag: name.into(), value: value.ok() }
}

/// Label names Prometheus keeps for itself.
const RESERVED: &[&str] = &["le", "quantile"];

/// Istio's protos use `prost-types`, Envoy's their own copy.
fn protobuf(duration: prost_types::Duration) -> super::pb::protobuf::Duration {
    super::pb::protobuf::Duration { seconds: duration.seconds, nanos: duration.nanos }
}

#[cfg(test)]
mod tests;
