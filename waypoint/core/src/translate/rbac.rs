//! AuthorizationPolicy as istiod compiles it. Envoy: `config.rbac.v3.RBAC`.
//!
//! A rule or principal we do not know is never "no match": under DENY that would open, so the chain is refused.

use super::pb::{core, http_rbac, matcher as pb_matcher, network_rbac, rbac as pb, uri_template};
use super::problem::{At, Problem, Result, Warnings};
use super::{matcher, values, wire};
use crate::limits::NESTING_MAX;
use crate::model::rbac::{
    Permission, Principal, Rbac, RbacAction, RbacPolicy, RbacRules, TemplateSegment, UriTemplate,
};
use std::sync::Arc;

/// The filter state object that holds the tunnel peer's URI SAN.
const PEER_PRINCIPAL: &str = "io.istio.peer_principal";

pub(super) fn http_filter(mut filter: http_rbac::Rbac, warnings: &mut Warnings) -> Result<Rbac> {
    let rbac = Rbac {
        rules: filter.rules.take().map(|rules| self::rules(&rules, warnings)).transpose().at("rules")?,
        shadow: filter
            .shadow_rules
            .take()
            .map(|rules| self::rules(&rules, warnings))
            .transpose()
            .at("shadow_rules")?,
        shadow_stat_prefix: std::mem::take(&mut filter.shadow_rules_stat_prefix).into(),
        rules_stat_prefix: std::mem::take(&mut filter.rules_stat_prefix).into(),
        ..Rbac::default()
    };
    super::ignored::http_rbac(&mut filter);
    wire::nothing_left(&filter)?;
    Ok(rbac)
}

pub(super) fn network_filter(mut filter: network_rbac::Rbac, warnings: &mut Warnings) -> Result<Rbac> {
    let rbac = Rbac {
        rules: filter.rules.take().map(|rules| self::rules(&rules, warnings)).transpose().at("rules")?,
        shadow: filter
            .shadow_rules
            .take()
            .map(|rules| self::rules(&rules, warnings))
            .transpose()
            .at("shadow_rules")?,
        shadow_stat_prefix: std::mem::take(&mut filter.shadow_rules_stat_prefix).into(),
        stat_prefix: std::mem::take(&mut filter.stat_prefix).into(),
        ..Rbac::default()
    };
    super::ignored::network_rbac(&mut filter);
    wire::nothing_left(&filter)?;
    Ok(rbac)
}

fn rules(rules: &pb::Rbac, warnings: &mut Warnings) -> Result<RbacRules> {
    if rules.audit_logging_options.is_some() {
        warnings.push("RBAC audit loggers are not honoured");
    }
    let action = match wire::enum_value(rules.action, "RBAC.action")? {
        pb::rbac::Action::Allow => RbacAction::Allow,
        pb::rbac::Action::Deny => RbacAction::Deny,
        pb::rbac::Action::Log => RbacAction::Log,
    };
    let mut names: Vec<&String> = rules.policies.keys().collect();
    names.sort_unstable();
    let policies = names.into_iter().map(|name| {
        policy(name, &rules.policies[name]).map_err(|problem| match problem {
            Problem::Unsupported { kind, what } => {
                Problem::Unsupported { kind, what: format!("{name}:{what}") }
            }
            invalid @ Problem::Invalid { .. } => invalid,
        })
    });
    Ok(RbacRules { action, policies: policies.collect::<Result<_>>()? })
}

fn policy(name: &str, policy: &pb::Policy) -> Result<RbacPolicy> {
    if policy.condition.is_some() || policy.checked_condition.is_some() || policy.cel_config.is_some() {
        return Err(Problem::unsupported("unsupported_rule", "condition"));
    }
    let here = |field: &str| format!("policies[{name}].{field}");
    if policy.permissions.is_empty() || policy.principals.is_empty() {
        // Envoy refuses it by validation; both are lists of alternatives, and none would never match.
        return Err(Problem::invalid("policy without permissions or principals")).at(&here("permissions"));
    }
    Ok(RbacPolicy {
        name: name.into(),
        permissions: permissions(&policy.permissions, 0, &here("permissions"))?,
        principals: principals(&policy.principals, 0, &here("principals"))?,
    })
}

fn permissions(list: &[pb::Permission], depth: usize, field: &str) -> Result<Vec<Permission>> {
    list.iter().enumerate().map(|(index, one)| permission(one, depth + 1).at_index(field, index)).collect()
}

