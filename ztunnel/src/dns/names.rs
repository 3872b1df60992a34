//! Which names a query may mean, in the order they are looked up. Pure; spec: ztunnel `src/dns/server.rs`.
//!
//! Names here are lower-case and without the final dot.

use crate::limits::DNS_CANDIDATES;
use std::sync::Arc;

/// What short names expand to.
#[derive(Clone, Debug)]
pub struct Zone {
    /// `cluster.local`.
    pub domain: Arc<str>,
    /// `svc.cluster.local`.
    pub services: Arc<str>,
    /// Wins ties between namespaces (`PREFERED_SERVICE_NAMESPACE`, spelt so).
    pub preferred_namespace: Option<Arc<str>>,
}

impl Zone {
    #[must_use]
    pub fn new(domain: &str, preferred_namespace: Option<&str>) -> Self {
        Self {
            domain: domain.into(),
            services: format!("svc.{domain}").into(),
            preferred_namespace: preferred_namespace.map(Into::into),
        }
    }
}

/// A name to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    /// The query less a search domain the client's resolver appended: the name the client meant, told to it by a CNAME.
    pub stripped: Option<String>,
}

/// The query as it is, what Kubernetes expands it to, and the same again without each search domain.
#[must_use]
pub fn candidates(query: &str, namespace: &str, zone: &Zone) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |name: String, stripped: Option<&str>| {
        if found.len() < DNS_CANDIDATES && found.iter().all(|candidate| candidate.name != name) {
            found.push(Candidate { name, stripped: stripped.map(str::to_owned) });
        }
    };
    let own = format!("{namespace}.{}", zone.services);
    let mut expand = |name: &str, stripped: Option<&str>| {
        add(name.to_owned(), stripped);
        for suffix in suffixes(name, &own, zone) {
            add(format!("{name}.{suffix}"), stripped);
        }
    };
    expand(query, None);
    for search in [&*own, &zone.services, &zone.domain] {
        let stripped = query.strip_suffix(search).and_then(|rest| rest.strip_suffix('.'));
        if let Some(stripped) = stripped.filter(|stripped| !stripped.is_empty()) {
            expand(stripped, Some(stripped));
        }
    }
    found
}

/// What may be missing at the end of a Kubernetes name, by its number of labels.
fn suffixes<'a>(name: &str, own: &'a str, zone: &'a Zone) -> Vec<&'a str> {
    let labels = name.split('.').count();
    let in_services = name.ends_with(".svc");
    match labels {
        1 => vec![own],
        2 => vec![&zone.services, own],
        3 if in_services => vec![&zone.domain, own],
        3 => vec![&zone.services, own],
        4 if in_services => vec![&zone.domain],
        _ => Vec::new(),
    }
}

/// `*.b.c` and `*.c` for `a.b.c`.
pub fn wildcards(name: &str) -> impl Iterator<Item = String> + '_ {
    std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'))
        .map(|(_, rest)| format!("*.{rest}"))
}

#[cfg(test)]
mod tests;
