//! Fault injection. Envoy: `extensions.filters.http.fault`, configured per route; the fault headers a client may send
//! (`x-envoy-fault-*`) are not enabled by istiod and ignored.

use crate::dice::Dice;
use crate::failure::{Failure, GrpcStatus};
use crate::matching::header;
use crate::matching::view::RequestView;
use crate::model::route::{Fault, FaultAbort, Fraction};
use std::time::Duration;

/// First the delay (flag DI), then the abort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultDecision {
    pub delay: Option<Duration>,
    pub abort: Option<FaultAbort>,
}

impl FaultDecision {
    #[must_use]
    pub fn abort_failure(&self) -> Option<Failure> {
        Some(match self.abort? {
            FaultAbort::Http(status) => Failure::fault_abort(status),
            FaultAbort::Grpc(status) => Failure::fault_abort_grpc(GrpcStatus(status)),
        })
    }
}

#[must_use]
pub fn decide(fault: &Fault, request: &RequestView<'_>, dice: &mut Dice) -> FaultDecision {
    if !fault.headers.iter().all(|matcher| header::matches(matcher, request)) {
        return FaultDecision::default();
    }
    let mut hits = |fraction: Fraction| dice.chance(fraction.numerator, fraction.denominator);
    let delay = fault.delay.filter(|(_, fraction)| hits(*fraction)).map(|(delay, _)| delay);
    let abort = fault.abort.filter(|(_, fraction)| hits(*fraction)).map(|(abort, _)| abort);
    FaultDecision { delay, abort }
}

#[cfg(test)]
mod tests;
