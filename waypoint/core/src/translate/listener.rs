//! Listeners. Envoy: `config.listener.v3.Listener`; istiod: `pilot/pkg/networking/core/listener_waypoint.go`.
//!
//! `main_internal` is one resource with every chain of every service, sent whole on any change; chains whose bytes are
//! unchanged are not even decoded.

use super::ecds::{Asked, Extensions};
use super::pb::listener as pb;
use super::problem::{At, Problem, Rejection, Result, Translated, Warnings};
use super::{access_log, chain_match, connect_terminate, ignored, rate_limit, tcp_chain, wire};
use crate::model::Refusal;
use crate::model::listener::{
    ChainBody, ConnectTerminate, FilterChain, InspectedPorts, Inspectors, MainInternal,
};
use std::collections::HashMap;
use std::sync::Arc;
use xds_client::type_url::LISTENER;

#[derive(Clone, Debug)]
pub enum Listener {
    ConnectTerminate(Arc<ConnectTerminate>),
    MainInternal(Arc<MainInternal>),
    /// A hop inside Envoy that our connector makes itself: `connect_originate` and its kin.
    Internal,
}

/// The field number of `Listener.filter_chains`.
const FILTER_CHAINS: u32 = 3;

/// What a listener was before: its unchanged chains are carried over.
#[derive(Clone, Copy, Debug)]
pub struct Previous<'a> {
    pub listener: &'a MainInternal,
    /// Whether extensions changed since; chains that ask for any are then made anew.
    pub extensions_changed: bool,
}

pub fn translate(
    name: &str,
    bytes: &[u8],
    extensions: &Extensions,
    previous: Option<Previous<'_>>,
) -> std::result::Result<Translated<Listener>, Rejection> {
    let mut warnings = Warnings::default();
    let listener = match name {
        "connect_terminate" => connect_terminate::translate(bytes, &mut warnings)
            .map(|one| Listener::ConnectTerminate(Arc::new(one))),
        "main_internal" => main_internal(bytes, extensions, previous, &mut warnings)
            .map(|one| Listener::MainInternal(Arc::new(one))),
        _ => internal(name, bytes, &mut warnings),
    };
    let value = listener.map_err(|problem| problem.reject(LISTENER, name))?;
    Ok(Translated { value, warnings: warnings.into_list() })
}

/// `connect_originate` (CONNECT to the destination's ztunnel), `inner_connect_originate` and `outer_connect_originate`
/// (double HBONE) never vary but by their access log of failed CONNECTs, which our connector reports in the request's.
fn internal(name: &str, bytes: &[u8], warnings: &mut Warnings) -> Result<Listener> {
    let _: pb::Listener = wire::decode(bytes, warnings)?;
    if !matches!(name, "connect_originate" | "inner_connect_originate" | "outer_connect_originate") {
        warnings.push(format!("listener {name} is not one of a waypoint's and serves nothing"));
    }
    Ok(Listener::Internal)
}

fn main_internal(
    bytes: &[u8],
    extensions: &Extensions,
    previous: Option<Previous<'_>>,
    warnings: &mut Warnings,
) -> Result<MainInternal> {
    let cut = wire::cut(bytes, FILTER_CHAINS)?;
    let mut listener: pb::Listener = wire::decode(&cut.rest, warnings)?;
    let mut chains = HashMap::with_capacity(cut.parts.len());
    for (index, part) in cut.parts.iter().enumerate() {
        let chain = chain(part, extensions, previous, warnings).at_index("filter_chains", index)?;
        if let Some(twin) = chains.insert(chain.name.clone(), chain) {
            return Err(Problem::invalid(format_args!("two chains are named {}", twin.name)))
                .at_index("filter_chains", index);
        }
    }
    let mut refused = Vec::new();
    let matcher = listener.filter_chain_matcher.take();
    let matcher = matcher
        .map(|matcher| chain_match::tree(&matcher, &mut refused))
        .transpose()
        .at("filter_chain_matcher")?;
    for chain in refused {
        chains.insert(chain.name.clone(), Arc::new(chain));
    }
    let access_logs = access_log::loggers(std::mem::take(&mut listener.access_log), warnings)?;
    let inspectors =
        inspectors(std::mem::take(&mut listener.listener_filters)).at("listener_filters").or_refusal()?;
    ignored::listener(&mut listener);
    let rest = wire::nothing_left(&listener).or_refusal()?;
    if let Some(refusal) = inspectors.as_ref().err().or_else(|| rest.as_ref().err()) {
        refuse_all(&mut chains, refusal);
    }
    Ok(MainInternal { matcher, chains, inspectors: inspectors.unwrap_or_default(), access_logs })
}

