//! Counters of RBAC filters, by the names Envoy gives them and the tags Istio's bootstrap takes from these.
//!
//! `http.inbound_0.0.0.0_80;.rbac.istio_dry_run_deny_.shadow_denied` is
//! `envoy_http_rbac{authz_dry_run_action="deny",authz_dry_run_result="denied",http_conn_manager_prefix="inbound_0.0.0.0_80"}`.
//! A filter gets its counters when it is published and keeps them; requests only add. Spec: Istio's `envoy_bootstrap.json`
//! (`stats_tags`) and `pkg/bootstrap/config.go` (what is included at all).

use crate::limits::RBAC_SERIES_MAX;
use crate::model::rbac::{PlacedRbac, RbacCounters};
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Opts};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Of the tags of the bootstrap those a name that ends as ours can have: the first group is what the name loses, the second
/// the value.
static TAGS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let tags = [
        ("http_conn_manager_prefix", r"^http\.(([_.0-9A-Za-z]*|[_\[\]0-9A-Za-z:]*);\.)"),
        ("tcp_prefix", r"^tcp\.((.*?)\.)[0-9A-Za-z_]+?$"),
        ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
        ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
        ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
    ];
    tags.map(|(tag, pattern)| (tag, Regex::new(pattern).expect("a constant pattern"))).into()
});

/// Istio shows statistics with these ends, whoever's they are; `rbac.<rules_stat_prefix>.allowed` is not among them.
const INCLUDED: [&str; 4] = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    family: String,
    tags: Vec<(&'static str, String)>,
}

#[derive(Debug, Default)]
pub(super) struct RbacSeries {
    counters: Mutex<BTreeMap<Series, Arc<AtomicU64>>>,
}

impl RbacSeries {
    /// Whether the filter's decisions are counted from now on.
    pub(super) fn place(&self, placed: &PlacedRbac<'_>) -> bool {
        let filter = placed.filter;
        let mut complete = true;
        filter.counters.get_or_init(|| {
            let scope = match placed.connection_manager {
                Some(prefix) => join(&format!("http.{prefix}."), "rbac."),
                None => join(&filter.stat_prefix, "rbac."),
            };
            let mut counter = |prefix: &str, what: &str| {
                let counter = self.counter(&join(&join(&scope, prefix), what));
                complete &= counter.is_some();
                counter.unwrap_or_default()
            };
            RbacCounters {
                allowed: counter(&filter.rules_stat_prefix, "allowed"),
                denied: counter(&filter.rules_stat_prefix, "denied"),
                shadow_allowed: counter(&filter.shadow_stat_prefix, "shadow_allowed"),
                shadow_denied: counter(&filter.shadow_stat_prefix, "shadow_denied"),
            }
        });
        complete
    }

    /// `None` when there are too many. What Istio does not include counts into nothing.
    fn counter(&self, name: &str) -> Option<Arc<AtomicU64>> {
        if !INCLUDED.iter().any(|end| name.ends_with(end)) {
            return Some(Arc::default());
        }
        let series = series(name);
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= RBAC_SERIES_MAX && !counters.contains_key(&series) {
            return None;
        }
        Some(counters.entry(series).or_default().clone())
    }

    /// Drops the series no filter counts into any more.
    pub(super) fn sweep(&self) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|_, counter| Arc::strong_count(counter) > 1);
    }

    /// One entry a name, series by their tags.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<MetricFamily> = Vec::new();
        for (series, count) in counters.iter() {
            let tags: HashMap<_, _> =
                series.tags.iter().map(|(tag, value)| ((*tag).into(), value.clone())).collect();
            let options = Opts::new(&series.family, "Decisions of RBAC filters").const_labels(tags);
            let Ok(counter) = IntCounter::with_opts(options) else { continue };
            counter.inc_by(count.load(Ordering::Relaxed));
            for mut family in counter.collect() {
                match all.last_mut().filter(|last| last.name() == family.name()) {
                    Some(last) => last.mut_metric().extend(family.take_metric()),
                    None => all.push(family),
                }
            }
        }
        all
    }
}

/// Envoy: one dot between the parts, also where the first ends with one.
fn join(prefix: &str, rest: &str) -> String {
    match prefix {
        _ if rest.is_empty() => prefix.to_owned(),
        "" => rest.to_owned(),
        _ if prefix.ends_with('.') => format!("{prefix}{rest}"),
        _ => format!("{prefix}.{rest}"),
    }
}

/// Envoy: every tag is looked for in the whole name, and what any of them takes is left out of it.
fn series(name: &str) -> Series {
    let mut tags = Vec::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    for (tag, pattern) in TAGS.iter() {
        let Some(found) = pattern.captures(name) else { continue };
        if let (Some(part), Some(value)) = (found.get(1), found.get(2)) {
            taken.push(part.range());
            tags.push((*tag, value.as_str().to_owned()));
        }
    }
    tags.sort_unstable();
    let left = name.char_indices().filter(|(at, _)| !taken.iter().any(|range| range.contains(at)));
    let left: String = left.map(|(_, character)| character).collect();
    let named = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    // Envoy: `tcp.` of `tcp.rbac.allowed` is `envoy_tcp`.
    let family = left.trim_end_matches('.').replace(|character| !named(character), "_");
    Series { family: format!("envoy_{family}"), tags }
}

#[cfg(test)]
mod tests;
