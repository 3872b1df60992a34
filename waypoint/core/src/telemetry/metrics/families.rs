//! The vectors behind the families: one with the usual tags, and one for every set of tags added to them.
//!
//! Prometheus' own registry wants the same tags on all series of a name; the text format does not, and neither does Envoy.

use super::tags::Added;
use super::{BUCKETS, Family};
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

#[derive(Clone, Debug)]
enum Vector {
    Counter(IntCounterVec),
    Histogram(HistogramVec),
}

impl Vector {
    fn new(family: Family, added: &Added) -> prometheus::Result<Self> {
        let added = added.names().iter().map(|name| &**name);
        let labels: Vec<&str> = family.labels().iter().copied().chain(added).collect();
        let (name, help) = (format!("istio_{}", family.name()), family.help());
        Ok(if Family::HISTOGRAMS.contains(&family) {
            let options = HistogramOpts::new(name, help).buckets(BUCKETS.into());
            Self::Histogram(HistogramVec::new(options, &labels)?)
        } else {
            Self::Counter(IntCounterVec::new(Opts::new(name, help), &labels)?)
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Families {
    vectors: RwLock<HashMap<(Family, Added), Vector>>,
}

impl Families {
    fn vector(&self, family: Family, added: &Added) -> Option<Vector> {
        let key = (family, added.clone());
        if let Some(vector) = self.vectors.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(vector.clone());
        }
        // Names were checked when the configuration came.
        let vector = Vector::new(family, added).ok()?;
        let mut vectors = self.vectors.write().unwrap_or_else(PoisonError::into_inner);
        Some(vectors.entry(key).or_insert(vector).clone())
    }

    pub(super) fn counter(&self, family: Family, added: &Added, values: &[&str]) -> Option<IntCounter> {
        match self.vector(family, added)? {
            Vector::Counter(vector) => vector.get_metric_with_label_values(values).ok(),
            Vector::Histogram(_) => None,
        }
    }

    pub(super) fn histogram(&self, family: Family, added: &Added, values: &[&str]) -> Option<Histogram> {
        match self.vector(family, added)? {
            Vector::Histogram(vector) => vector.get_metric_with_label_values(values).ok(),
            Vector::Counter(_) => None,
        }
    }

    /// An error means the series was not there, which is what is wanted.
    pub(super) fn remove(&self, family: Family, added: &Added, values: &[&str]) {
        match self.vector(family, added) {
            Some(Vector::Counter(vector)) => drop(vector.remove_label_values(values)),
            Some(Vector::Histogram(vector)) => drop(vector.remove_label_values(values)),
            None => {}
        }
    }

    /// Forgets the sets of tags nobody uses.
    pub(super) fn keep(&self, in_use: &HashSet<&(Family, Added)>) {
        let mut vectors = self.vectors.write().unwrap_or_else(PoisonError::into_inner);
        vectors.retain(|key, _| in_use.contains(key));
    }

    /// One entry a name, by name, series by their tags.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let vectors = self.vectors.read().unwrap_or_else(PoisonError::into_inner);
        let mut vectors: Vec<_> = vectors.iter().collect();
        vectors.sort_by_key(|((family, added), _)| (family.name(), added.names().to_vec()));
        let mut all: Vec<MetricFamily> = Vec::new();
        for (_, vector) in vectors {
            let families = match vector {
                Vector::Counter(vector) => vector.collect(),
                Vector::Histogram(vector) => vector.collect(),
            };
            for mut family in families.into_iter().filter(|family| !family.get_metric().is_empty()) {
                let mut series = family.take_metric();
                series.sort_by(|one, other| tags(one).cmp(tags(other)));
                match all.last_mut().filter(|last| last.name() == family.name()) {
                    Some(last) => series = [last.take_metric(), series].concat(),
                    None => all.push(family),
                }
                if let Some(last) = all.last_mut() {
                    last.set_metric(series);
                }
            }
        }
        all
    }
}

fn tags(metric: &prometheus::proto::Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(|label| label.value())
}
