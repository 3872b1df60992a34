//! Load balancing and outlier detection of a cluster.

use super::super::pb::cluster::{self as pb, cluster as inner};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{ignored, values, wire};
use crate::model::cluster::{BalancePolicy, Balancing, OutlierDetection, SlowStart};
use std::time::Duration;

/// Envoy's default, percent.
pub(super) const OVERPROVISIONING_FACTOR: u32 = 140;
/// Envoy's default panic threshold, percent.
const PANIC_THRESHOLD: f64 = 50.0;
const RING_MIN: u64 = 1024;
const RING_MAX: u64 = 8 << 20;
const MAGLEV_TABLE: u64 = 65_537;

pub(super) fn balancing(
    proto: &mut pb::Cluster,
    overprovisioning: Option<u32>,
    warnings: &mut Warnings,
) -> Result<Balancing> {
    use inner::common_lb_config::LocalityConfigSpecifier as Locality;
    let policy = policy(proto).at("lb_policy")?;
    let mut common = proto.common_lb_config.take().unwrap_or_default();
    let panic = common.healthy_panic_threshold.take().map_or(PANIC_THRESHOLD, |percent| percent.value);
    let locality_weighted = match common.locality_config_specifier.take() {
        Some(Locality::LocalityWeightedLbConfig(_)) => true,
        Some(Locality::ZoneAwareLbConfig(_)) => {
            warnings.push("zone-aware balancing is not honoured: endpoints of all zones are taken alike");
            false
        }
        None => false,
    };
    ignored::common_lb(&mut common);
    wire::nothing_left(&common)?;
    Ok(Balancing {
        policy,
        panic_threshold_percent: panic.clamp(0.0, 100.0),
        locality_weighted,
        overprovisioning_factor: overprovisioning.unwrap_or(OVERPROVISIONING_FACTOR),
    })
}

fn policy(proto: &mut pb::Cluster) -> Result<BalancePolicy> {
    use inner::{LbConfig, LbPolicy};
    let policy = wire::enum_value(std::mem::take(&mut proto.lb_policy), "lb_policy")?;
    match (policy, proto.lb_config.take()) {
        (LbPolicy::RoundRobin, None) => Ok(BalancePolicy::RoundRobin { slow_start: None }),
        (LbPolicy::RoundRobin, Some(LbConfig::RoundRobinLbConfig(config))) => {
            Ok(BalancePolicy::RoundRobin { slow_start: slow_start(config.slow_start_config)? })
        }
        (LbPolicy::LeastRequest, None) => Ok(BalancePolicy::LeastRequest { choices: 2, slow_start: None }),
        (LbPolicy::LeastRequest, Some(LbConfig::LeastRequestLbConfig(config))) => {
            if config.active_request_bias.is_some() {
                return Err(Problem::unsupported("unsupported_balancer", "active_request_bias"));
            }
            let choices = config.choice_count.map_or(2, |count| count.value).max(2);
            Ok(BalancePolicy::LeastRequest { choices, slow_start: slow_start(config.slow_start_config)? })
        }
        (LbPolicy::Random, None) => Ok(BalancePolicy::Random),
        (LbPolicy::RingHash, config) => ring(config.as_ref()),
        (LbPolicy::Maglev, None) => Ok(BalancePolicy::Maglev { table_size: MAGLEV_TABLE }),
        (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(config))) => Ok(BalancePolicy::Maglev {
            table_size: config.table_size.map_or(MAGLEV_TABLE, |size| size.value),
        }),
        (LbPolicy::ClusterProvided, None) => Ok(BalancePolicy::ClusterProvided),
        (policy, _) => Err(Problem::unsupported("unsupported_balancer", policy.as_str_name())),
    }
}

