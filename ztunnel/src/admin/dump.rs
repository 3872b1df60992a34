//! `/config_dump`, in the shape `istioctl ztunnel-config` and Kiali read.
//!
//! Spec: istio `istioctl/pkg/writer/ztunnel/configdump/api.go`. Lists are sorted, so that two dumps can be compared.

use crate::config::Config;
use crate::inpod::{PodState, PodView, Pods, Start};
use crate::proxy::{ConnectionView, Pod};
use crate::select::{HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT};
use crate::state::{
    GatewayAddress, IpFamilies, LoadBalancerMode, Match, Policy, PolicyScope, Ports, Predicate, Scope,
    Service, Snapshot, Store, StringMatch, TunnelProtocol, Workload,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh::identity::CertificateInfo;
use mesh::secrets::{CertificateState, CertificateStatus, SecretStore};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What is dumped.
pub struct Sources {
    pub store: Arc<Store>,
    pub secrets: SecretStore,
    pub pods: Box<dyn Fn() -> Vec<PodView<Arc<Pod>>> + Send + Sync>,
}

impl Sources {
    #[must_use]
    pub fn new<S: Start<Proxy = Arc<Pod>>>(
        store: Arc<Store>,
        secrets: SecretStore,
        pods: Arc<Pods<S>>,
    ) -> Self {
        Self { store, secrets, pods: Box::new(move || pods.views()) }
    }
}

/// The whole document.
#[must_use]
pub fn dump(sources: &Sources, config: &Config) -> Value {
    let snapshot = sources.store.load();
    let pods = (sources.pods)();
    json!({
        "workloads": sorted(snapshot.workloads(), |workload| workload.uid.clone(), self::workload),
        "services": sorted(snapshot.services(), |service| service.key.clone(), |service| self::service(&snapshot, service)),
        "policies": sorted(snapshot.policies(), |policy| policy.key.clone(), self::policy),
        "certificates": sources.secrets.states().iter().map(certificate).collect::<Vec<_>>(),
        "workloadState": pods.iter().map(|pod| (pod.uid.clone(), workload_state(pod))).collect::<Map<_, _>>(),
        "stagedServices": staged(&snapshot),
        "config": self::config(config),
        "version": {
            "version": mesh::version::FAIRWAY,
            "istioVersion": mesh::version::ISTIO,
            "cryptoProvider": "tls-aws-lc",
            "buildProfile": if cfg!(debug_assertions) { "debug" } else { "release" },
        },
    })
}

fn sorted<'a, T: 'a>(
    items: impl Iterator<Item = &'a Arc<T>>,
    key: impl Fn(&T) -> Arc<str>,
    show: impl Fn(&T) -> Value,
) -> Vec<Value> {
    let mut items: Vec<_> = items.collect();
    items.sort_by_cached_key(|item| key(item));
    items.into_iter().map(|item| show(item)).collect()
}

/// Adds what is not empty; the tools take a missing text for an empty one.
fn put(object: &mut Value, name: &str, text: &str) {
    if !text.is_empty() {
        object[name] = text.into();
    }
}

fn workload(workload: &Workload) -> Value {
    let mut object = json!({
        "uid": &*workload.uid,
        "workloadIps": workload.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "protocol": match workload.protocol { TunnelProtocol::Hbone => "HBONE", TunnelProtocol::Tcp => "TCP" },
        "name": &*workload.name,
        "namespace": &*workload.namespace,
        "serviceAccount": workload.identity.service_account(),
        "workloadName": &*workload.workload_name,
        "workloadType": workload.workload_type.as_str(),
        "canonicalName": &*workload.canonical_name,
        "canonicalRevision": &*workload.canonical_revision,
        "clusterId": &*workload.cluster_id,
        "trustDomain": workload.identity.trust_domain(),
        "node": &*workload.node,
        "networkMode": if workload.host_network { "HostNetwork" } else { "Standard" },
        "status": if workload.healthy { "Healthy" } else { "Unhealthy" },
        "capacity": workload.capacity,
    });
    put(&mut object, "network", &workload.network);
    put(&mut object, "hostname", &workload.hostname);
    if workload.native_tunnel {
        object["nativeTunnel"] = true.into();
    }
    let locality = &workload.locality;
    let mut place = json!({});
    put(&mut place, "region", &locality.region);
    put(&mut place, "zone", &locality.zone);
    put(&mut place, "subzone", &locality.subzone);
    if place.as_object().is_some_and(|place| !place.is_empty()) {
        object["locality"] = place;
    }
    if let Some(gateway) = &workload.waypoint {
        object["waypoint"] = self::gateway(gateway);
    }
    if let Some(gateway) = &workload.network_gateway {
        object["networkGateway"] = self::gateway(gateway);
    }
    if let Some(tunnel) = workload.application_tunnel {
        object["applicationTunnel"] =
            json!({ "protocol": if tunnel.proxy_protocol { "PROXY" } else { "NONE" }, "port": tunnel.port });
    }
    if !workload.authorization_policies.is_empty() {
        object["authorizationPolicies"] =
            workload.authorization_policies.iter().map(|key| Value::from(&**key)).collect();
    }
    object
}

fn gateway(gateway: &GatewayAddress) -> Value {
    json!({ "destination": gateway.destination.to_string(), "hboneMtlsPort": gateway.hbone_port })
}

fn ports(ports: &Ports) -> Value {
    Value::Object(ports.iter().map(|(port, target)| (port.to_string(), (*target).into())).collect())
}

fn service(snapshot: &Snapshot, service: &Service) -> Value {
    let endpoints: Map<String, Value> = snapshot
        .endpoints(service)
        .map(|workload| {
            let own = workload.services.get(&service.key).map_or_else(|| json!({}), self::ports);
            let status = if workload.healthy { "Healthy" } else { "Unhealthy" };
            let endpoint =
                json!({ "workloadUid": &*workload.uid, "service": &*service.key, "status": status, "port": own });
            (workload.uid.to_string(), endpoint)
        })
        .collect();
    let mut object = json!({
        "name": &*service.name,
        "namespace": &*service.namespace,
        "hostname": &*service.hostname,
        "vips": service.vips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ports": ports(&service.ports),
        "endpoints": endpoints,
        "subjectAltNames": service.subject_alt_names.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
        "canonical": service.canonical,
        "visibility": if service.private { "Namespace" } else { "Public" },
    });
    if !service.cidr_vips.is_empty() {
        let range = |range: &crate::state::NetworkCidr| json!({ "network": &*range.network, "cidr": range.cidr.to_string() });
        object["cidrVips"] = service.cidr_vips.iter().map(range).collect();
    }
    if let Some(gateway) = &service.waypoint {
        object["waypoint"] = self::gateway(gateway);
    }
    if let Some(balancer) = load_balancer(service) {
        object["loadBalancer"] = balancer;
    }
    match service.ip_families {
        IpFamilies::Automatic => {}
        IpFamilies::Ipv4Only => object["ipFamilies"] = "IPv4".into(),
        IpFamilies::Ipv6Only => object["ipFamilies"] = "IPv6".into(),
        IpFamilies::Dual => object["ipFamilies"] = "Dual".into(),
    }
    object
}

fn load_balancer(service: &Service) -> Option<Value> {
    let balancer = &service.load_balancer;
    if balancer.mode == LoadBalancerMode::Standard && !balancer.allow_unhealthy {
        return None;
    }
    let mode = match balancer.mode {
        LoadBalancerMode::Standard => "Standard",
        LoadBalancerMode::Strict => "Strict",
        LoadBalancerMode::Failover => "Failover",
        LoadBalancerMode::Passthrough => "Passthrough",
    };
    let scope = |scope: &Scope| format!("{scope:?}");
    Some(json!({
        "mode": mode,
        "routingPreferences": balancer.preferences.iter().map(scope).collect::<Vec<_>>(),
        "healthPolicy": if balancer.allow_unhealthy { "AllowAll" } else { "OnlyHealthy" },
    }))
}

fn staged(snapshot: &Snapshot) -> Value {
    let uids =
        |members: &crate::state::Members| members.keys().map(|uid| Value::from(&**uid)).collect::<Vec<_>>();
    Value::Object(snapshot.staged().map(|(key, members)| (key.to_string(), uids(members).into())).collect())
}

fn policy(policy: &Policy) -> Value {
    let scope = match policy.scope {
        PolicyScope::Global => "Global",
        PolicyScope::Namespace => "Namespace",
        PolicyScope::WorkloadSelector => "WorkloadSelector",
    };
    let clause = |clause: &Vec<Match>| clause.iter().map(predicates).collect::<Vec<_>>();
    let rule = |rule: &Vec<Vec<Match>>| rule.iter().map(clause).collect::<Vec<_>>();
    json!({
        "name": &*policy.name,
        "namespace": &*policy.namespace,
        "scope": scope,
        "action": format!("{:?}", policy.action),
        "dryRun": policy.dry_run,
        "rules": policy.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn predicates(candidate: &Match) -> Value {
    let mut object = Map::new();
    strings(&mut object, ("namespaces", "notNamespaces"), &candidate.namespaces);
    strings(&mut object, ("principals", "notPrincipals"), &candidate.principals);
    list(&mut object, ("sourceIps", "notSourceIps"), &candidate.source_ips, |ip| ip.to_string().into());
    list(&mut object, ("destinationIps", "notDestinationIps"), &candidate.destination_ips, |ip| {
        ip.to_string().into()
    });
    list(&mut object, ("destinationPorts", "notDestinationPorts"), &candidate.destination_ports, |port| {
        (*port).into()
    });
    list(
        &mut object,
        ("serviceAccounts", "notServiceAccounts"),
        &candidate.service_accounts,
        |account| json!({ "namespace": &*account.namespace, "serviceAccount": &*account.name }),
    );
    if candidate.unreadable {
        object.insert("unreadable".into(), true.into());
    }
    object.into()
}

fn strings(object: &mut Map<String, Value>, names: (&str, &str), predicate: &Predicate<StringMatch>) {
    list(object, names, predicate, |text| match text {
        StringMatch::Exact(text) => json!({ "Exact": &**text }),
        StringMatch::Prefix(text) => json!({ "Prefix": &**text }),
        StringMatch::Suffix(text) => json!({ "Suffix": &**text }),
        StringMatch::Presence => "Presence".into(),
    });
}

fn list<T>(
    object: &mut Map<String, Value>,
    names: (&str, &str),
    predicate: &Predicate<T>,
    show: impl Fn(&T) -> Value,
) {
    for (name, values) in [(names.0, &predicate.any), (names.1, &predicate.none)] {
        if !values.is_empty() {
            object.insert(name.to_owned(), values.iter().map(&show).collect());
        }
    }
}

fn certificate(state: &CertificateState) -> Value {
    let status = match &state.status {
        CertificateStatus::Available => "Available".to_owned(),
        CertificateStatus::Initializing => "Initializing".to_owned(),
        CertificateStatus::Unavailable(why) => format!("Unavailable: {why}"),
    };
    let show = |certificate: &CertificateInfo| {
        json!({
            "pem": STANDARD.encode(&certificate.pem),
            "serialNumber": certificate.serial,
            "validFrom": humantime::format_rfc3339_seconds(certificate.not_before).to_string(),
            "expirationTime": humantime::format_rfc3339_seconds(certificate.not_after).to_string(),
        })
    };
    json!({
        "identity": state.identity.as_str(),
        "state": status,
        "certChain": state.chain.iter().map(show).collect::<Vec<_>>(),
        "rootCerts": state.roots.iter().map(show).collect::<Vec<_>>(),
    })
}

fn workload_state(pod: &PodView<Arc<Pod>>) -> Value {
    let views = pod.proxy.as_ref().map(|proxy| proxy.connections.views()).unwrap_or_default();
    let of = |inbound: bool| {
        views.iter().filter(move |view| view.inbound == inbound).map(connection).collect::<Vec<_>>()
    };
    json!({
        "state": match pod.state { PodState::Up => "Up", PodState::Pending => "Pending" },
        "info": {
            "name": &*pod.info.name,
            "namespace": &*pod.info.namespace,
            "serviceAccount": &*pod.info.service_account,
        },
        "connections": { "inbound": of(true), "outbound": of(false) },
    })
}

fn connection(view: &ConnectionView) -> Value {
    json!({
        "src": view.source.to_string(),
        "originalDst": view.original_destination,
        "actualDst": view.destination.to_string(),
        "protocol": if view.hbone { "HBONE" } else { "TCP" },
    })
}

/// Kiali decodes some of these strictly: an address is `{"SocketAddr": …}` or `{"Localhost": [ipv6, port]}`, a duration
/// `{"secs", "nanos"}`.
fn config(config: &Config) -> Value {
    let duration =
        |duration: Duration| json!({ "secs": duration.as_secs(), "nanos": duration.subsec_nanos() });
    let everywhere = |port| config.everywhere(port).to_string();
    let roots = |plane: &crate::config::ControlPlane| match &plane.roots {
        mesh::channel::RootSource::File(path) => json!({ "File": path }),
        mesh::channel::RootSource::Pem(_) => "Static".into(),
    };
    let dns = config.dns.as_ref();
    json!({
        "adminAddr": { "Localhost": [config.ipv6, crate::config::Ports::ADMIN] },
        "statsAddr": { "SocketAddr": everywhere(crate::config::Ports::STATS) },
        "readinessAddr": { "SocketAddr": everywhere(crate::config::Ports::READINESS) },
        "dnsProxy": dns.is_some(),
        "dnsProxyAddr": dns.map(|dns| json!({ "Localhost": [config.ipv6, dns.port] })),
        "inboundAddr": everywhere(HBONE_PORT),
        "inboundPlaintextAddr": everywhere(INBOUND_PLAINTEXT_PORT),
        "outboundAddr": everywhere(OUTBOUND_PORT),
        "illegalPorts": [HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT],
        "xdsAddress": config.xds.address,
        "xdsRootCert": roots(&config.xds),
        "altXdsHostname": config.xds.alt_name,
        "caAddress": config.ca.address,
        "caRootCert": roots(&config.ca),
        "altCaHostname": config.ca.alt_name,
        "secretTtl": duration(config.secret_ttl),
        "clusterId": config.cluster_id,
        "clusterDomain": config.cluster_domain,
        "network": config.network,
        "localNode": config.node_name,
        "proxyMode": "Shared",
        "inpodUds": config.inpod_uds,
        "inpodPortReuse": true,
        "packetMark": config.mark,
        "requireOriginalSource": config.preserve_source,
        "ipv6Enabled": config.ipv6,
        "numWorkerThreads": config.workers,
        "poolMaxStreamsPerConn": config.pool_streams,
        "poolUnusedReleaseTimeout": duration(config.pool_idle),
        "selfTerminationDeadline": duration(config.drain_deadline),
        "windowSize": config.http2.stream_window,
        "connectionWindowSize": config.http2.connection_window,
        "frameSize": config.http2.max_frame,
        "localhostAppTunnel": config.localhost_app_tunnel,
        "xdsOnDemand": false,
        "fakeCa": false,
    })
}

#[cfg(test)]
mod tests;