fn permission(permission: &pb::Permission, depth: usize) -> Result<Permission> {
    use pb::permission::Rule;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("rules nest too deep"));
    }
    Ok(match &permission.rule {
        Some(Rule::Any(_)) => Permission::Any,
        Some(Rule::AndRules(set)) => Permission::And(permissions(&set.rules, depth, "and_rules.rules")?),
        Some(Rule::OrRules(set)) => Permission::Or(permissions(&set.rules, depth, "or_rules.rules")?),
        Some(Rule::NotRule(rule)) => {
            Permission::Not(Box::new(self::permission(rule, depth + 1).at("not_rule")?))
        }
        Some(Rule::Header(header)) => Permission::Header(matcher::header(header).at("header")?),
        Some(Rule::UrlPath(path)) => Permission::UrlPath(matcher::path(path).at("url_path")?),
        Some(Rule::UriTemplate(config)) => Permission::UriTemplate(template(config).at("uri_template")?),
        Some(Rule::DestinationIp(range)) => {
            Permission::DestinationIp(values::core_cidr(range).at("destination_ip")?)
        }
        Some(Rule::DestinationPort(port)) => {
            Permission::DestinationPort(values::port(*port).at("destination_port")?)
        }
        Some(Rule::DestinationPortRange(range)) => {
            let bound = |value: i32| u32::try_from(value).map_err(Problem::invalid).and_then(values::port);
            let (start, end) = (bound(range.start)?, bound(range.end)?);
            Permission::DestinationPortRange { start, end }
        }
        Some(Rule::Metadata(metadata)) => Permission::Metadata(matcher::metadata(metadata).at("metadata")?),
        Some(Rule::RequestedServerName(name)) => {
            Permission::RequestedServerName(matcher::string(name).at("requested_server_name")?)
        }
        Some(Rule::Matcher(extension)) => {
            return Err(Problem::unsupported("unsupported_rule", &extension.name));
        }
        Some(Rule::SourcedMetadata(_)) => {
            return Err(Problem::unsupported("unsupported_rule", "sourced_metadata"));
        }
        None => return Err(Problem::unsupported("unsupported_rule", "permission")),
    })
}

fn principals(list: &[pb::Principal], depth: usize, field: &str) -> Result<Vec<Principal>> {
    list.iter().enumerate().map(|(index, one)| principal(one, depth + 1).at_index(field, index)).collect()
}

fn principal(principal: &pb::Principal, depth: usize) -> Result<Principal> {
    use pb::principal::Identifier;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("principals nest too deep"));
    }
    Ok(match &principal.identifier {
        Some(Identifier::Any(_)) => Principal::Any,
        Some(Identifier::AndIds(set)) => Principal::And(principals(&set.ids, depth, "and_ids.ids")?),
        Some(Identifier::OrIds(set)) => Principal::Or(principals(&set.ids, depth, "or_ids.ids")?),
        Some(Identifier::NotId(id)) => Principal::Not(Box::new(self::principal(id, depth + 1).at("not_id")?)),
        Some(Identifier::Authenticated(authenticated)) => {
            let name = authenticated.principal_name.as_ref().map(matcher::string).transpose();
            Principal::Peer(name.at("authenticated.principal_name")?)
        }
        Some(Identifier::FilterState(state)) => Principal::Peer(Some(peer(state).at("filter_state")?)),
        // `source_ip` is the deprecated name of `direct_remote_ip`, with the same meaning here: no proxy protocol.
        Some(Identifier::SourceIp(range) | Identifier::DirectRemoteIp(range)) => {
            Principal::DirectRemoteIp(values::core_cidr(range).at("direct_remote_ip")?)
        }
        Some(Identifier::RemoteIp(range)) => Principal::RemoteIp(values::core_cidr(range).at("remote_ip")?),
        Some(Identifier::Header(header)) => Principal::Header(matcher::header(header).at("header")?),
        Some(Identifier::UrlPath(path)) => Principal::UrlPath(matcher::path(path).at("url_path")?),
        Some(Identifier::Metadata(metadata)) => {
            Principal::Metadata(matcher::metadata(metadata).at("metadata")?)
        }
        Some(Identifier::SourcedMetadata(_)) => {
            return Err(Problem::unsupported("unsupported_principal", "sourced_metadata"));
        }
        Some(Identifier::Custom(extension)) => {
            return Err(Problem::unsupported("unsupported_principal", &extension.name));
        }
        None => return Err(Problem::unsupported("unsupported_principal", "unknown")),
    })
}

fn peer(state: &pb_matcher::FilterStateMatcher) -> Result<crate::model::matcher::StringMatcher> {
    if state.key != PEER_PRINCIPAL {
        return Err(Problem::unsupported("unsupported_principal", format!("filter_state:{}", state.key)));
    }
    matcher::filter_state(state)
}

fn template(config: &core::TypedExtensionConfig) -> Result<Arc<UriTemplate>> {
    let any =
        config.typed_config.as_ref().ok_or_else(|| Problem::invalid("uri_template without configuration"))?;
    let config: uri_template::UriTemplateMatchConfig = wire::unpack(any, &mut Warnings::default())?;
    parse_template(&config.path_template).map(Arc::new)
}

/// Envoy: `{*}` is one segment, `{**}` any number and the last operator; both may be written without braces or with a name.
fn parse_template(text: &str) -> Result<UriTemplate> {
    let bad = |why: &str| Problem::invalid(format_args!("bad path template {text:?}: {why}"));
    let rest = text.strip_prefix('/').ok_or_else(|| bad("does not begin with a slash"))?;
    let mut segments = Vec::new();
    for part in rest.split('/') {
        let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        segments.push(match inner.unwrap_or(part) {
            "*" | "**" if segments.contains(&TemplateSegment::Many) => {
                return Err(bad("an operator follows `**`"));
            }
            "*" => TemplateSegment::One,
            "**" => TemplateSegment::Many,
            literal if inner.is_none() && !literal.contains(['*', '{', '}']) => {
                TemplateSegment::Literal(literal.into())
            }
            _ => return Err(Problem::unsupported("unsupported_template", text)),
        });
    }
    Ok(UriTemplate { segments })
}

#[cfg(test)]
mod tests;