fn ring(config: Option<&inner::LbConfig>) -> Result<BalancePolicy> {
    use inner::ring_hash_lb_config::HashFunction;
    let config = match config {
        None => inner::RingHashLbConfig::default(),
        Some(inner::LbConfig::RingHashLbConfig(config)) => *config,
        Some(_) => return Err(Problem::unsupported("unsupported_balancer", "RING_HASH")),
    };
    if config.hash_function != HashFunction::XxHash as i32 {
        return Err(Problem::unsupported("unsupported_balancer", "hash_function"));
    }
    let minimum_size = config.minimum_ring_size.map_or(RING_MIN, |size| size.value);
    let maximum_size = config.maximum_ring_size.map_or(RING_MAX, |size| size.value);
    if minimum_size > maximum_size || maximum_size > RING_MAX {
        return Err(Problem::invalid(format_args!(
            "ring size {minimum_size}..{maximum_size}, at most {RING_MAX}"
        )));
    }
    Ok(BalancePolicy::RingHash { minimum_size, maximum_size })
}

fn slow_start(config: Option<inner::SlowStartConfig>) -> Result<Option<SlowStart>> {
    let Some(config) = config else { return Ok(None) };
    let Some(window) = values::limit(config.slow_start_window.as_ref())? else { return Ok(None) };
    // Envoy's defaults: linear, from 10 % of the weight.
    let aggression = config.aggression.map_or(1.0, |aggression| aggression.default_value);
    let min_weight_percent = config.min_weight_percent.map_or(10.0, |percent| percent.value);
    Ok(Some(SlowStart { window, aggression, min_weight_percent }))
}

pub(super) fn outlier(mut outlier: pb::OutlierDetection) -> Result<OutlierDetection> {
    let split = std::mem::take(&mut outlier.split_external_local_origin_errors);
    let enforced_5xx = enforced(outlier.enforcing_consecutive_5xx.take(), 100)?;
    let enforced_gateway = enforced(outlier.enforcing_consecutive_gateway_failure.take(), 0)?;
    let enforced_local = enforced(outlier.enforcing_consecutive_local_origin_failure.take(), 100)?;
    for (value, what) in [
        (outlier.enforcing_success_rate.take(), "success_rate"),
        (outlier.enforcing_local_origin_success_rate.take(), "local_origin_success_rate"),
        (outlier.enforcing_failure_percentage.take(), "failure_percentage"),
        (outlier.enforcing_failure_percentage_local_origin.take(), "failure_percentage_local_origin"),
    ] {
        if value.is_some_and(|value| value.value > 0) {
            return Err(Problem::unsupported("unsupported_outlier", what));
        }
    }
    let consecutive =
        |value: Option<super::super::pb::protobuf::UInt32Value>| value.map_or(5, |value| value.value);
    let base = values::limit(outlier.base_ejection_time.take().as_ref())?.unwrap_or(Duration::from_secs(30));
    let max = values::limit(outlier.max_ejection_time.take().as_ref())?;
    let translated = OutlierDetection {
        consecutive_5xx: Some(consecutive(outlier.consecutive_5xx.take())).filter(|_| enforced_5xx),
        consecutive_gateway_failure: Some(consecutive(outlier.consecutive_gateway_failure.take()))
            .filter(|_| enforced_gateway),
        consecutive_local_origin_failure: Some(consecutive(outlier.consecutive_local_origin_failure.take()))
            .filter(|_| enforced_local && split),
        split_external_local_origin_errors: split,
        interval: values::limit(outlier.interval.take().as_ref())?.unwrap_or(Duration::from_secs(10)),
        base_ejection_time: base,
        max_ejection_time: max.unwrap_or(Duration::from_secs(300)).max(base),
        max_ejection_percent: outlier
            .max_ejection_percent
            .take()
            .map_or(10, |percent| percent.value)
            .min(100),
        always_eject_one: outlier.always_eject_one_host.take().is_some_and(|always| always.value),
    };
    ignored::outlier(&mut outlier);
    wire::nothing_left(&outlier)?;
    Ok(translated)
}

fn enforced(value: Option<super::super::pb::protobuf::UInt32Value>, default: u32) -> Result<bool> {
    match value.map_or(default, |value| value.value) {
        0 => Ok(false),
        100.. => Ok(true),
        // A share of ejections would need chance in a decision that has none.
        _ => Err(Problem::unsupported("unsupported_outlier", "enforcing percentage")),
    }
}