/// Something about the whole listener cannot be honoured: no chain of it may serve.
fn refuse_all(chains: &mut HashMap<Arc<str>, Arc<FilterChain>>, refusal: &Refusal) {
    for chain in chains.values_mut() {
        let body = ChainBody::Refused(refusal.clone());
        // A hash of its own, so that a later, better listener does not take this body for the chain's.
        let content_hash = !chain.content_hash;
        let (name, extensions) = (chain.name.clone(), chain.extensions.clone());
        *chain = Arc::new(FilterChain { name, content_hash, extensions, body });
    }
}

fn chain(
    bytes: &[u8],
    extensions: &Extensions,
    previous: Option<Previous<'_>>,
    warnings: &mut Warnings,
) -> Result<Arc<FilterChain>> {
    let content_hash = wire::hash(bytes);
    let mut chain: pb::FilterChain =
        match previous.and_then(|previous| unchanged(bytes, content_hash, previous)) {
            Some(unchanged) => return Ok(unchanged),
            None => wire::decode(bytes, warnings)?,
        };
    let name: Arc<str> = std::mem::take(&mut chain.name).into();
    warnings.enter(&*name);
    let filters = std::mem::take(&mut chain.filters);
    let mut asked = Asked::new(extensions);
    let body = tcp_chain::body(filters, &mut asked, warnings).or_refusal()?;
    ignored::filter_chain(&mut chain);
    let rest = wire::nothing_left(&chain).or_refusal()?;
    let mut body = rest.and(body).unwrap_or_else(ChainBody::Refused);
    let before = previous.and_then(|previous| previous.listener.chains.get(&name));
    if let ChainBody::Http(chain) = &mut body
        && let Some(ChainBody::Http(before)) = before.map(|chain| &chain.body)
        && let Some(chain) = Arc::get_mut(chain)
    {
        rate_limit::carry_over(chain, before);
    }
    if let Some(refusal) = body.refusal() {
        warnings.push_here(format!("chain refuses everything: {}", refusal.details));
    }
    warnings.enter("");
    Ok(Arc::new(FilterChain { name, content_hash, extensions: asked.names, body }))
}

/// The previous chain of the same name and bytes; only the name is read.
fn unchanged(bytes: &[u8], content_hash: u64, previous: Previous<'_>) -> Option<Arc<FilterChain>> {
    /// `FilterChain.name` alone.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Named {
        #[prost(string, tag = "7")]
        name: String,
    }
    let named = <Named as prost::Message>::decode(bytes).ok()?;
    let chain = previous.listener.chains.get(named.name.as_str())?;
    let carries_over = !previous.extensions_changed || chain.extensions.is_empty();
    let same = carries_over && chain.content_hash == content_hash;
    same.then(|| chain.clone())
}

fn inspectors(filters: Vec<pb::ListenerFilter>) -> Result<Inspectors> {
    let mut inspectors = Inspectors::default();
    for filter in filters {
        let Some(pb::listener_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(Problem::unsupported("unsupported_listener_filter", filter.name));
        };
        match wire::type_name(any) {
            // The target of a tunnel is its CONNECT authority; there is nothing to restore.
            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" => {}
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" => {
                inspectors.http = inspected(filter.filter_disabled.as_ref())?;
            }
            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" => {
                inspectors.tls = inspected(filter.filter_disabled.as_ref())?;
            }
            _ => return Err(Problem::unsupported("unsupported_listener_filter", filter.name)),
        }
    }
    Ok(inspectors)
}

fn inspected(disabled: Option<&pb::ListenerFilterChainMatchPredicate>) -> Result<Option<InspectedPorts>> {
    use pb::listener_filter_chain_match_predicate::Rule;
    let mut ports = InspectedPorts::default();
    let mut pending: Vec<_> = disabled.into_iter().collect();
    while let Some(predicate) = pending.pop() {
        match &predicate.rule {
            Some(Rule::DestinationPortRange(range)) => {
                let bound = |value: i32| u32::try_from(value).map_err(Problem::invalid);
                ports.disabled.push((bound(range.start)?, bound(range.end)?));
            }
            Some(Rule::OrMatch(set)) => pending.extend(set.rules.iter().rev()),
            Some(Rule::AnyMatch(true)) => return Ok(None),
            Some(Rule::AnyMatch(false)) => {}
            Some(Rule::AndMatch(_) | Rule::NotMatch(_)) | None => {
                return Err(Problem::unsupported("unsupported_listener_filter", "filter_disabled"));
            }
        }
    }
    Ok(Some(ports))
}

#[cfg(test)]
mod tests;
