//! `typed_per_filter_config`: what a route tells the filters before it.

use super::super::pb::{common_fault, cors as pb_cors, fault as pb_fault, protobuf::Any};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{ext_authz, ignored, matcher, rate_limit, values, wire};
use crate::model::ext_authz::ExtAuthzPerRoute;
use crate::model::global_rate_limit::RateLimitPerRoute;
use crate::model::rate_limit::LocalRateLimit;
use crate::model::route::{Cors, Fault, FaultAbort, Fraction};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct PerFilter {
    pub(super) fault: Option<Arc<Fault>>,
    pub(super) cors: Option<Arc<Cors>>,
    pub(super) ext_authz: Option<Arc<ExtAuthzPerRoute>>,
    pub(super) local_rate_limits: Vec<(Arc<str>, Arc<LocalRateLimit>)>,
    pub(super) rate_limits: Vec<(Arc<str>, Arc<RateLimitPerRoute>)>,
}

impl PerFilter {
    /// The most specific level wins, filter by filter.
    pub(super) fn or(self, outer: &Self) -> Self {
        Self {
            fault: self.fault.or_else(|| outer.fault.clone()),
            cors: self.cors.or_else(|| outer.cors.clone()),
            local_rate_limits: by_name(self.local_rate_limits, &outer.local_rate_limits),
            rate_limits: by_name(self.rate_limits, &outer.rate_limits),
            ext_authz: ext_authz::merge(self.ext_authz, outer.ext_authz.as_ref()),
        }
    }
}

fn by_name<T>(mut inner: Vec<(Arc<str>, Arc<T>)>, outer: &[(Arc<str>, Arc<T>)]) -> Vec<(Arc<str>, Arc<T>)> {
    for (name, config) in outer {
        if inner.iter().all(|(known, _)| known != name) {
            inner.push((name.clone(), config.clone()));
        }
    }
    inner
}

pub(super) fn configs(configs: &mut HashMap<String, Any>, warnings: &mut Warnings) -> Result<PerFilter> {
    let mut found = PerFilter::default();
    // In one order, so that the same configuration always fails the same way.
    for (name, any) in std::mem::take(configs).into_iter().collect::<BTreeMap<_, _>>() {
        let any = wire::unwrapped(&any)?;
        match (name.as_str(), wire::type_name(&any)) {
            (_, "envoy.extensions.filters.http.fault.v3.HTTPFault") => {
                found.fault = Some(Arc::new(fault(wire::unpack(&any, warnings)?).at(&name)?));
            }
            (_, "envoy.extensions.filters.http.cors.v3.CorsPolicy") => {
                found.cors = Some(Arc::new(cors(wire::unpack(&any, warnings)?).at(&name)?));
            }
            (_, "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute") => {
                found.ext_authz = Some(Arc::new(ext_authz::per_route(wire::unpack(&any, warnings)?)?));
            }
            (_, "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit") => {
                let limit = rate_limit::config(&name, wire::unpack(&any, warnings)?).at(&name)?;
                found.local_rate_limits.push((name.into(), Arc::new(limit)));
            }
            (_, "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute") => {
                let limit = rate_limit::global::per_route(wire::unpack(&any, warnings)?).at(&name)?;
                found.rate_limits.push((name.into(), Arc::new(limit)));
            }
            // istiod sends it with the label `istio.io/persistent-session` but never the filter itself to a waypoint, so
            // Envoy ignores it too.
            ("envoy.filters.http.stateful_session", _) => {
                warnings.push("stateful_session has no filter to configure");
            }
            _ => return Err(Problem::unsupported("unsupported_route_config", name)),
        }
    }
    Ok(found)
}

fn fault(mut fault: pb_fault::HttpFault) -> Result<Fault> {
    let headers = matcher::headers(&std::mem::take(&mut fault.headers))?;
    let delay = fault.delay.take().map(delay).transpose().at("delay")?;
    let abort = fault.abort.take().map(abort).transpose().at("abort")?;
    ignored::fault(&mut fault);
    wire::nothing_left(&fault)?;
    Ok(Fault { delay, abort, headers })
}

fn delay(delay: common_fault::FaultDelay) -> Result<(Duration, Fraction)> {
    use common_fault::fault_delay::FaultDelaySecifier as Kind;
    let percentage = delay.percentage.unwrap_or_default();
    match &delay.fault_delay_secifier {
        Some(Kind::FixedDelay(fixed)) => Ok((values::duration(fixed)?, values::fraction(&percentage)?)),
        Some(Kind::HeaderDelay(_)) => Err(Problem::unsupported("unsupported_fault", "header_delay")),
        None => Err(Problem::unsupported("unsupported_fault", "delay")),
    }
}

fn abort(mut abort: pb_fault::FaultAbort) -> Result<(FaultAbort, Fraction)> {
    use pb_fault::fault_abort::ErrorType as Kind;
    let percentage = abort.percentage.take().unwrap_or_default();
    let what = match abort.error_type.take() {
        Some(Kind::HttpStatus(code)) => FaultAbort::Http(values::status(code)?),
        Some(Kind::GrpcStatus(code)) => FaultAbort::Grpc(code),
        Some(Kind::HeaderAbort(_)) => return Err(Problem::unsupported("unsupported_fault", "header_abort")),
        None => return Err(Problem::unsupported("unsupported_fault", "abort")),
    };
    wire::nothing_left(&abort)?;
    Ok((what, values::fraction(&percentage)?))
}

fn cors(mut policy: pb_cors::CorsPolicy) -> Result<Cors> {
    let origins = std::mem::take(&mut policy.allow_origin_string_match);
    let origins = origins.iter().enumerate();
    let origins = origins.map(|(i, origin)| matcher::string(origin).at_index("allow_origin_string_match", i));
    let enabled = values::runtime_fraction(policy.filter_enabled.take().as_ref())?;
    if enabled.numerator < enabled.denominator {
        return Err(Problem::unsupported("unsupported_cors", "filter_enabled"));
    }
    let translated = Cors {
        allow_origins: origins.collect::<Result<_>>()?,
        allow_methods: values::optional_header_value(&std::mem::take(&mut policy.allow_methods))?,
        allow_headers: values::optional_header_value(&std::mem::take(&mut policy.allow_headers))?,
        expose_headers: values::optional_header_value(&std::mem::take(&mut policy.expose_headers))?,
        max_age: values::optional_header_value(&std::mem::take(&mut policy.max_age))?,
        allow_credentials: policy.allow_credentials.take().is_some_and(|allow| allow.value),
        forward_not_matching_preflights: policy
            .forward_not_matching_preflights
            .take()
            .is_none_or(|flag| flag.value),
    };
    ignored::cors(&mut policy);
    wire::nothing_left(&policy)?;
    Ok(translated)
}
