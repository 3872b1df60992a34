//! Which pods to make and which to end, given what a workload wants and has. Pure decisions.
//!
//! Differs from Kubernetes: `maxSurge` and `maxUnavailable` are always 1 and 0; a developer's rollout must never be the
//! reason for a failed request.

/// A pod of a workload, in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// Made from the workload's present template.
    pub current: bool,
    pub ready: bool,
    pub terminating: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A pod more, from the present template.
    Create,
    /// The pod with this ordinal, from the present template.
    CreateOrdinal(usize),
    Delete(String),
}

/// Deployments and DaemonSets: never fewer than `replicas` ready pods during a change, one more than that at most.
#[must_use]
pub fn rolling(replicas: usize, members: &[Member]) -> Vec<Step> {
    let alive: Vec<&Member> = members.iter().filter(|m| !m.terminating).collect();
    let current = alive.iter().filter(|m| m.current).count();
    let ready = alive.iter().filter(|m| m.ready).count();
    let starting = alive.iter().filter(|m| m.current && !m.ready).count();

    let missing = replicas.saturating_sub(current);
    let room = (replicas + 1).saturating_sub(alive.len());
    let mut steps = vec![Step::Create; missing.min(room)];

    // Pods of earlier templates: those that are not ready serve nobody, but keep one for each that is still starting.
    let mut unready_to_go = alive.len().saturating_sub(replicas + starting);
    let mut ready_to_go = ready.saturating_sub(replicas);
    let mut surplus = current.saturating_sub(replicas);
    let mut candidates: Vec<&&Member> = alive.iter().filter(|m| !m.current).collect();
    // Surplus pods of the present template go unready first, then youngest.
    candidates.extend(alive.iter().rev().filter(|m| m.current && !m.ready));
    candidates.extend(alive.iter().rev().filter(|m| m.current && m.ready));
    for member in candidates {
        if member.current {
            if surplus == 0 {
                continue;
            }
            surplus -= 1;
        } else if member.ready {
            if ready_to_go == 0 {
                continue;
            }
            ready_to_go -= 1;
        } else {
            if unready_to_go == 0 {
                continue;
            }
            unready_to_go -= 1;
        }
        steps.push(Step::Delete(member.name.clone()));
    }
    steps
}

/// StatefulSets: in order, one at a time, unless `parallel`. `ordinals[i]` is the pod with ordinal i, if there is one;
/// further entries are pods beyond `replicas`.
#[must_use]
pub fn ordered(replicas: usize, parallel: bool, ordinals: &[Option<Member>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let at = |i: usize| ordinals.get(i).and_then(Option::as_ref);
    for i in 0..replicas {
        match at(i) {
            None => steps.push(Step::CreateOrdinal(i)),
            Some(m) if m.ready && !m.terminating => continue,
            Some(_) => {}
        }
        if !parallel {
            break;
        }
    }
    if !steps.is_empty() {
        return steps;
    }
    // Scaling down ends the highest first, and waits for it.
    for member in ordinals.iter().skip(replicas).rev().flatten() {
        if !member.terminating {
            steps.push(Step::Delete(member.name.clone()));
        }
        if !parallel {
            return steps;
        }
    }
    let outdated = (0..replicas).rev().filter_map(at).find(|m| !m.current);
    // An outdated pod that is not ready may be replaced whatever the others do: its new version may be the cure.
    let waiting = (0..replicas).filter_map(at).any(|m| m.terminating || (m.current && !m.ready));
    if let Some(member) = outdated.filter(|m| !m.terminating && !waiting) {
        steps.push(Step::Delete(member.name.clone()));
    }
    steps
}

#[cfg(test)]
mod tests;
