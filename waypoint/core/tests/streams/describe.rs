//! A snapshot as compact text: enough to see what a configuration became, little enough to read.

use std::fmt::Write as _;
use waypoint_core::model::cluster::Discovery;
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::model::http_chain::HttpFilter;
use waypoint_core::model::listener::{ChainBody, ChainMatcher, NetworkFilter, TcpClusters};
use waypoint_core::model::matcher::{HeaderValueMatcher, StringMatcher, StringPattern};
use waypoint_core::model::rbac::{Permission, Principal, Rbac};
use waypoint_core::model::route::{ClusterChoice, Forward, PathMatch, Route, RouteAction};
use waypoint_core::store::Snapshot;

pub(crate) fn snapshot(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    if let Some(terminate) = &snapshot.connect_terminate {
        let refusal = terminate
            .refusal
            .as_ref()
            .map(|refusal| format!(" REFUSED {}", refusal.details))
            .unwrap_or_default();
        writeln!(
            out,
            "connect_terminate sans={:?} rbac={}{refusal}",
            terminate.accepted_san_prefixes,
            terminate.filters.len()
        )
        .unwrap();
    }
    if let Some(listener) = &snapshot.main_internal {
        let disabled = |ports: &Option<waypoint_core::model::listener::InspectedPorts>| {
            ports.as_ref().map_or_else(|| "off".to_owned(), |ports| format!("all but {:?}", ports.disabled))
        };
        writeln!(
            out,
            "inspect http={} tls={}",
            disabled(&listener.inspectors.http),
            disabled(&listener.inspectors.tls)
        )
        .unwrap();
        if let Some(matcher) = &listener.matcher {
            tree(matcher, 0, &mut out);
        }
        let mut chains: Vec<_> = listener.chains.values().collect();
        chains.sort_by_key(|chain| chain.name.clone());
        for chain in chains {
            writeln!(out, "chain {}", chain.name).unwrap();
            body(&chain.body, &mut out);
        }
    }
    clusters(snapshot, &mut out);
    writeln!(out, "workloads {}", snapshot.workloads.len()).unwrap();
    out
}

fn tree(matcher: &ChainMatcher, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth + 1);
    match matcher {
        ChainMatcher::Chain(name) => writeln!(out, "{pad}-> {name}").unwrap(),
        ChainMatcher::DestinationIp(table) => {
            let mut hosts: Vec<_> = table.hosts.iter().collect();
            hosts.sort_by_key(|(ip, _)| **ip);
            for (ip, next) in hosts {
                writeln!(out, "{pad}{ip}").unwrap();
                tree(next, depth + 1, out);
            }
            for (net, next) in &table.prefixes {
                writeln!(out, "{pad}{net}").unwrap();
                tree(next, depth + 1, out);
            }
        }
        ChainMatcher::DestinationPort { ports, .. } => {
            let mut ports: Vec<_> = ports.iter().collect();
            ports.sort_by_key(|(port, _)| **port);
            for (port, next) in ports {
                writeln!(out, "{pad}:{port}").unwrap();
                tree(next, depth + 1, out);
            }
        }
        ChainMatcher::ApplicationProtocol { protocols, on_no_match } => {
            for (protocol, next) in protocols {
                writeln!(out, "{pad}{protocol:?}").unwrap();
                tree(next, depth + 1, out);
            }
            if let Some(next) = on_no_match {
                writeln!(out, "{pad}else").unwrap();
                tree(next, depth + 1, out);
            }
        }
        ChainMatcher::ConnectAuthority { .. } => writeln!(out, "{pad}authorities").unwrap(),
    }
}

