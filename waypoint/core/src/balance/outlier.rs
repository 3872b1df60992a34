//! Passive health: a host that keeps failing is taken out for a while. Envoy: `Outlier::DetectorImpl`.

use super::host::{Host, HostState};
use crate::model::cluster::OutlierDetection;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What one attempt showed about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The status of a response; for gRPC the status its code maps to.
    Status(u16),
    ConnectFailure,
    Timeout,
    Reset,
    /// A connection came up.
    Connected,
}

/// Counts what was seen; true when the host has failed often enough to go.
pub(super) fn observe(config: &OutlierDetection, host: &Host, observed: Observed) -> bool {
    let state = &*host.state;
    let split = config.split_external_local_origin_errors;
    match observed {
        Observed::Status(status) => observe_status(config, state, status),
        Observed::Connected if split => {
            state.consecutive_local.store(0, Ordering::Relaxed);
            false
        }
        Observed::Connected => false,
        _ if split => reached(&state.consecutive_local, config.consecutive_local_origin_failure),
        // Envoy: failures of our own making count as the status the client gets for them.
        Observed::Timeout => observe_status(config, state, 504),
        Observed::ConnectFailure | Observed::Reset => observe_status(config, state, 503),
    }
}

fn observe_status(config: &OutlierDetection, state: &HostState, status: u16) -> bool {
    if status < 500 {
        state.consecutive_5xx.store(0, Ordering::Relaxed);
        state.consecutive_gateway.store(0, Ordering::Relaxed);
        return false;
    }
    let by_5xx = reached(&state.consecutive_5xx, config.consecutive_5xx);
    if !matches!(status, 502..=504) {
        state.consecutive_gateway.store(0, Ordering::Relaxed);
        return by_5xx;
    }
    reached(&state.consecutive_gateway, config.consecutive_gateway_failure) || by_5xx
}

fn reached(counter: &AtomicU32, threshold: Option<u32>) -> bool {
    let count = counter.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    threshold.is_some_and(|threshold| threshold > 0 && count >= threshold)
}

/// Takes `host` out, unless too many of `hosts` are out already. True when it did.
pub(super) fn eject(
    config: &OutlierDetection,
    hosts: &[std::sync::Arc<Host>],
    host: &Host,
    now: Duration,
) -> bool {
    let state = &*host.state;
    if state.ejected.swap(true, Ordering::Relaxed) {
        return false;
    }
    let ejected = hosts.iter().filter(|host| host.is_ejected()).count();
    // Counted with this one in: two workers that eject at once may both step back, never both go too far.
    let only_one = config.always_eject_one && ejected == 1;
    if !only_one && ejected * 100 > hosts.len() * config.max_ejection_percent as usize {
        state.ejected.store(false, Ordering::Relaxed);
        return false;
    }
    state.ejected_at.store(now.as_millis() as u64, Ordering::Relaxed);
    state.ejections.fetch_add(1, Ordering::Relaxed);
    true
}

/// Once per interval: brings back who has served its time, forgives who has behaved. True when somebody came back.
pub(super) fn sweep(config: &OutlierDetection, host: &Host, now: Duration) -> bool {
    let state = &*host.state;
    let ejections = state.ejections.load(Ordering::Relaxed);
    if !host.is_ejected() {
        state.ejections.store(ejections.saturating_sub(1), Ordering::Relaxed);
        return false;
    }
    let longest = config.max_ejection_time.max(config.base_ejection_time);
    let sentence = config.base_ejection_time.saturating_mul(ejections).min(longest);
    let since = Duration::from_millis(state.ejected_at.load(Ordering::Relaxed));
    if now.saturating_sub(since) < sentence {
        return false;
    }
    clear(host);
    true
}

/// Back in rotation, with a clean slate but for how often it was out.
pub(super) fn clear(host: &Host) {
    let state = &*host.state;
    for counter in [&state.consecutive_5xx, &state.consecutive_gateway, &state.consecutive_local] {
        counter.store(0, Ordering::Relaxed);
    }
    state.ejected.store(false, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
