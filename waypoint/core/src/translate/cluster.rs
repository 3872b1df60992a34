//! Clusters. Envoy: `config.cluster.v3.Cluster`; istiod: `pilot/pkg/networking/core/cluster_waypoint.go`.

mod balancing;
pub(super) mod dns;
mod origination;
mod protocol;
mod transport;

use self::protocol::Protocol;
use self::transport::Sockets;
use super::pb::{cluster as pb, core};
use super::problem::{At, Problem, Rejection, Result, Translated, Warnings};
use super::{endpoint, http_filters, ignored, values, wire};
use crate::model::Refusal;
use crate::model::cluster::{
    BalancePolicy, Balancing, CircuitBreakers, Cluster, Discovery, RetryBudget, ServiceRef,
};
use crate::model::dns::DnsDiscovery;
use crate::model::endpoint::EndpointAddress;
use std::sync::Arc;
use std::time::Duration;
use xds_client::type_url::CLUSTER;

/// Envoy: 5 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Clusters that are hops inside Envoy (to `main_internal`, to the HBONE tunnel); our connector makes them itself.
const INTERNAL: &[&str] =
    &["main_internal", "connect_originate", "inner_connect_originate", "outer_connect_originate"];

/// `None` is one of Envoy's internal hops: nothing routes to it from a chain.
pub fn translate(name: &str, bytes: &[u8]) -> std::result::Result<Translated<Option<Cluster>>, Rejection> {
    let mut warnings = Warnings::default();
    let cluster = wire::decode(bytes, &mut warnings).and_then(|proto| {
        let internal = INTERNAL.contains(&name);
        if internal { Ok(None) } else { self::cluster(proto, wire::hash(bytes), &mut warnings).map(Some) }
    });
    let value = cluster.map_err(|problem| problem.reject(CLUSTER, name))?;
    if let Some(refusal) = value.as_ref().and_then(|cluster| cluster.refusal.as_ref()) {
        warnings.push(format!("cluster refuses everything: {}", refusal.details));
    }
    Ok(Translated { value, warnings: warnings.into_list() })
}

/// Keeps the first thing the cluster cannot honour; what is invalid goes on up.
#[derive(Default)]
struct Refusals(Option<Refusal>);

impl Refusals {
    fn catch<T>(&mut self, result: Result<T>, otherwise: impl FnOnce() -> T) -> Result<T> {
        Ok(result.or_refusal()?.unwrap_or_else(|refusal| {
            self.0.get_or_insert(refusal);
            otherwise()
        }))
    }
}

fn cluster(mut proto: pb::Cluster, content_hash: u64, warnings: &mut Warnings) -> Result<Cluster> {
    let mut refusals = Refusals::default();
    let overprovisioning = endpoint::overprovisioning(proto.load_assignment.as_ref());
    let discovery = refusals.catch(discovery(&mut proto, warnings), || Discovery::Static(Arc::default()))?;
    let balancing =
        refusals.catch(balancing::balancing(&mut proto, overprovisioning, warnings), any_balancing)?;
    let Protocol { protocol, pool, by_host } =
        refusals.catch(protocol::protocol(&mut proto, warnings), Protocol::default)?;
    let legacy_mutual_tls = proto.transport_socket_matches.iter().any(transport::is_legacy);
    let Sockets { transport, proxy_protocol } =
        refusals.catch(transport::sockets(&mut proto, by_host, warnings), Sockets::default)?;
    let breakers = refusals.catch(breakers(proto.circuit_breakers.take()), CircuitBreakers::default)?;
    let outlier = proto.outlier_detection.take().map(balancing::outlier).transpose().at("outlier_detection");
    let outlier = refusals.catch(outlier, || None)?.map(Arc::new);
    refusals.catch(filters(std::mem::take(&mut proto.filters), warnings), || ())?;
    let connect_timeout = values::limit(proto.connect_timeout.take().as_ref()).at("connect_timeout")?;
    let istio = proto.metadata.take();
    let name: Arc<str> = std::mem::take(&mut proto.name).into();
    let alternative = std::mem::take(&mut proto.alt_stat_name);
    let observable_name = if alternative.is_empty() { name.clone() } else { alternative.into() };
    ignored::cluster(&mut proto);
    refusals.catch(wire::nothing_left(&proto), || ())?;
    Ok(Cluster {
        name,
        observable_name,
        content_hash,
        discovery,
        balancing,
        connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        protocol,
        transport,
        proxy_protocol,
        legacy_mutual_tls,
        breakers,
        outlier,
        pool,
        service: service(istio.as_ref()).map(Arc::new),
        istio_config: values::metadata_text(istio.as_ref(), "istio", "config").map(Into::into),
        refusal: refusals.0,
    })
}

