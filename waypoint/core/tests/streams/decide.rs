//! A request through the pure parts of a chain: filters in istiod's order, route, plan.

use crate::recorded::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use waypoint_core::dice::Dice;
use waypoint_core::failure::Failure;
use waypoint_core::matching::ip::remote_ip;
use waypoint_core::matching::path::{NormalizedPath, PathOutcome, normalize};
use waypoint_core::matching::view::{NetworkView, RequestView};
use waypoint_core::model::http_chain::{HttpChain, HttpFilter};
use waypoint_core::model::listener::ChainBody;
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::model::route::{ClusterChoice, Route, RouteAction};
use waypoint_core::policy::cors::{self, CorsDecision};
use waypoint_core::policy::jwt::{self, Verdict};
use waypoint_core::policy::{fault, rbac};
use waypoint_core::routing::pick::pick;
use waypoint_core::routing::plan::{ForwardPlan, Plan, plan};
use waypoint_core::routing::rewrite::HostPlan;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 244, 3, 2));

/// One line a request.
pub(crate) fn decisions(scenario: &str, chain: &str, requests: &[&str]) -> String {
    let (scenario, step) = scenario.split_once('@').unwrap_or((scenario, ""));
    let stream = Stream::open(scenario);
    let snapshot =
        if step.is_empty() { stream.played_out() } else { stream.played_to(step.parse().unwrap()) };
    // `inbound-vip|8080|http|…`
    let port = chain
        .split('|')
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("{chain} has no port"));
    let chain = snapshot.chain_named(chain).unwrap_or_else(|| panic!("{scenario}: no chain {chain}"));
    let ChainBody::Http(chain) = &chain.body else { panic!("{scenario}: {chain:?} is not HTTP") };
    requests
        .iter()
        .map(|text| format!("{text} => {}\n", Asked::parse(text, chain, port).decision(chain)))
        .collect()
}

struct Asked {
    method: String,
    path: Result<NormalizedPath, String>,
    authority: String,
    headers: HeaderMap,
    peer: String,
    port: u16,
}

impl Asked {
    fn parse(text: &str, chain: &HttpChain, port: u16) -> Self {
        let mut parts = text.split(" | ");
        let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        let mut account = "default/client";
        for part in parts {
            if let Some(from) = part.strip_prefix("from ") {
                account = from;
                continue;
            }
            let (name, value) = part.split_once(": ").unwrap_or_else(|| panic!("{part:?} in {text:?}"));
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let path = match normalize(target, &chain.path_normalization) {
            Ok(PathOutcome::Path(path)) => Ok(path),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(format!("{error:?}")),
        };
        let host = headers.get("host").map_or("service", |host| host.to_str().unwrap()).to_owned();
        let (namespace, account) = account.split_once('/').unwrap();
        let peer = format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
        Self { method: method.to_owned(), path, authority: host, headers, peer, port }
    }

    fn decision(&self, chain: &HttpChain) -> String {
        let path = match &self.path {
            Ok(path) => path,
            Err(why) => return why.clone(),
        };
        let request = RequestView {
            connection: NetworkView {
                peer: Some(&self.peer),
                source_ip: CLIENT,
                destination: ([10, 96, 0, 1], self.port).into(),
                sni: None,
                metadata: DynamicMetadata::EMPTY,
            },
            method: &self.method,
            path,
            authority: &self.authority,
            scheme: "http",
            headers: &self.headers,
            remote_ip: remote_ip(&self.headers, CLIENT),
        };
        filters(chain, &request).unwrap_or_else(|answer| answer)
    }
}

/// `Err` ends the request at a filter.
fn filters(chain: &HttpChain, request: &RequestView<'_>) -> Result<String, String> {
    let mut dice = Dice::new(1);
    let mut said = String::new();
    let chosen = pick(&chain.routes, request, &mut dice);
    for filter in &chain.filters {
        match filter {
            HttpFilter::Rbac(config) => {
                let decision = rbac::check(config, request);
                if let Some(shadow) = &decision.shadow {
                    write!(said, "(dry run: {}) ", if shadow.allowed { "allowed" } else { "denied" })
                        .unwrap();
                }
                decision.denied.map_or(Ok(()), |denial| Err(refusal(&denial.failure())))?;
            }
            HttpFilter::JwtAuthn(config) => {
                match jwt::check(config, request, &Default::default(), Duration::ZERO) {
                    Verdict::Pass(_) => {}
                    Verdict::Deny(status) => return Err(refusal(&status.failure())),
                    Verdict::Wait(source) => return Err(format!("waits for the keys of {source:?}")),
                }
            }
            HttpFilter::Fault => {
                let Some(rules) = chosen.as_ref().and_then(|chosen| chosen.route.fault.as_ref()) else {
                    continue;
                };
                let decision = fault::decide(rules, request, &mut dice);
                if let Some(delay) = decision.delay {
                    write!(said, "after {delay:?} ").unwrap();
                }
                decision
                    .abort_failure()
                    .map_or(Ok(()), |failure| Err(format!("{said}{}", refusal(&failure))))?;
            }
            HttpFilter::Cors => {
                let rules = chosen.as_ref().and_then(|chosen| chosen.route.cors.as_ref());
                match rules.map(|rules| cors::decide(rules, request)) {
                    Some(CorsDecision::Preflight { origin }) => {
                        return Err(format!("preflight of {origin:?}"));
                    }
                    Some(CorsDecision::Apply { origin }) => write!(said, "(CORS for {origin:?}) ").unwrap(),
                    Some(CorsDecision::Ignore) | None => {}
                }
            }
            HttpFilter::ExtAuthz(_) => said += "(asks) ",
            _ => {}
        }
    }
    let Some(chosen) = chosen else { return Err(refusal(&Failure::route_not_found())) };
    let plan = plan(&chosen, request, &mut dice);
    Ok(format!("{said}{}: {}", chosen.route.name, planned(&plan, &chosen.route)))
}

fn refusal(failure: &Failure) -> String {
    format!("{} {}", failure.status.as_u16(), failure.details)
}

fn planned(plan: &Plan, route: &Arc<Route>) -> String {
    match plan {
        Plan::Forward(plan) => forward(plan, route),
        Plan::Redirect { status, location } => format!("{} {location:?}", status.as_u16()),
        Plan::Direct { status, body } => format!("{} {:?}", status.as_u16(), String::from_utf8_lossy(body)),
        Plan::Refused(failure) => refusal(failure),
    }
}

fn forward(plan: &ForwardPlan, route: &Route) -> String {
    let RouteAction::Forward(forward) = &route.action else { panic!("{route:?}") };
    let mut text = match &forward.clusters {
        ClusterChoice::Weighted { clusters, .. } => {
            let shares: Vec<_> = clusters.iter().map(|one| format!("{} {}", one.weight, one.name)).collect();
            shares.join(", ")
        }
        _ => plan.target.cluster.to_string(),
    };
    if let Some(path) = &plan.path {
        write!(text, " as {path}").unwrap();
    }
    match &plan.host {
        HostPlan::Keep => {}
        other => write!(text, " host {other:?}").unwrap(),
    }
    for mirror in &plan.mirrors {
        write!(text, " copy to {}", mirror.cluster).unwrap();
    }
    text
}
