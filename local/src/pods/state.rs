//! What a pod's status follows from: pure rules about phases, readiness, restarts and waits.

use std::time::Duration;

use super::spec::{
    ContainerSpec, ContainerState, ContainerStatus, Exit, PodPhase, PodSpec, PodStatus, RestartPolicy,
};
use crate::limits::{RESTART_FORGET, RESTART_WAIT_MAX, RESTART_WAIT_MIN};

/// One container of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub init: bool,
    pub index: usize,
}

/// Before anything runs.
#[must_use]
pub fn fresh(spec: &PodSpec) -> PodStatus {
    let waiting = |containers: &[ContainerSpec]| {
        containers
            .iter()
            .map(|c| ContainerStatus {
                name: c.name.clone(),
                state: ContainerState::Waiting { reason: "ContainerCreating", message: String::new() },
                last_exit: None,
                ready: false,
                started: false,
                restarts: 0,
            })
            .collect()
    };
    PodStatus {
        phase: PodPhase::Pending,
        ready: false,
        initialized: spec.init_containers.is_empty(),
        init_containers: waiting(&spec.init_containers),
        containers: waiting(&spec.containers),
    }
}

/// Changes one container and all that follows from it.
pub fn change(status: &mut PodStatus, slot: Slot, change: impl FnOnce(&mut ContainerStatus)) {
    let list = if slot.init { &mut status.init_containers } else { &mut status.containers };
    if let Some(container) = list.get_mut(slot.index) {
        change(container);
    }
    let ended = |c: &ContainerStatus| match c.state {
        ContainerState::Terminated(exit) => Some(exit.code),
        _ => None,
    };
    status.initialized = status.init_containers.iter().all(|c| ended(c) == Some(0));
    status.ready = !status.containers.is_empty() && status.containers.iter().all(|c| c.ready);
    let codes: Vec<_> = status.containers.iter().map(ended).collect();
    let init_failed = status.init_containers.iter().any(|c| ended(c).is_some_and(|code| code != 0));
    status.phase = if init_failed {
        PodPhase::Failed
    } else if !status.initialized {
        PodPhase::Pending
    } else if codes.iter().all(Option::is_some) {
        if codes.iter().all(|c| *c == Some(0)) { PodPhase::Succeeded } else { PodPhase::Failed }
    } else if status.containers.iter().any(has_run) {
        PodPhase::Running
    } else {
        PodPhase::Pending
    };
}

fn has_run(container: &ContainerStatus) -> bool {
    !matches!(container.state, ContainerState::Waiting { .. }) || container.last_exit.is_some()
}

/// A process ended: the container waits to be started again, or is over.
pub fn exited(container: &mut ContainerStatus, exit: Exit, again: Option<Duration>) {
    container.ready = false;
    container.started = false;
    container.state = match again {
        Some(wait) => ContainerState::Waiting {
            reason: "CrashLoopBackOff",
            message: format!("exit status {}, started again in {wait:?}", exit.code),
        },
        None => ContainerState::Terminated(exit),
    };
    container.last_exit = Some(exit);
}

/// Whether a container that ended with `code` is started again.
#[must_use]
pub fn restarts(policy: RestartPolicy, init: bool, code: i32) -> bool {
    match policy {
        RestartPolicy::Never => false,
        RestartPolicy::OnFailure => code != 0,
        // An init container has a next one waiting for its success.
        RestartPolicy::Always => !init || code != 0,
    }
}

/// The wait before the next start, from the last one and how long the container ran.
#[must_use]
pub fn next_wait(last: Duration, ran: Duration) -> Duration {
    if last.is_zero() || ran >= RESTART_FORGET { RESTART_WAIT_MIN } else { (last * 2).min(RESTART_WAIT_MAX) }
}

#[cfg(test)]
mod tests;