fn body(body: &ChainBody, out: &mut String) {
    if let Some(refusal) = body.refusal() {
        return writeln!(out, "  REFUSED {}", refusal.details).unwrap();
    }
    match body {
        ChainBody::Refused(_) => {}
        ChainBody::Tcp(tcp) => {
            let clusters = match &tcp.clusters {
                TcpClusters::Single(name) => name.to_string(),
                TcpClusters::Weighted { clusters, .. } => format!("{clusters:?}"),
            };
            writeln!(out, "  tcp -> {clusters} stats={}", tcp.stats.is_some()).unwrap();
            for filter in &tcp.filters {
                match filter {
                    NetworkFilter::Rbac(one) => rbac(one, out),
                    NetworkFilter::ExtAuthz(_) => writeln!(out, "  ext_authz").unwrap(),
                }
            }
        }
        ChainBody::Http(http) => {
            let names: Vec<&str> = http.filters.iter().map(filter).collect();
            writeln!(out, "  http {} upgrades={:?}", names.join(","), http.upgrades).unwrap();
            for filter in &http.filters {
                if let HttpFilter::Rbac(one) = filter {
                    rbac(one, out);
                }
            }
            http.routes
                .virtual_hosts
                .iter()
                .flat_map(|host| host.routes.iter())
                .for_each(|one| route(one, out));
        }
    }
}

fn filter(filter: &HttpFilter) -> &'static str {
    match filter {
        HttpFilter::JwtAuthn(_) => "jwt_authn",
        HttpFilter::Rbac(_) => "rbac",
        HttpFilter::ExtAuthz(_) => "ext_authz",
        HttpFilter::LocalRateLimit(_) => "local_ratelimit",
        HttpFilter::RateLimit(_) => "ratelimit",
        HttpFilter::Cors => "cors",
        HttpFilter::Fault => "fault",
        HttpFilter::GrpcStats => "grpc_stats",
        HttpFilter::GrpcWeb => "grpc_web",
        HttpFilter::ClientIdentityXfcc => "xfcc",
        HttpFilter::Stats(_) => "stats",
        HttpFilter::Router { .. } => "router",
    }
}

fn route(route: &Route, out: &mut String) {
    let path = match &route.matcher.path {
        PathMatch::Any => "/*".to_owned(),
        PathMatch::Exact { path, .. } => format!("={path}"),
        PathMatch::Prefix { prefix, .. } => format!("{prefix}*"),
        PathMatch::SegmentPrefix { prefix, .. } => format!("{prefix}[/*]"),
        PathMatch::Regex(regex) => format!("~{regex}"),
    };
    let headers: Vec<String> =
        route.matcher.headers.iter().map(|header| format!("{:?}", header.key)).collect();
    let action = match &route.action {
        RouteAction::Forward(forward) => self::forward(forward),
        RouteAction::Redirect(redirect) => format!("redirect {}", redirect.status.as_u16()),
        RouteAction::DirectResponse { status, .. } => format!("respond {}", status.as_u16()),
    };
    let refusal =
        route.refusal.as_ref().map(|refusal| format!(" REFUSED {}", refusal.details)).unwrap_or_default();
    writeln!(out, "  {} {path} {headers:?} -> {action}{refusal}", route.name).unwrap();
}

fn forward(forward: &Forward) -> String {
    let mut text = match &forward.clusters {
        ClusterChoice::Single(name) => name.to_string(),
        ClusterChoice::Weighted { clusters, total } => {
            let parts: Vec<String> =
                clusters.iter().map(|one| format!("{}:{}", one.name, one.weight)).collect();
            format!("{} of {total}", parts.join(" "))
        }
        ClusterChoice::Header(name) => format!("header {name}"),
    };
    if let Some(timeout) = forward.timeout {
        write!(text, " timeout={timeout:?}").unwrap();
    }
    if let Some(retry) = &forward.retry {
        write!(text, " retries={}x{:#x}", retry.retries, retry.on.0).unwrap();
        if let Some(timeout) = retry.per_try_timeout {
            write!(text, " try={timeout:?}").unwrap();
        }
        if !retry.status_codes.is_empty() {
            write!(text, " on={:?}", retry.status_codes.iter().map(|code| code.as_u16()).collect::<Vec<_>>())
                .unwrap();
        }
    }
    text
}

fn rbac(rbac: &Rbac, out: &mut String) {
    for (kind, rules) in [("", &rbac.rules), ("shadow ", &rbac.shadow)] {
        let Some(rules) = rules else { continue };
        for policy in &rules.policies {
            let may: Vec<String> = policy.permissions.iter().map(permission).collect();
            let who: Vec<String> = policy.principals.iter().map(principal).collect();
            writeln!(
                out,
                "  {kind}{:?} {}: [{}] [{}]",
                rules.action,
                policy.name,
                may.join(" | "),
                who.join(" | ")
            )
            .unwrap();
        }
    }
}