/// Stands in a refused cluster.
fn any_balancing() -> Balancing {
    Balancing {
        policy: BalancePolicy::ClusterProvided,
        panic_threshold_percent: 0.0,
        locality_weighted: false,
        overprovisioning_factor: balancing::OVERPROVISIONING_FACTOR,
    }
}

fn discovery(proto: &mut pb::Cluster, warnings: &mut Warnings) -> Result<Discovery> {
    use pb::cluster::{ClusterDiscoveryType as Kind, DiscoveryType as Type};
    let assignment = proto.load_assignment.take();
    let direct = assignment.as_ref().is_some_and(is_direct_pod);
    let kind = match proto.cluster_discovery_type.take() {
        None => Type::Static,
        Some(Kind::Type(value)) => wire::enum_value(value, "Cluster.type")?,
        Some(Kind::ClusterType(custom)) => {
            if custom.name != "envoy.clusters.dynamic_forward_proxy" {
                return Err(Problem::unsupported("unsupported_cluster", custom.name));
            }
            let settings = dns::dynamic(custom.typed_config.as_ref(), warnings).at("cluster_type")?;
            return Ok(Discovery::DynamicForwardProxy(settings));
        }
    };
    if kind == Type::Static && direct {
        return Ok(Discovery::DirectPod);
    }
    let eds = proto.eds_cluster_config.take();
    let assignment = assignment.map(|assignment| endpoint::assignment(assignment, warnings)).transpose();
    let assignment = Arc::new(assignment.at("load_assignment")?.unwrap_or_default());
    let settings = dns::settings(proto)?;
    let by_name = |assignment| Arc::new(DnsDiscovery { assignment, settings });
    match kind {
        Type::Eds => {
            let name = eds.map(|eds| eds.service_name).filter(|name| !name.is_empty());
            Ok(Discovery::Eds { service_name: name.unwrap_or_else(|| proto.name.clone()).into() })
        }
        Type::StrictDns => Ok(Discovery::StrictDns(by_name(assignment))),
        Type::LogicalDns => Ok(Discovery::LogicalDns(by_name(assignment))),
        Type::OriginalDst => {
            // A port override or another source of the address would send requests elsewhere than they asked to.
            match proto.lb_config.take() {
                None => Ok(Discovery::OriginalDst),
                Some(pb::cluster::LbConfig::OriginalDstLbConfig(config)) if config == Default::default() => {
                    Ok(Discovery::OriginalDst)
                }
                Some(_) => Err(Problem::unsupported("unsupported_cluster", "original_dst_lb_config")),
            }
        }
        Type::Static => {
            let named = |address: &EndpointAddress| matches!(address, EndpointAddress::Host { .. });
            let mut endpoints = assignment.groups.iter().flat_map(|group| &group.endpoints);
            if endpoints.any(|endpoint| named(&endpoint.address)) {
                return Err(Problem::invalid("a static endpoint needs an address, not a name"))
                    .at("load_assignment");
            }
            Ok(Discovery::Static(assignment))
        }
    }
}

