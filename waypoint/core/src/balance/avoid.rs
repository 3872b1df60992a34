//! Where a further attempt should not go. Envoy: `retry_host_predicate: previous_hosts`, `retry_priority: previous_priorities`.

use super::host::HostId;

#[derive(Clone, Copy, Debug, Default)]
pub struct Avoid<'a> {
    /// The hosts of the attempts so far, in order.
    pub tried: &'a [HostId],
    /// Whether they are to be avoided themselves.
    pub hosts: bool,
    /// Whether their priorities are, counted anew after every so many attempts (`retryRemoteLocalities`).
    pub priorities_every: Option<u32>,
}

impl Avoid<'_> {
    pub(super) fn refuses(&self, host: HostId) -> bool {
        self.hosts && self.tried.contains(&host)
    }

    /// The attempts whose priorities count.
    pub(super) fn settled(&self) -> &[HostId] {
        let every = self.priorities_every.unwrap_or_default() as usize;
        let settled = self.tried.len().checked_div(every).unwrap_or_default() * every;
        &self.tried[..settled]
    }
}

/// Hosts to keep away from, whatever their priority.
impl<'a> From<&'a [HostId]> for Avoid<'a> {
    fn from(tried: &'a [HostId]) -> Self {
        Self { tried, hosts: true, priorities_every: None }
    }
}

impl<'a, const N: usize> From<&'a [HostId; N]> for Avoid<'a> {
    fn from(tried: &'a [HostId; N]) -> Self {
        tried.as_slice().into()
    }
}

impl<'a> From<&'a Vec<HostId>> for Avoid<'a> {
    fn from(tried: &'a Vec<HostId>) -> Self {
        tried.as_slice().into()
    }
}
