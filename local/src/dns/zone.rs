//! The names of the cluster and their answers. Pure.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::cluster::Store;
use crate::cluster::endpoints::SlicesByService;
use crate::manifest::Object;
use crate::manifest::kinds::SERVICE;

/// Kubernetes' CoreDNS: 5 s (30 s in newer installations). Short, because a developer changes things.
const TTL: u32 = 5;
const CLUSTER: &str = "svc.cluster.local";

#[derive(Debug, Default)]
pub struct Zone {
    /// By (namespace, service).
    services: HashMap<(String, String), Entry>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Cluster(Ipv4Addr),
    /// Ready pods, with the host names they have.
    Headless(Vec<(Option<String>, Ipv4Addr)>),
    External(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<Ipv4Addr>),
    Alias(String),
}

impl Zone {
    #[must_use]
    pub fn of(store: &Store) -> Self {
        let slices = SlicesByService::of(store);
        let entry = |service: &Object| {
            let external = service.str("/spec/externalName");
            if service.str("/spec/type") == "ExternalName" {
                Some(Entry::External(external.to_owned()))
            } else if service.str("/spec/clusterIP") == "None" {
                Some(Entry::Headless(headless(slices.get(service))))
            } else {
                service.str("/spec/clusterIP").parse().ok().map(Entry::Cluster)
            }
        };
        let services = store.of_kind(&SERVICE);
        let named = services.filter_map(|s| Some(((s.key.namespace.clone(), s.key.name.clone()), entry(s)?)));
        Self { services: named.collect() }
    }

    /// The answer to a query; `None` if it is none.
    #[must_use]
    pub fn answer(&self, query: &Message) -> Option<Message> {
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
        reply.metadata.recursion_desired = query.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.authoritative = true;
        let [question] = query.queries.as_slice() else {
            reply.metadata.response_code = ResponseCode::FormErr;
            return Some(reply);
        };
        reply.add_query(question.clone());
        if query.metadata.op_code != OpCode::Query {
            reply.metadata.response_code = ResponseCode::NotImp;
            return Some(reply);
        }
        let name = question.name().to_ascii().to_lowercase();
        let Some(answer) = self.find(name.trim_end_matches('.')) else {
            reply.metadata.response_code = ResponseCode::NXDomain;
            return Some(reply);
        };
        self.fill(&mut reply, question.name(), question.query_type(), answer);
        Some(reply)
    }

    fn fill(&self, reply: &mut Message, name: &Name, kind: RecordType, answer: Answer) {
        match answer {
            Answer::Addresses(addresses) if kind == RecordType::A => {
                for address in addresses {
                    reply.add_answer(Record::from_rdata(name.clone(), TTL, RData::A(A(address))));
                }
            }
            // IPv4 only: the name exists, the record does not.
            Answer::Addresses(_) => {}
            Answer::Alias(target) => {
                let Ok(target_name) = Name::from_ascii(format!("{}.", target.trim_end_matches('.'))) else {
                    return;
                };
                reply.add_answer(Record::from_rdata(
                    name.clone(),
                    TTL,
                    RData::CNAME(CNAME(target_name.clone())),
                ));
                if let Some(Answer::Addresses(further)) = self.find(target.trim_end_matches('.')) {
                    self.fill(reply, &target_name, kind, Answer::Addresses(further));
                }
            }
        }
    }

    fn find(&self, name: &str) -> Option<Answer> {
        let relative = name.strip_suffix(CLUSTER).and_then(|r| r.strip_suffix('.'));
        // Programs written for istiod.istio-system.svc ask for just that, with the search path or without.
        let relative = relative.or_else(|| name.strip_suffix(".svc"))?;
        let mut labels = relative.rsplit('.');
        let (namespace, service) = (labels.next()?, labels.next()?);
        let host: Vec<&str> = labels.collect();
        let entry = self.services.get(&(namespace.to_owned(), service.to_owned()))?;
        match (entry, host.as_slice()) {
            (Entry::Cluster(address), []) => Some(Answer::Addresses(vec![*address])),
            (Entry::External(target), []) => Some(Answer::Alias(target.clone())),
            (Entry::Headless(pods), []) => Some(Answer::Addresses(pods.iter().map(|(_, a)| *a).collect())),
            (Entry::Headless(pods), [host]) => {
                let named = pods.iter().filter(|(h, _)| h.as_deref() == Some(*host));
                let found: Vec<Ipv4Addr> = named.map(|(_, a)| *a).collect();
                (!found.is_empty()).then_some(Answer::Addresses(found))
            }
            _ => None,
        }
    }
}

fn headless(slices: &[&Object]) -> Vec<(Option<String>, Ipv4Addr)> {
    let mut list = Vec::new();
    for slice in slices {
        for endpoint in slice.array("/endpoints") {
            if endpoint["conditions"]["ready"].as_bool().unwrap_or(true) {
                let host = endpoint["hostname"].as_str().map(str::to_owned);
                let addresses = endpoint["addresses"].as_array().into_iter().flatten();
                list.extend(addresses.filter_map(|a| Some((host.clone(), a.as_str()?.parse().ok()?))));
            }
        }
    }
    list
}

#[cfg(test)]
mod tests;
