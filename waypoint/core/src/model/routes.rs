//! The routes of a virtual host, with an index by path, so that the five thousandth route costs what the first does.
//!
//! Not a matcher: the index only leaves out routes whose path cannot match; `routing::choose` decides. Invariant: candidates
//! come in configuration order, because the first match wins.

use super::route::{PathMatch, Route};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

/// Below this a scan is faster than hashing the path.
const SCANNED_MAX: usize = 16;

/// Positions in the list, ascending.
type Positions = Vec<u32>;

#[derive(Clone, Debug, Default)]
pub struct Routes {
    list: Vec<Arc<Route>>,
    index: Option<Box<Index>>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    exact: HashMap<Box<str>, Positions>,
    prefixes: HashMap<Box<str>, Positions>,
    /// Of `prefixes`, ascending: each is one look-up. Paths of a mesh begin in few different lengths.
    prefix_lengths: Vec<usize>,
    /// Regular expressions, paths in any case, and routes that match every path: looked at always.
    always: Positions,
}

impl From<Vec<Arc<Route>>> for Routes {
    fn from(list: Vec<Arc<Route>>) -> Self {
        let index = (list.len() > SCANNED_MAX).then(|| Box::new(Index::of(&list)));
        Self { list, index }
    }
}

impl Deref for Routes {
    type Target = [Arc<Route>];

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

impl Routes {
    /// The first route that `matches`, of those whose path may.
    pub fn first<'a>(&'a self, path: &str, matches: impl Fn(&Route) -> bool) -> Option<&'a Arc<Route>> {
        let Some(index) = &self.index else { return self.list.iter().find(|route| matches(route)) };
        // Each list is ascending, so its first match is its best; no list need be looked at beyond the best so far.
        let mut best: Option<u32> = None;
        index.candidates(path, |positions| {
            let ahead = positions.iter().take_while(|&&position| best.is_none_or(|best| position < best));
            if let Some(&first) = ahead.into_iter().find(|&&position| matches(&self.list[position as usize]))
            {
                best = Some(first);
            }
        });
        best.map(|position| &self.list[position as usize])
    }
}

impl Index {
    fn of(list: &[Arc<Route>]) -> Self {
        let mut index = Self::default();
        for (position, route) in (0u32..).zip(list) {
            match &route.matcher.path {
                PathMatch::Exact { path, ignore_case: false } => {
                    index.exact.entry(path.clone()).or_default().push(position);
                }
                PathMatch::Prefix { prefix, ignore_case: false }
                | PathMatch::SegmentPrefix { prefix, ignore_case: false } => {
                    index.prefixes.entry(prefix.clone()).or_default().push(position);
                }
                _ => index.always.push(position),
            }
        }
        index.prefix_lengths = index.prefixes.keys().map(|prefix| prefix.len()).collect();
        index.prefix_lengths.sort_unstable();
        index.prefix_lengths.dedup();
        index
    }

    fn candidates(&self, path: &str, mut look: impl FnMut(&[u32])) {
        self.exact.get(path).into_iter().for_each(|positions| look(positions));
        for &length in self.prefix_lengths.iter().take_while(|&&length| length <= path.len()) {
            // A prefix need not end where a character does; then it matches no text.
            let prefix = path.get(..length).and_then(|head| self.prefixes.get(head));
            prefix.into_iter().for_each(|positions| look(positions));
        }
        look(&self.always);
    }
}
