//! The filter chain matcher: `xds.type.matcher.v3.Matcher` trees as istiod builds them.
//!
//! A branch that cannot be honoured leads to a chain of its own that refuses, so that it does not fall through to
//! `on_no_match` and reach something its author meant to keep apart.

use super::pb::{IpMatcher, protobuf, xds_core, xds_matcher as pb};
use super::problem::{At, Problem, Result, Warnings};
use super::{values, wire};
use crate::limits::NESTING_MAX;
use crate::model::listener::{ApplicationProtocol, ChainBody, ChainMatcher, FilterChain, IpTable};
use std::collections::HashMap;
use std::sync::Arc;

/// `refused` receives the chains that stand for branches we cannot follow.
pub(super) fn tree(matcher: &pb::Matcher, refused: &mut Vec<FilterChain>) -> Result<ChainMatcher> {
    node(matcher, 0, refused)
}

/// A matcher that cannot be honoured becomes a leaf that refuses.
fn node(matcher: &pb::Matcher, depth: usize, refused: &mut Vec<FilterChain>) -> Result<ChainMatcher> {
    match self::matcher(matcher, depth, refused).or_refusal()? {
        Ok(matcher) => Ok(matcher),
        Err(refusal) => {
            let name: Arc<str> = refusal.details.clone();
            let body = ChainBody::Refused(refusal);
            refused.push(FilterChain { name: name.clone(), content_hash: 0, extensions: Vec::new(), body });
            Ok(ChainMatcher::Chain(name))
        }
    }
}

fn matcher(matcher: &pb::Matcher, depth: usize, refused: &mut Vec<FilterChain>) -> Result<ChainMatcher> {
    if depth > NESTING_MAX {
        return Err(Problem::invalid("filter chain matcher nests too deep"));
    }
    let on_no_match = matcher.on_no_match.as_deref().map(|next| on_match(next, depth, refused)).transpose();
    let on_no_match = on_no_match.at("on_no_match")?;
    let tree = match &matcher.matcher_type {
        Some(pb::matcher::MatcherType::MatcherTree(tree)) => tree,
        Some(pb::matcher::MatcherType::MatcherList(_)) => {
            return Err(Problem::unsupported("unsupported_matcher", "matcher_list"));
        }
        None => return on_no_match.ok_or_else(|| Problem::unsupported("unsupported_matcher", "empty")),
    };
    let input = tree.input.as_ref().and_then(|input| input.typed_config.as_ref());
    let input = input.ok_or_else(|| Problem::invalid("matcher without input"))?;
    use pb::matcher::matcher_tree::TreeType;
    match (wire::type_name(input).rsplit('.').next().unwrap_or_default(), &tree.tree_type) {
        ("DestinationIPInput", Some(TreeType::CustomMatch(custom))) => {
            ips(custom, on_no_match, (depth, refused)).at("custom_match")
        }
        ("DestinationPortInput", Some(TreeType::ExactMatchMap(map))) => {
            ports(map, on_no_match, (depth, refused))
        }
        ("ApplicationProtocolInput", Some(TreeType::ExactMatchMap(map))) => {
            protocols(map, on_no_match, (depth, refused))
        }
        ("FilterStateInput", Some(TreeType::ExactMatchMap(map)))
            if filter_state_key(input)? == "io.istio.connect_authority" =>
        {
            authorities(map, on_no_match, (depth, refused))
        }
        (input, _) => Err(Problem::unsupported("unsupported_matcher", input)),
    }
}

/// How far down we are, and where refused branches go.
type Walk<'a> = (usize, &'a mut Vec<FilterChain>);

fn on_match(
    next: &pb::matcher::OnMatch,
    depth: usize,
    refused: &mut Vec<FilterChain>,
) -> Result<ChainMatcher> {
    use pb::matcher::on_match::OnMatch;
    if next.keep_matching {
        return Err(Problem::unsupported("unsupported_matcher", "keep_matching"));
    }
    match &next.on_match {
        Some(OnMatch::Matcher(inner)) => node(inner, depth + 1, refused).at("matcher"),
        Some(OnMatch::Action(action)) => chain_name(action).map(ChainMatcher::Chain).at("action"),
        None => Err(Problem::invalid("neither matcher nor action")),
    }
}

