//! Resolved handles of one worker, by what decides their labels.
//!
//! A hit costs one hash of a few pointers and numbers and no allocation. Entries hold the `Arc`s they were found by, so a
//! pointer cannot come to mean something else while it is in the cache.

use super::labels::is_grpc;
use super::tags::{Known, TagValues, Values};
use super::{Metrics, Wanted};
use crate::failure::ResponseFlags;
use crate::limits::METRIC_CACHE_MAX;
use crate::model::cluster::ServiceRef;
use crate::model::http_chain::StatsFilter;
use crate::model::workload::Workload;
use crate::telemetry::record::{Protocol, RequestRecord};
use prometheus::{Histogram, IntCounter};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A metric the user dropped has no handle.
#[derive(Clone, Debug)]
pub struct HttpHandles {
    pub requests: Option<IntCounter>,
    pub duration: Option<Histogram>,
    pub request_bytes: Option<Histogram>,
    pub response_bytes: Option<Histogram>,
    /// Of gRPC requests only.
    pub request_messages: Option<IntCounter>,
    pub response_messages: Option<IntCounter>,
}

/// For the length of one connection: bytes are added as they flow.
///
/// `sent` is what the client got and `received` what it sent: the server's view, whichever side reports (istio#32399).
#[derive(Clone, Debug)]
pub struct TcpHandles {
    pub opened: Option<IntCounter>,
    pub closed: Option<IntCounter>,
    pub sent: Option<IntCounter>,
    pub received: Option<IntCounter>,
}

#[derive(Debug)]
pub struct MetricCache {
    metrics: Arc<Metrics>,
    generation: u64,
    http: HashMap<u64, Vec<(Key, HttpHandles)>>,
    entries: usize,
    /// Values of tags this worker has seen admitted.
    tag_values: Known,
}

/// What decides the labels of an HTTP request.
#[derive(Debug)]
struct Key {
    source: Option<Arc<Workload>>,
    destination: Option<Arc<Workload>>,
    service: Option<Arc<ServiceRef>>,
    peer: Option<Arc<str>>,
    /// Only where it stands in for the service.
    host: Option<Box<str>>,
    filter: StatsFilter,
    tags: TagValues,
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rest {
    local_identity: bool,
    grpc: bool,
    status: u16,
    grpc_status: Option<u32>,
    flags: ResponseFlags,
    tcp: bool,
    messages: bool,
}

impl MetricCache {
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let generation = metrics.generation.load(Ordering::Acquire);
        Self { metrics, generation, http: HashMap::new(), entries: 0, tag_values: Known::new() }
    }

    /// Counts one finished HTTP request.
    pub fn request(&mut self, record: &RequestRecord<'_>, filter: &StatsFilter) {
        let handles = self.http(record, filter);
        if let Some(requests) = &handles.requests {
            requests.inc();
        }
        if let Some(duration) = &handles.duration {
            duration.observe(record.duration.as_millis() as f64); // whole milliseconds, as Envoy records them
        }
        if let Some(bytes) = &handles.request_bytes {
            bytes.observe(record.bytes_received as f64);
        }
        if let Some(bytes) = &handles.response_bytes {
            bytes.observe(record.bytes_sent as f64);
        }
        if let Some(counted) = record.grpc_messages {
            handles.request_messages.iter().for_each(|counter| counter.inc_by(counted.request));
            handles.response_messages.iter().for_each(|counter| counter.inc_by(counted.response));
        }
    }

    /// Handles for one TCP connection; connections are rare beside requests, so they are not cached.
    #[must_use]
    pub fn tcp(&mut self, record: &RequestRecord<'_>, filter: &StatsFilter) -> TcpHandles {
        let tags = self.tags(record, filter);
        self.metrics.tcp(record, Wanted { filter, tags: &tags })
    }

    fn tags(&mut self, record: &RequestRecord<'_>, filter: &StatsFilter) -> TagValues {
        let mut values = Values { own: &mut self.tag_values, all: &self.metrics.tag_values };
        TagValues::of(filter, record, &mut values)
    }

    fn http(&mut self, record: &RequestRecord<'_>, filter: &StatsFilter) -> &HttpHandles {
        let generation = self.metrics.generation.load(Ordering::Acquire);
        if generation != self.generation || self.entries >= METRIC_CACHE_MAX {
            self.http.clear();
            self.tag_values.clear();
            self.entries = 0;
            self.generation = generation;
        }
        let tags = self.tags(record, filter);
        let bucket = self.http.entry(hash(record, filter, &tags)).or_default();
        if let Some(found) = bucket.iter().position(|(key, _)| key.is_of(record, filter, &tags)) {
            return &bucket[found].1;
        }
        self.entries += 1;
        let handles = self.metrics.http(record, Wanted { filter, tags: &tags });
        bucket.push((Key::of(record, filter, tags), handles));
        &bucket[bucket.len() - 1].1
    }
}

fn pointer<T: ?Sized>(arc: Option<&Arc<T>>) -> usize {
    arc.map_or(0, |arc| Arc::as_ptr(arc).cast::<()>() as usize)
}

fn same<T: ?Sized>(have: Option<&Arc<T>>, want: Option<&Arc<T>>) -> bool {
    pointer(have) == pointer(want)
}

fn rest(record: &RequestRecord<'_>) -> Rest {
    Rest {
        local_identity: record.downstream.local_principal.is_some(),
        grpc: is_grpc(record),
        status: record.response.map_or(0, |response| response.status),
        grpc_status: record.grpc_status,
        flags: record.flags,
        tcp: record.protocol == Protocol::Tcp,
        messages: record.grpc_messages.is_some(),
    }
}

/// The Host header, where the filter lets it stand in for an unknown service.
fn host<'a>(record: &RequestRecord<'a>, filter: &StatsFilter) -> Option<&'a str> {
    let fallback = record.service.is_none() && !filter.disable_host_header_fallback;
    record.request.filter(|_| fallback).map(|request| request.authority)
}

fn hash(record: &RequestRecord<'_>, filter: &StatsFilter, tags: &TagValues) -> u64 {
    let mut hasher = DefaultHasher::new();
    pointer(record.downstream.workload).hash(&mut hasher);
    pointer(record.upstream.workload).hash(&mut hasher);
    pointer(record.service).hash(&mut hasher);
    pointer(record.downstream.peer_principal).hash(&mut hasher);
    host(record, filter).hash(&mut hasher);
    tags.hash(&mut hasher);
    rest(record).hash(&mut hasher);
    hasher.finish()
}

impl Key {
    fn of(record: &RequestRecord<'_>, filter: &StatsFilter, tags: TagValues) -> Self {
        Self {
            tags,
            source: record.downstream.workload.cloned(),
            destination: record.upstream.workload.cloned(),
            service: record.service.cloned(),
            peer: record.downstream.peer_principal.cloned(),
            host: host(record, filter).map(Into::into),
            filter: filter.clone(),
            rest: rest(record),
        }
    }

    fn is_of(&self, record: &RequestRecord<'_>, filter: &StatsFilter, tags: &TagValues) -> bool {
        same(self.source.as_ref(), record.downstream.workload)
            && same(self.destination.as_ref(), record.upstream.workload)
            && same(self.service.as_ref(), record.service)
            && same(self.peer.as_ref(), record.downstream.peer_principal)
            && self.host.as_deref() == host(record, filter)
            && self.rest == rest(record)
            && self.filter == *filter
            && self.tags == *tags
    }
}
