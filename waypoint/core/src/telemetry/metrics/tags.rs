//! Tags whose values are expressions: which a family has besides the usual ones, and how many values each may take.
//!
//! Invariant: a client that chooses a value, by a header say, makes at most [`METRIC_TAG_VALUES_MAX`] of them.

use super::Family;
use super::labels::LabelValues;
use crate::limits::METRIC_TAG_VALUES_MAX;
use crate::model::http_chain::{StatsFilter, TagOverride};
use crate::telemetry::cel;
use crate::telemetry::peer::UNKNOWN;
use crate::telemetry::record::RequestRecord;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The tags a family has beyond `istio.stats`' own, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Added(Arc<[Arc<str>]>);

impl Added {
    pub(super) fn of(family: Family, filter: &StatsFilter) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        for one in overrides(family, filter).map(|(_, one)| one).filter(|one| one.value.is_some()) {
            if !family.labels().contains(&&*one.tag) && !names.contains(&one.tag) {
                names.push(one.tag.clone());
            }
        }
        Self(names.into())
    }

    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    /// Which of `filter`'s values are this family's, put where they belong.
    pub(super) fn apply(
        &self,
        family: Family,
        filter: &StatsFilter,
        tags: &TagValues,
        values: &mut LabelValues,
    ) {
        for (index, one) in overrides(family, filter) {
            let usual = family.labels().iter().position(|label| *label == &*one.tag);
            let added = || self.0.iter().position(|name| *name == one.tag);
            if let Some(at) = usual.or_else(|| added().map(|at| family.labels().len() + at)) {
                values.set(at, tags.0.get(index).map_or("", |value| value));
            }
        }
    }
}

fn overrides(family: Family, filter: &StatsFilter) -> impl Iterator<Item = (usize, &TagOverride)> {
    let wanted = move |one: &TagOverride| one.metric.is_empty() || *one.metric == *family.name();
    filter.tags.iter().enumerate().filter(move |(_, one)| wanted(one))
}

/// One value for each of the filter's overrides; none at all where none is an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TagValues(Box<[Box<str>]>);

impl TagValues {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where there are too many series.
    pub(super) fn unknown(filter: &StatsFilter) -> Self {
        let value = |one: &TagOverride| one.value.as_ref().map_or("", |_| UNKNOWN).into();
        Self(filter.tags.iter().map(value).collect())
    }

    pub(super) fn of(filter: &StatsFilter, record: &RequestRecord<'_>, values: &mut Values<'_>) -> Self {
        if filter.tags.iter().all(|one| one.value.is_none()) {
            return Self::default();
        }
        let value = |one: &TagOverride| -> Box<str> {
            let Some(expression) = &one.value else { return Box::default() };
            let label = cel::label(expression, record);
            if values.admits(&one.tag, &label) { label } else { UNKNOWN.into() }
        };
        Self(filter.tags.iter().map(value).collect())
    }
}

/// The values every tag has taken, process-wide.
#[derive(Debug, Default)]
pub(super) struct Admitted(Mutex<Taken>);

type Taken = HashMap<Arc<str>, HashSet<Box<str>>>;

impl Admitted {
    fn admits(&self, tag: &Arc<str>, value: &str) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = taken.entry(tag.clone()).or_default();
        if values.contains(value) {
            return true;
        }
        let room = values.len() < METRIC_TAG_VALUES_MAX;
        if room {
            values.insert(value.into());
            if values.len() == METRIC_TAG_VALUES_MAX {
                tracing::warn!(
                    tag = &**tag,
                    values = METRIC_TAG_VALUES_MAX,
                    "further values are counted as unknown"
                );
            }
        }
        room
    }

    /// Forgets what no series shows any more.
    pub(super) fn keep(&self, in_use: &HashSet<&str>) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for values in taken.values_mut() {
            values.retain(|value| in_use.contains(&**value));
        }
        taken.retain(|_, values| !values.is_empty());
    }
}

/// One worker's view: what was admitted once needs no lock.
pub(super) struct Values<'a> {
    pub(super) own: &'a mut Taken,
    pub(super) all: &'a Admitted,
}

impl Values<'_> {
    fn admits(&mut self, tag: &Arc<str>, value: &str) -> bool {
        if self.own.get(tag).is_some_and(|values| values.contains(value)) {
            return true;
        }
        let admitted = self.all.admits(tag, value);
        if admitted {
            self.own.entry(tag.clone()).or_default().insert(value.into());
        }
        admitted
    }
}

/// As a worker keeps it.
pub(super) type Known = Taken;
