//! The delta-ADS protocol without its IO: what to send, and what the server believes we hold.
//!
//! Rules kept, most of them istiod's (`pilot/pkg/xds/delta.go`):
//! * the node goes with the first request of each type on a stream (ztunnel sends it on each, istiod reads the first);
//! * exactly one ACK or NACK per response, never together with a subscription change;
//! * no request without a change: istiod logs it as a protocol error;
//! * a type with named subscriptions is not asked for before it has a name (an empty first request means wildcard);
//! * on a new stream `initial_resource_versions` names what we hold, so that the server can compute removals;
//!   a resource we refused is not held, or it would never be sent again.

use crate::limits::{NACK_TEXT_MAX, RESUME_BYTES_MAX};
use crate::proto::envoy::envoy::config::core::v3::Node;
use crate::proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use crate::proto::envoy::google::rpc::Status;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What we want of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// Everything the server has for us.
    Wildcard,
    Names(BTreeSet<String>),
}

/// Why one resource of a response was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub name: String,
    /// Where in the resource, and what is wrong with it.
    pub reason: String,
}

#[derive(Debug, Default)]
struct TypeState {
    wanted: Option<Subscription>,
    /// A request of this type went out on the current stream.
    asked: bool,
    /// Accepted resources and the version each was sent with (often empty).
    held: HashMap<String, String>,
}

/// The state of one ADS client across streams.
#[derive(Debug)]
pub struct Delta {
    node: Node,
    types: BTreeMap<&'static str, TypeState>,
    /// Order in which types were first subscribed to; requests of a new stream go out in it.
    order: Vec<&'static str>,
}

impl Delta {
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node, types: BTreeMap::new(), order: Vec::new() }
    }

    /// A new stream is open: everything wanted is asked for again, with what we hold.
    pub fn on_connected(&mut self) -> Vec<DeltaDiscoveryRequest> {
        for state in self.types.values_mut() {
            state.asked = false;
        }
        let order = self.order.clone();
        order.into_iter().filter_map(|type_url| self.first_request(type_url)).collect()
    }

    /// Changes what we want of `type_url`; the request that tells the server, if there is anything to tell.
    pub fn subscribe(
        &mut self,
        type_url: &'static str,
        wanted: Subscription,
    ) -> Option<DeltaDiscoveryRequest> {
        if !self.order.contains(&type_url) {
            self.order.push(type_url);
        }
        let state = self.types.entry(type_url).or_default();
        let before = state.wanted.replace(wanted.clone());
        if !state.asked {
            return self.first_request(type_url);
        }
        let (Some(Subscription::Names(old)), Subscription::Names(new)) = (before, wanted) else {
            return None; // wildcard stays wildcard; our handlers never switch kinds
        };
        let subscribe: Vec<String> = new.difference(&old).cloned().collect();
        let unsubscribe: Vec<String> = old.difference(&new).cloned().collect();
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return None;
        }
        for name in &unsubscribe {
            state.held.remove(name);
        }
        Some(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            ..Default::default()
        })
    }

    /// The answer to `response` after its resources were applied, less `rejections`.
    pub fn answer(
        &mut self,
        response: &DeltaDiscoveryResponse,
        rejections: &[Rejection],
    ) -> DeltaDiscoveryRequest {
        if let Some(state) = self.types.get_mut(response.type_url.as_str()) {
            for resource in &response.resources {
                if rejections.iter().any(|rejection| rejection.name == resource.name) {
                    state.held.remove(&resource.name);
                } else {
                    state.held.insert(resource.name.clone(), resource.version.clone());
                }
            }
            for name in &response.removed_resources {
                state.held.remove(name);
            }
        }
        DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: (!rejections.is_empty())
                .then(|| Status { message: nack_text(rejections), ..Default::default() }),
            ..Default::default()
        }
    }

    /// Whether a response of this type was asked for; others are a server's mistake and are ignored.
    #[must_use]
    pub fn knows(&self, type_url: &str) -> bool {
        self.types.contains_key(type_url)
    }

    fn first_request(&mut self, type_url: &'static str) -> Option<DeltaDiscoveryRequest> {
        let node = self.node.clone();
        let state = self.types.get_mut(type_url)?;
        let names = match state.wanted.as_ref()? {
            Subscription::Wildcard => Vec::new(),
            Subscription::Names(names) if names.is_empty() => return None,
            Subscription::Names(names) => {
                state.held.retain(|name, _| names.contains(name));
                names.iter().cloned().collect()
            }
        };
        state.asked = true;
        let held_bytes: usize = state.held.iter().map(|(name, version)| name.len() + version.len() + 8).sum();
        if held_bytes > RESUME_BYTES_MAX {
            // A fresh start costs one full push; a request the server cannot receive would cost the mesh.
            state.held.clear();
        }
        Some(DeltaDiscoveryRequest {
            node: Some(node),
            type_url: type_url.to_owned(),
            resource_names_subscribe: names,
            initial_resource_versions: state.held.clone(),
            ..Default::default()
        })
    }
}

fn nack_text(rejections: &[Rejection]) -> String {
    let mut text = String::new();
    for rejection in rejections {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&rejection.name);
        text.push_str(": ");
        text.push_str(&rejection.reason);
        if text.len() > NACK_TEXT_MAX {
            let mut end = NACK_TEXT_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests;