/// Envoy: the action's `StringValue` names the chain.
fn chain_name(action: &xds_core::TypedExtensionConfig) -> Result<Arc<str>> {
    let any = action.typed_config.as_ref().ok_or_else(|| Problem::invalid("action without configuration"))?;
    let name: protobuf::StringValue = wire::unpack(any, &mut Warnings::default())?;
    Ok(name.value.into())
}

fn filter_state_key(input: &protobuf::Any) -> Result<String> {
    let input: super::pb::network_inputs::FilterStateInput = wire::unpack(input, &mut Warnings::default())?;
    if !input.field.is_empty() {
        return Err(Problem::unsupported(
            "unsupported_matcher",
            format!("filter_state:{}:{}", input.key, input.field),
        ));
    }
    Ok(input.key)
}

fn ips(
    custom: &xds_core::TypedExtensionConfig,
    on_no_match: Option<ChainMatcher>,
    (depth, refused): Walk<'_>,
) -> Result<ChainMatcher> {
    let any =
        custom.typed_config.as_ref().ok_or_else(|| Problem::invalid("IP matcher without configuration"))?;
    let matcher: IpMatcher = wire::unpack(any, &mut Warnings::default())?;
    let mut table = IpTable { on_no_match, ..IpTable::default() };
    for (index, entry) in matcher.range_matchers.iter().enumerate() {
        if entry.exclusive {
            return Err(Problem::unsupported("unsupported_matcher", "exclusive"));
        }
        let next = entry.on_match.as_ref().ok_or_else(|| Problem::invalid("range without on_match"));
        let next = next.and_then(|next| on_match(next, depth, refused)).at_index("range_matchers", index)?;
        let next = Arc::new(next);
        for range in &entry.ranges {
            let net = values::xds_cidr(range).at_index("range_matchers", index)?;
            if net.prefix_len() == net.max_prefix_len() {
                table.hosts.entry(net.addr()).or_insert_with(|| next.clone());
            } else {
                table.prefixes.push((net, next.clone()));
            }
        }
    }
    // Stable, so that of equal prefixes the first configured stays in front.
    table.prefixes.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
    Ok(ChainMatcher::DestinationIp(Box::new(table)))
}

type MatchMap = pb::matcher::matcher_tree::MatchMap;

/// In one order: which of two faults is met first decides between a refused branch and a rejected listener.
fn sorted(map: &MatchMap) -> Vec<(&String, &pb::matcher::OnMatch)> {
    let mut entries: Vec<_> = map.map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn ports(
    map: &MatchMap,
    on_no_match: Option<ChainMatcher>,
    (depth, refused): Walk<'_>,
) -> Result<ChainMatcher> {
    let mut ports = HashMap::with_capacity(map.map.len());
    for (key, next) in sorted(map) {
        let port: u16 = key.parse().map_err(|_| Problem::invalid(format_args!("bad port {key:?}")))?;
        ports.insert(port, on_match(next, depth, refused).at(key)?);
    }
    Ok(ChainMatcher::DestinationPort { ports, on_no_match: on_no_match.map(Box::new) })
}

/// Keys carry literal quotes: `'h2c'`. One we cannot detect never matches, as if the inspector had not seen it.
fn protocols(
    map: &MatchMap,
    on_no_match: Option<ChainMatcher>,
    (depth, refused): Walk<'_>,
) -> Result<ChainMatcher> {
    let mut protocols = Vec::new();
    for (key, next) in sorted(map) {
        let protocol = match key.trim_matches('\'') {
            "http/1.0" => ApplicationProtocol::Http10,
            "http/1.1" => ApplicationProtocol::Http11,
            "h2c" => ApplicationProtocol::H2c,
            other => {
                return Err(Problem::unsupported(
                    "unsupported_matcher",
                    format!("application protocol {other}"),
                ));
            }
        };
        protocols.push((protocol, on_match(next, depth, refused).at(key)?));
    }
    Ok(ChainMatcher::ApplicationProtocol { protocols, on_no_match: on_no_match.map(Box::new) })
}

fn authorities(
    map: &MatchMap,
    on_no_match: Option<ChainMatcher>,
    (depth, refused): Walk<'_>,
) -> Result<ChainMatcher> {
    let mut authorities = HashMap::with_capacity(map.map.len());
    for (key, next) in sorted(map) {
        authorities.insert(key.as_str().into(), on_match(next, depth, refused).at(key)?);
    }
    Ok(ChainMatcher::ConnectAuthority { authorities, on_no_match: on_no_match.map(Box::new) })
}

#[cfg(test)]
mod tests;
