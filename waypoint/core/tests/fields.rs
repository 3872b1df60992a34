//! Every field istiod sets in a recorded stream is in `docs/xds-fields.md`, with what becomes of it.
//!
//! The table is not believed but measured: each field is cleared or changed in the resource that carries it, and the
//! resource translated again. What changes the model is *read*; what does not is *without effect* and needs a reason there.
//! So a field that a new istiod starts to send, and one that we start or cease to honour, fail this test until somebody
//! has thought about it.
#![allow(clippy::unwrap_used)] // the functions the tests share panic as the tests would

#[path = "fields/mutate.rs"]
mod mutate;
#[path = "streams/recordings.rs"]
mod recordings;
#[path = "fields/table.rs"]
mod table;

use mutate::Visitor;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use table::Effect;
use waypoint_core::translate::ecds::Extensions;
use waypoint_core::translate::{cluster, ecds, endpoint, listener, workload};
use xds_client::proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use xds_client::{dump, type_url};

/// So often a field without effect is changed in one stream and one type of packed
/// message: what it means may hang on what is around it.
const TRIES: u32 = 4;

/// What a resource means to us, comparable: the model's lines in an order of their own, since maps print in any.
fn meaning(type_url: &str, name: &str, bytes: &[u8]) -> Vec<String> {
    fn lines<T: Debug, E: Debug>(result: Result<T, E>) -> Vec<String> {
        let text = format!("{result:#?}");
        let mut lines: Vec<_> =
            text.lines().filter(|line| !line.contains("content_hash:")).map(str::to_owned).collect();
        lines.sort();
        lines
    }
    match type_url {
        type_url::LISTENER => lines(
            listener::translate(name, bytes, &Extensions::default(), None).map(|translated| translated.value),
        ),
        type_url::CLUSTER => lines(cluster::translate(name, bytes).map(|translated| translated.value)),
        type_url::ENDPOINT => lines(endpoint::translate(name, bytes).map(|translated| translated.value)),
        type_url::WORKLOAD => lines(workload::translate(name, bytes).map(|translated| translated.value)),
        type_url::EXTENSION_CONFIG => lines(ecds::translate(name, bytes).map(|translated| translated.value)),
        other => panic!("istiod sent a {other}"),
    }
}

#[derive(Default)]
struct Measured {
    read: BTreeSet<String>,
    /// How often each was changed in the current stream, by the packed message it was in.
    tries: BTreeMap<String, HashMap<String, u32>>,
    /// Resources that were measured: many are the same in every stream.
    seen: HashSet<Vec<u8>>,
}

impl Measured {
    fn stream(&mut self, mut bytes: &[u8]) {
        self.tries.values_mut().for_each(HashMap::clear);
        while !bytes.is_empty() {
            let response = DeltaDiscoveryResponse::decode_length_delimited(&mut bytes).unwrap();
            for resource in &response.resources {
                let content = resource.resource.as_ref().unwrap();
                let message =
                    dump::reflect(&response.type_url, &content.value).unwrap().expect("a built-in type");
                for part in parts(&resource.name, message) {
                    self.resource(&response.type_url, &resource.name, &part);
                }
            }
        }
    }

    fn resource(&mut self, type_url: &str, name: &str, message: &DynamicMessage) {
        let bytes = message.encode_to_vec();
        let before = meaning(type_url, name, &bytes);
        if self.seen.insert(bytes) {
            mutate::every_field(message, &mut Try { measured: self, before, type_url, name });
        }
    }

    fn tries(&mut self, field: &str, within: &str) -> &mut u32 {
        self.tries.entry(field.to_owned()).or_default().entry(within.to_owned()).or_default()
    }

    fn effects(self) -> BTreeMap<String, Effect> {
        let Self { read, tries, .. } = self;
        let effect = |field: &String| if read.contains(field) { Effect::Read } else { Effect::None };
        tries.keys().map(|field| (field.clone(), effect(field))).collect()
    }
}

/// `main_internal` chain by chain, and once with the smallest chain under all names: as a whole it is too large to be
/// made again for each of its fields.
fn parts(name: &str, message: DynamicMessage) -> Vec<DynamicMessage> {
    const CHAINS: &str = "filter_chains";
    if name != "main_internal" || !message.has_field_by_name(CHAINS) {
        return vec![message];
    }
    let chains = message.get_field_by_name(CHAINS).unwrap().as_list().unwrap().to_vec();
    let with = |base: &DynamicMessage, chains: Vec<Value>| {
        let mut listener = base.clone();
        listener.set_field_by_name(CHAINS, Value::List(chains));
        listener
    };
    let name = |chain: &Value| chain.as_message().unwrap().get_field_by_name("name").unwrap().into_owned();
    let smallest =
        chains.iter().map(|chain| chain.as_message().unwrap()).min_by_key(|chain| chain.encoded_len());
    let smallest = smallest.unwrap().clone();
    let named = |chain: &Value| {
        let mut small = smallest.clone();
        small.set_field_by_name("name", name(chain));
        Value::Message(small)
    };
    let skeleton = with(&message, chains.iter().map(named).collect());
    let empty = DynamicMessage::new(message.descriptor());
    let mut parts: Vec<_> = chains.into_iter().map(|chain| with(&empty, vec![chain])).collect();
    parts.push(skeleton);
    parts
}

struct Try<'m> {
    measured: &'m mut Measured,
    before: Vec<String>,
    type_url: &'m str,
    name: &'m str,
}

impl Visitor for Try<'_> {
    fn wants(&mut self, field: &str, within: &str) -> bool {
        !self.measured.read.contains(field) && *self.measured.tries(field, within) < TRIES
    }

    fn changed(&mut self, field: &str, within: &str, resource: &DynamicMessage) {
        *self.measured.tries(field, within) += 1;
        if meaning(self.type_url, self.name, &resource.encode_to_vec()) != self.before {
            self.measured.read.insert(field.to_owned());
        }
    }
}

fn measure() -> BTreeMap<String, Effect> {
    let mut measured = Measured::default();
    for path in recordings::recordings() {
        measured.stream(&std::fs::read(path).unwrap());
    }
    measured.effects()
}

#[test]
fn the_table_of_fields_is_true() {
    let listed = table::read(include_str!("../../../docs/xds-fields.md"));
    let complaints = table::compare(&listed, &measure());
    assert!(complaints.is_empty(), "docs/xds-fields.md:\n{}", complaints.join("\n"));
}
