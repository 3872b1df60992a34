//! How load is shared among priorities, given how healthy each is. Envoy: `LoadBalancerBase::recalculatePerPriorityState`.
//!
//! A priority takes as much as its healthy share, overprovisioned, can carry; the rest spills to the next. Degraded hosts
//! take what no healthy one could. Too few available hosts anywhere and below the panic threshold: health is ignored.

/// One priority in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) healthy: usize,
    pub(super) degraded: usize,
    pub(super) total: usize,
}

/// Which hosts of a priority a share goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Healthy,
    Degraded,
    /// All of them.
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) level: usize,
    pub(super) class: Class,
    pub(super) percent: u32,
}

/// Shares sum to 100; none at all when nothing is available and panic is off.
pub(super) fn shares(levels: &[Level], overprovisioning: u32, panic_threshold_percent: f64) -> Vec<Share> {
    let capacity = |hosts: usize, total: usize| {
        let percent = (hosts as u64 * u64::from(overprovisioning)).checked_div(total as u64).unwrap_or(0);
        percent.min(100) as u32
    };
    let healthy = levels.iter().map(|level| capacity(level.healthy, level.total));
    let degraded = levels.iter().map(|level| capacity(level.degraded, level.total));
    let available: u32 = healthy.clone().chain(degraded.clone()).sum::<u32>().min(100);
    let in_panic = |level: &Level| {
        let percent = 100.0 * (level.healthy + level.degraded) as f64 / level.total.max(1) as f64;
        percent < panic_threshold_percent
    };
    if available == 0 {
        return if panic_threshold_percent > 0.0 { by_size(levels) } else { Vec::new() };
    }

    let mut shares = Vec::new();
    let mut left = 100;
    let classes = healthy
        .map(|c| (Class::Healthy, c))
        .enumerate()
        .chain(degraded.map(|c| (Class::Degraded, c)).enumerate());
    for (level, (class, capacity)) in classes {
        let percent = (capacity * 100 / available).min(left);
        left -= percent;
        if percent > 0 {
            let class = if available < 100 && in_panic(&levels[level]) { Class::Panic } else { class };
            shares.push(Share { level, class, percent });
        }
    }
    // Envoy: what rounding leaves over goes to the first that has any.
    if let Some(first) = shares.first_mut() {
        first.percent += left;
    }
    shares
}

/// Total panic: by number of hosts.
fn by_size(levels: &[Level]) -> Vec<Share> {
    let total: usize = levels.iter().map(|level| level.total).sum();
    let mut shares: Vec<Share> = levels
        .iter()
        .enumerate()
        .filter(|(_, level)| level.total > 0)
        .map(|(index, level)| Share {
            level: index,
            class: Class::Panic,
            percent: (level.total * 100 / total) as u32,
        })
        .collect();
    let given: u32 = shares.iter().map(|share| share.percent).sum();
    if let Some(first) = shares.first_mut() {
        first.percent += 100 - given;
    }
    shares
}

#[cfg(test)]
mod tests;