/// `encap`: an internal address without an endpoint id goes wherever the tunnel wanted to.
fn is_direct_pod(assignment: &super::pb::endpoint::ClusterLoadAssignment) -> bool {
    use super::pb::endpoint::lb_endpoint::HostIdentifier::Endpoint;
    use core::{
        address::Address::EnvoyInternalAddress,
        envoy_internal_address::AddressNameSpecifier::ServerListenerName,
    };
    let mut hosts = assignment.endpoints.iter().flat_map(|group| &group.lb_endpoints);
    let host = hosts.next();
    hosts.next().is_none()
        && host.is_some_and(|host| match &host.host_identifier {
            Some(Endpoint(endpoint)) => match endpoint.address.as_ref().and_then(|address| address.address.as_ref()) {
                Some(EnvoyInternalAddress(internal)) => {
                    internal.endpoint_id.is_empty()
                        && matches!(&internal.address_name_specifier, Some(ServerListenerName(name)) if name == "connect_originate")
                }
                _ => false,
            },
            _ => false,
        })
}

fn breakers(breakers: Option<pb::CircuitBreakers>) -> Result<CircuitBreakers> {
    let mut breakers = breakers.unwrap_or_default();
    // Routes have the default priority only, so thresholds of HIGH apply to nothing.
    let default = core::RoutingPriority::Default as i32;
    let thresholds = std::mem::take(&mut breakers.thresholds).into_iter().find(|one| one.priority == default);
    wire::nothing_left(&breakers)?;
    let Some(mut thresholds) = thresholds else { return Ok(CircuitBreakers::default()) };
    let fallback = CircuitBreakers::default();
    let translated = CircuitBreakers {
        max_connections: thresholds.max_connections.take().map_or(fallback.max_connections, |max| max.value),
        max_pending_requests: thresholds
            .max_pending_requests
            .take()
            .map_or(fallback.max_pending_requests, |max| max.value),
        max_requests: thresholds.max_requests.take().map_or(fallback.max_requests, |max| max.value),
        max_retries: thresholds.max_retries.take().map_or(fallback.max_retries, |max| max.value),
        retry_budget: thresholds.retry_budget.take().map(retry_budget),
    };
    ignored::thresholds(&mut thresholds);
    wire::nothing_left(&thresholds)?;
    Ok(translated)
}

fn retry_budget(budget: pb::circuit_breakers::thresholds::RetryBudget) -> RetryBudget {
    // Envoy's defaults: 20 % and 3.
    let percent = budget.budget_percent.map_or(20.0, |percent| percent.value).clamp(0.0, 100.0);
    RetryBudget {
        percent: percent.round() as u32,
        min_concurrency: budget.min_retry_concurrency.map_or(3, |min| min.value),
    }
}

fn filters(filters: Vec<pb::Filter>, warnings: &mut Warnings) -> Result<()> {
    for filter in filters {
        let any = filter.typed_config.as_ref().ok_or_else(|| http_filters::unsupported(&filter.name))?;
        if wire::type_name(any) != "udpa.type.v1.TypedStruct" {
            return Err(http_filters::unsupported(&filter.name));
        }
        http_filters::peer_metadata(&filter.name, &wire::unpack(any, warnings)?, warnings)?;
    }
    Ok(())
}

/// `filter_metadata.istio.services[0]`.
fn service(metadata: Option<&core::Metadata>) -> Option<ServiceRef> {
    use super::pb::protobuf::value::Kind;
    let services = metadata?.filter_metadata.get("istio")?.fields.get("services")?;
    let Some(Kind::ListValue(list)) = &services.kind else { return None };
    let Some(Kind::StructValue(first)) = &list.values.first()?.kind else { return None };
    let text = |key: &str| first.fields.get(key).and_then(values::text).map(Arc::from);
    Some(ServiceRef { host: text("host")?, name: text("name")?, namespace: text("namespace")? })
}

#[cfg(test)]
mod tests;