fn joined<T>(items: &[T], by: &str, one: impl Fn(&T) -> String) -> String {
    format!("({})", items.iter().map(one).collect::<Vec<_>>().join(by))
}

fn permission(rule: &Permission) -> String {
    match rule {
        Permission::Any => "any".into(),
        Permission::And(all) => joined(all, " & ", permission),
        Permission::Or(any) => joined(any, " | ", permission),
        Permission::Not(one) => format!("!{}", permission(one)),
        Permission::Header(header) => self::header(header),
        Permission::UrlPath(text) => format!("path{}", string(text)),
        Permission::UriTemplate(template) => format!("template{:?}", template.segments),
        Permission::DestinationPort(port) => format!(":{port}"),
        other => format!("{other:?}"),
    }
}

fn principal(id: &Principal) -> String {
    match id {
        Principal::Any => "any".into(),
        Principal::And(all) => joined(all, " & ", principal),
        Principal::Or(any) => joined(any, " | ", principal),
        Principal::Not(one) => format!("!{}", principal(one)),
        Principal::Peer(Some(text)) => format!("peer{}", string(text)),
        Principal::Peer(None) => "peer".into(),
        Principal::DirectRemoteIp(net) => format!("pod in {net}"),
        Principal::RemoteIp(net) => format!("client in {net}"),
        Principal::Header(header) => self::header(header),
        Principal::UrlPath(text) => format!("path{}", string(text)),
        Principal::Metadata(metadata) => format!("{metadata:?}"),
    }
}

fn header(header: &waypoint_core::model::matcher::HeaderMatcher) -> String {
    let value = match &header.matcher {
        HeaderValueMatcher::Present(present) => format!(" present={present}"),
        HeaderValueMatcher::String(text) => string(text),
        HeaderValueMatcher::Range { start, end } => format!(" in {start}..{end}"),
    };
    format!("{:?}{value}", header.key)
}

fn string(matcher: &StringMatcher) -> String {
    let case = if matcher.ignore_case { "i" } else { "" };
    match &matcher.pattern {
        StringPattern::Exact(text) => format!("{case}={text}"),
        StringPattern::Prefix(text) => format!("{case}={text}*"),
        StringPattern::Suffix(text) => format!("{case}=*{text}"),
        StringPattern::Contains(text) => format!("{case}=*{text}*"),
        StringPattern::Regex(regex) => format!("~{regex}"),
    }
}

fn clusters(snapshot: &Snapshot, out: &mut String) {
    let mut entries: Vec<_> = snapshot.clusters.values().collect();
    entries.sort_by_key(|entry| entry.cluster.name.clone());
    for entry in entries {
        let cluster = &entry.cluster;
        let found = match &cluster.discovery {
            Discovery::Eds { .. } => "eds",
            Discovery::Static(_) => "static",
            Discovery::StrictDns(_) | Discovery::LogicalDns(_) => "dns",
            Discovery::DynamicForwardProxy(_) => "dynamic_forward_proxy",
            Discovery::OriginalDst => "original_dst",
            Discovery::DirectPod => "direct_pod",
        };
        let hosts = entry.hosts.as_ref().map_or_else(Vec::new, |hosts| hosts.hosts().to_vec());
        let mut addresses: Vec<String> = hosts.iter().map(|host| address(&host.endpoint.address)).collect();
        addresses.sort();
        let refusal = cluster
            .refusal
            .as_ref()
            .map(|refusal| format!(" REFUSED {}", refusal.details))
            .unwrap_or_default();
        writeln!(
            out,
            "cluster {} {found} {:?} [{}]{refusal}",
            cluster.name,
            cluster.protocol,
            addresses.join(" ")
        )
        .unwrap();
    }
}

fn address(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Hbone { target, .. } => format!("hbone:{target}"),
        EndpointAddress::DoubleHbone { gateway, target } => format!("double:{gateway}:{target}"),
        EndpointAddress::Direct { address, .. } => address.to_string(),
        EndpointAddress::Host { name, port } => format!("{name}:{port}"),
    }
}
