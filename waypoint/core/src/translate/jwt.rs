//! RequestAuthentication. Envoy: `jwt_authn.v3.JwtAuthentication`; istiod: `pilot/pkg/security/authn/policy_applier.go`.
//!
//! A requirement that cannot be honoured refuses its chain. A key set that cannot be used does not: its provider then
//! verifies nothing, which is what Envoy does and what istiod relies on when it could not fetch the keys itself.

mod provider;

use self::provider::Providers;
use super::pb::{jwt_authn as pb, protobuf::Any};
use super::problem::{At, Problem, Result, Warnings};
use super::{ignored, route, wire};
use crate::model::jwt::{Audiences, JwtAuthn, JwtRequirement, JwtRule, Tolerance};
use http::HeaderName;
use prost::Message as _;
use std::collections::HashMap;

pub(super) fn filter(any: &Any, warnings: &mut Warnings) -> Result<JwtAuthn> {
    let mut config: pb::JwtAuthentication = wire::unpack(any, warnings)?;
    // An empty requirement demands nothing, and one we have never heard of decodes as an empty one.
    if config.encoded_len() < any.value.len() {
        return Err(unsupported("a field of a newer version"));
    }
    let providers = provider::providers(std::mem::take(&mut config.providers), warnings)?;
    let named = std::mem::take(&mut config.requirement_map);
    let requirements = Requirements { providers: &providers, named: &named };
    let rules = std::mem::take(&mut config.rules).into_iter().enumerate();
    let rules = rules.map(|(index, rule)| requirements.rule(rule).at_index("rules", index));
    let filter = JwtAuthn {
        rules: rules.collect::<Result<_>>()?,
        bypass_cors_preflight: std::mem::take(&mut config.bypass_cors_preflight),
        strip_failure_response: std::mem::take(&mut config.strip_failure_response),
        reserved_headers: reserved(&providers),
        providers: providers.into_values().collect(),
    };
    if config.filter_state_rules.is_some() {
        return Err(unsupported("filter_state_rules")); // nothing here writes such filter state
    }
    ignored::jwt_filter(&mut config);
    wire::nothing_left(&config)?;
    Ok(filter)
}

fn unsupported(what: &str) -> Problem {
    Problem::unsupported("unsupported_jwt", what)
}

/// Every header that says something about claims.
fn reserved(providers: &Providers) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for provider in providers.values() {
        let claims = provider.claim_headers.iter().map(|claim| &claim.name);
        for name in provider.payload_header.iter().map(|header| &header.name).chain(claims) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

struct Requirements<'a> {
    providers: &'a Providers,
    named: &'a HashMap<String, pb::JwtRequirement>,
}

impl Requirements<'_> {
    fn rule(&self, rule: pb::RequirementRule) -> Result<JwtRule> {
        use pb::requirement_rule::RequirementType as Kind;
        let matched = rule.r#match.ok_or_else(|| Problem::invalid("no match"))?;
        let matcher = route::route_match(matched).at("match")?;
        let requirement = match &rule.requirement_type {
            None => None,
            Some(Kind::Requires(requirement)) => Some(requirement),
            Some(Kind::RequirementName(name)) => Some(
                self.named
                    .get(name)
                    .ok_or_else(|| Problem::invalid(format_args!("no requirement {name:?}")))?,
            ),
        };
        let requirement = requirement.map(|requirement| self.requirement(requirement)).transpose()?;
        Ok(JwtRule { matcher, requirement })
    }

    /// As deep as prost decodes: it stops at a hundred levels.
    fn requirement(&self, requirement: &pb::JwtRequirement) -> Result<JwtRequirement> {
        use pb::jwt_requirement::RequiresType as Kind;
        Ok(match &requirement.requires_type {
            None => JwtRequirement::Nothing,
            Some(Kind::ProviderName(name)) => self.provider(name, &[])?,
            Some(Kind::ProviderAndAudiences(both)) => self.provider(&both.provider_name, &both.audiences)?,
            Some(Kind::RequiresAny(any)) => self.any(&any.requirements)?,
            Some(Kind::RequiresAll(all)) => {
                let all = all.requirements.iter().map(|one| self.requirement(one));
                JwtRequirement::All(all.collect::<Result<_>>()?)
            }
            Some(Kind::AllowMissing(_)) => JwtRequirement::Anyone(Tolerance::Missing),
            Some(Kind::AllowMissingOrFailed(_)) => JwtRequirement::Anyone(Tolerance::MissingOrFailed),
            // Claims that anybody can forge, indistinguishable from verified ones.
            Some(Kind::ExtractOnlyWithoutValidation(_)) => {
                return Err(unsupported("extract_only_without_validation"));
            }
        })
    }

    fn provider(&self, name: &str, audiences: &[String]) -> Result<JwtRequirement> {
        let provider = self.providers.get(name);
        let provider = provider.ok_or_else(|| Problem::invalid(format_args!("no provider {name:?}")))?;
        let audiences = (!audiences.is_empty()).then(|| Audiences::new(audiences));
        Ok(JwtRequirement::Provider { provider: provider.clone(), audiences })
    }

    /// Envoy: beside other requirements the allowances only say what else passes; alone they verify any token.
    fn any(&self, requirements: &[pb::JwtRequirement]) -> Result<JwtRequirement> {
        use pb::jwt_requirement::RequiresType as Kind;
        let (mut of, mut tolerates) = (Vec::new(), Tolerance::Nothing);
        for requirement in requirements {
            match &requirement.requires_type {
                Some(Kind::AllowMissing(_)) => tolerates = tolerates.max(Tolerance::Missing),
                Some(Kind::AllowMissingOrFailed(_)) => tolerates = Tolerance::MissingOrFailed,
                _ => of.push(self.requirement(requirement)?),
            }
        }
        if of.is_empty() && tolerates == Tolerance::Nothing {
            return Err(Problem::invalid("requires_any of nothing"));
        }
        Ok(if of.is_empty() {
            JwtRequirement::Anyone(tolerates)
        } else {
            JwtRequirement::Any { of, tolerates }
        })
    }
}

#[cfg(test)]
mod tests;
