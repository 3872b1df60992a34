//! Endpoints. Envoy: `config.endpoint.v3.ClusterLoadAssignment`; istiod: `pilot/pkg/xds/endpoints`.

use super::pb::{core, endpoint as pb, protobuf};
use super::problem::{At, Problem, Rejection, Result, Translated, Warnings};
use super::{ignored, values, wire};
use crate::model::endpoint::{Assignment, Endpoint, EndpointAddress, Health, Locality, LocalityGroup};
use std::net::SocketAddr;
use std::sync::Arc;
use xds_client::type_url::ENDPOINT;

/// The port ztunnel and waypoints take HBONE on.
const HBONE_PORT: u16 = 15008;
const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";

/// Endpoints that cannot be honoured are left out with a warning; the cluster goes on with the others.
pub fn translate(name: &str, bytes: &[u8]) -> std::result::Result<Translated<Assignment>, Rejection> {
    let mut warnings = Warnings::default();
    let assignment =
        wire::decode(bytes, &mut warnings).and_then(|assignment| self::assignment(assignment, &mut warnings));
    let value = assignment.map_err(|problem| problem.reject(ENDPOINT, name))?;
    Ok(Translated { value, warnings: warnings.into_list() })
}

pub(super) fn assignment(
    mut assignment: pb::ClusterLoadAssignment,
    warnings: &mut Warnings,
) -> Result<Assignment> {
    let groups = std::mem::take(&mut assignment.endpoints).into_iter().enumerate();
    let groups = groups.map(|(index, group)| locality(group, warnings).at_index("endpoints", index));
    let mut groups = groups.collect::<Result<Vec<_>>>()?;
    // Stable: groups of one priority keep istiod's order, which sorts them by locality.
    groups.sort_by_key(|group| group.priority);
    ignored::assignment(&mut assignment);
    if assignment.policy.as_ref().is_some_and(|policy| !policy.drop_overloads.is_empty()) {
        warnings.push("drop_overloads is not honoured");
    }
    Ok(Assignment { groups })
}

/// `policy.overprovisioning_factor`, percent.
pub(super) fn overprovisioning(assignment: Option<&pb::ClusterLoadAssignment>) -> Option<u32> {
    Some(assignment?.policy.as_ref()?.overprovisioning_factor?.value)
}

fn locality(group: pb::LocalityLbEndpoints, warnings: &mut Warnings) -> Result<LocalityGroup> {
    let mut endpoints = Vec::with_capacity(group.lb_endpoints.len());
    for (index, one) in group.lb_endpoints.into_iter().enumerate() {
        match endpoint(one).at_index("lb_endpoints", index) {
            Ok(endpoint) => endpoints.push(Arc::new(endpoint)),
            Err(Problem::Unsupported { kind, what }) => {
                warnings.push(format!("endpoint left out: {kind}{{{what}}}"));
            }
            Err(invalid) => return Err(invalid),
        }
    }
    let locality = group.locality.unwrap_or_default();
    Ok(LocalityGroup {
        priority: group.priority,
        locality: Arc::new(Locality {
            region: locality.region.into(),
            zone: locality.zone.into(),
            sub_zone: locality.sub_zone.into(),
        }),
        weight: group.load_balancing_weight.map_or(0, |weight| weight.value),
        endpoints,
    })
}

fn endpoint(mut lb: pb::LbEndpoint) -> Result<Endpoint> {
    let metadata = lb.metadata.take();
    let weight = lb.load_balancing_weight.take().map_or(1, |weight| weight.value).max(1);
    let health = health(std::mem::take(&mut lb.health_status))?;
    let Some(pb::lb_endpoint::HostIdentifier::Endpoint(mut host)) = lb.host_identifier.take() else {
        return Err(Problem::unsupported("unsupported_endpoint", "endpoint_name"));
    };
    ignored::lb_endpoint(&mut lb);
    wire::nothing_left(&lb)?;
    let additional = values::additional(&std::mem::take(&mut host.additional_addresses))?;
    let address = address(host.address.take(), additional, metadata.as_ref()).at("endpoint.address")?;
    let hostname = std::mem::take(&mut host.hostname);
    ignored::endpoint(&mut host);
    wire::nothing_left(&host)?;
    let workload = values::metadata_text(metadata.as_ref(), "istio", "workload").map(Into::into);
    let transport_match = transport_match(metadata.as_ref());
    let hostname = Some(hostname).filter(|name| !name.is_empty()).map(Into::into);
    Ok(Endpoint { address, hostname, health, weight, workload, transport_match })
}

