//! `istio.stats`: which metrics are wanted. Istio: `stats.PluginConfig`, built by `pilot/pkg/model/telemetry.go`.
//!
//! Telemetry only, so nothing here refuses a chain.

use super::pb::{protobuf::Any, stats as pb};
use super::problem::{At, Problem, Result, Warnings};
use super::values;
use crate::model::http_chain::StatsFilter;

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
            filter.removed_tags.push((name.into(), tag.into()));
        }
        for tag in metric.dimensions.keys() {
            warnings.push(format!("istio.stats: the CEL expression of tag {tag} is not honoured"));
        }
    }
    Ok(filter)
}

/// Istio's protos use `prost-types`, Envoy's their own copy.
fn protobuf(duration: prost_types::Duration) -> super::pb::protobuf::Duration {
    super::pb::protobuf::Duration { seconds: duration.seconds, nanos: duration.nanos }
}
