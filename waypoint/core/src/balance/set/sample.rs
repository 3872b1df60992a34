//! Host sets as tests write them.

use super::HostSettings;
use crate::model::cluster::{BalancePolicy, Balancing, OutlierDetection};
use crate::model::endpoint::{Assignment, Endpoint, EndpointAddress, Health, Locality, LocalityGroup};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn settings(policy: BalancePolicy) -> HostSettings {
    let balancing = Balancing {
        policy,
        panic_threshold_percent: 0.0,
        locality_weighted: false,
        overprovisioning_factor: 140,
    };
    HostSettings { balancing, outlier: None }
}

pub(crate) const LEAST_REQUEST: BalancePolicy = BalancePolicy::LeastRequest { choices: 2, slow_start: None };

pub(crate) fn outlier() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: Some(3),
        consecutive_gateway_failure: None,
        consecutive_local_origin_failure: None,
        split_external_local_origin_errors: false,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_secs(300),
        max_ejection_percent: 100,
        always_eject_one: false,
    }
}

/// Host `n` is 10.0.0.n:80.
pub(crate) fn endpoint(n: u8, health: Health, weight: u32) -> Arc<Endpoint> {
    let address = EndpointAddress::Direct { address: ([10, 0, 0, n], 80).into(), additional: vec![] };
    Arc::new(Endpoint { address, hostname: None, health, weight, workload: None, transport_match: vec![] })
}

pub(crate) fn group(priority: u32, zone: &str, weight: u32, endpoints: Vec<Arc<Endpoint>>) -> LocalityGroup {
    let locality = Arc::new(Locality { zone: zone.into(), ..Locality::default() });
    LocalityGroup { priority, locality, weight, endpoints }
}

/// Healthy hosts of equal weight in one locality.
pub(crate) fn healthy(numbers: impl IntoIterator<Item = u8>) -> Assignment {
    let endpoints = numbers.into_iter().map(|n| endpoint(n, Health::Healthy, 1)).collect();
    Assignment { groups: vec![group(0, "a", 0, endpoints)] }
}