fn health(status: i32) -> Result<Health> {
    Ok(match wire::enum_value(status, "health_status")? {
        core::HealthStatus::Unknown | core::HealthStatus::Healthy => Health::Healthy,
        core::HealthStatus::Degraded => Health::Degraded,
        core::HealthStatus::Unhealthy | core::HealthStatus::Timeout => Health::Unhealthy,
        core::HealthStatus::Draining => Health::Draining,
    })
}

fn address(
    address: Option<core::Address>,
    additional: Vec<SocketAddr>,
    metadata: Option<&core::Metadata>,
) -> Result<EndpointAddress> {
    match address.and_then(|address| address.address) {
        Some(core::address::Address::SocketAddress(socket)) => {
            let (host, port) = values::host_port(&socket)?;
            match host.parse() {
                Ok(ip) => Ok(EndpointAddress::Direct { address: SocketAddr::new(ip, port), additional }),
                Err(_) => Ok(EndpointAddress::Host { name: host.into(), port }),
            }
        }
        Some(core::address::Address::EnvoyInternalAddress(internal)) => self::internal(&internal, metadata),
        Some(core::address::Address::Pipe(pipe)) => {
            Err(Problem::unsupported("unsupported_address", pipe.path))
        }
        None => Err(Problem::invalid("endpoint without address")),
    }
}

/// An internal address names one of Envoy's own listeners: the way the bytes go, which for us is HBONE.
fn internal(
    internal: &core::EnvoyInternalAddress,
    metadata: Option<&core::Metadata>,
) -> Result<EndpointAddress> {
    use core::envoy_internal_address::AddressNameSpecifier::ServerListenerName;
    let Some(ServerListenerName(listener)) = &internal.address_name_specifier else {
        return Err(Problem::unsupported("unsupported_address", "envoy_internal_address"));
    };
    let original = |key: &str| values::metadata_text(metadata, ORIGINAL_DST, key);
    match listener.as_str() {
        "connect_originate" => {
            let target = values::socket_address(original("local").unwrap_or(&internal.endpoint_id))?;
            let tunnel = match original("waypoint") {
                Some(waypoint) => values::socket_address(waypoint)?,
                None => SocketAddr::new(target.ip(), HBONE_PORT),
            };
            Ok(EndpointAddress::Hbone { target, tunnel })
        }
        "inner_connect_originate" => {
            let gateway = values::socket_address(original("local").unwrap_or(&internal.endpoint_id))?;
            let target =
                double_hbone_target(metadata).ok_or_else(|| Problem::invalid("no hbone_target_address"))?;
            Ok(EndpointAddress::DoubleHbone { gateway, target: target.into() })
        }
        other => Err(Problem::unsupported("unsupported_address", other)),
    }
}

/// `istio.double_hbone.hbone_target_address`: what the other network's gateway is asked for.
fn double_hbone_target(metadata: Option<&core::Metadata>) -> Option<&str> {
    let double = metadata?.filter_metadata.get("istio")?.fields.get("double_hbone")?;
    match &double.kind {
        Some(protobuf::value::Kind::StructValue(fields)) => {
            values::text(fields.fields.get("hbone_target_address")?)
        }
        _ => None,
    }
}

fn transport_match(metadata: Option<&core::Metadata>) -> Vec<(Arc<str>, Arc<str>)> {
    let matched = metadata.and_then(|metadata| metadata.filter_metadata.get("envoy.transport_socket_match"));
    let mut pairs: Vec<(Arc<str>, Arc<str>)> = matched
        .into_iter()
        .flat_map(|matched| &matched.fields)
        .filter_map(|(key, value)| Some((key.as_str().into(), values::text(value)?.into())))
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests;
