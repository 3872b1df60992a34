//! Deployments, DaemonSets and StatefulSets: their pods. A Deployment's ReplicaSets exist by name only, in its pods'
//! owner references, where istiod takes the workload's name from.

use serde_json::{Value, json};

use super::admission::complete_pod_spec;
use super::names::{suffix, template_hash};
use super::rollout::{self, Member, Step};
use super::{Now, Store};
use crate::manifest::kinds::{DAEMON_SET, DEPLOYMENT, Kind, POD, STATEFUL_SET};
use crate::manifest::{Key, Object};

pub const HASH_LABEL: &str = "pod-template-hash";
/// Where DaemonSets and StatefulSets note the template; Kubernetes refers to a ControllerRevision.
pub const REVISION_LABEL: &str = "controller-revision-hash";
pub const WORKLOADS: [&Kind; 3] = [&DEPLOYMENT, &DAEMON_SET, &STATEFUL_SET];

/// Brings every workload one step nearer to what it wants.
pub fn reconcile(store: &mut Store, now: &mut Now) {
    let workloads: Vec<Object> = WORKLOADS.iter().flat_map(|kind| store.of_kind(kind)).cloned().collect();
    for workload in workloads.iter().filter(|w| !w.is_terminating()) {
        for step in steps(store, workload) {
            match step {
                Step::Create => {
                    let name = free_name(store, workload, now);
                    create(store, workload, &name, now);
                }
                Step::CreateOrdinal(i) => create(store, workload, &format!("{}-{i}", workload.key.name), now),
                Step::Delete(name) => {
                    mark_deleted(store, &Key::new(&POD, &workload.key.namespace, &name), now);
                }
            }
        }
        write_status(store, workload);
    }
    let orphans: Vec<Key> = store
        .of_kind(&POD)
        .filter(|pod| owner(pod).is_some_and(|key| store.get(&key).is_none()))
        .map(|pod| pod.key.clone())
        .collect();
    for orphan in orphans {
        mark_deleted(store, &orphan, now);
    }
}

/// The workload a pod belongs to.
#[must_use]
pub fn owner(pod: &Object) -> Option<Key> {
    let reference = pod.array("/metadata/ownerReferences").first()?;
    let name = reference["name"].as_str()?;
    let key = |kind: &Kind, name: &str| Some(Key::new(kind, &pod.key.namespace, name));
    match reference["kind"].as_str()? {
        "ReplicaSet" => key(&DEPLOYMENT, name.strip_suffix(&format!("-{}", pod.label(HASH_LABEL)?))?),
        "DaemonSet" => key(&DAEMON_SET, name),
        "StatefulSet" => key(&STATEFUL_SET, name),
        _ => None,
    }
}

/// Begins a pod's end: it leaves the endpoints now, and its processes are told by the node agent.
pub fn mark_deleted(store: &mut Store, key: &Key, now: &Now) {
    store.edit(key, |pod| {
        if !pod.is_terminating() {
            pod.json["metadata"]["deletionTimestamp"] = now.rfc3339().into();
            pod.json["metadata"]["deletionGracePeriodSeconds"] =
                pod.json["spec"]["terminationGracePeriodSeconds"].clone();
        }
    });
}

#[must_use]
pub fn is_ready(pod: &Object) -> bool {
    pod.array("/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[must_use]
pub fn replicas(workload: &Object) -> usize {
    match workload.json["spec"]["replicas"].as_u64() {
        _ if workload.key.is(&DAEMON_SET) => 1, // one node
        Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
        None => 1,
    }
}

fn members<'a>(store: &'a Store, workload: &'a Object) -> impl Iterator<Item = &'a Object> {
    store.of_kind(&POD).filter(|pod| owner(pod).as_ref() == Some(&workload.key))
}

fn member(pod: &Object, hash: &str) -> Member {
    let label = pod.label(HASH_LABEL).or_else(|| pod.label(REVISION_LABEL));
    let (current, terminating) = (label == Some(hash), pod.is_terminating());
    Member { name: pod.key.name.clone(), current, ready: is_ready(pod) && !terminating, terminating }
}

fn steps(store: &Store, workload: &Object) -> Vec<Step> {
    let hash = template_hash(&workload.json["spec"]["template"]);
    let replicas = replicas(workload);
    if !workload.key.is(&STATEFUL_SET) {
        let mut pods: Vec<&Object> = members(store, workload).collect();
        pods.sort_by_key(|pod| (pod.str("/metadata/creationTimestamp"), &pod.key));
        let members: Vec<Member> = pods.into_iter().map(|pod| member(pod, &hash)).collect();
        return rollout::rolling(replicas, &members);
    }
    let parallel = workload.str("/spec/podManagementPolicy") == "Parallel";
    let mut ordinals: Vec<Option<Member>> = Vec::new();
    for pod in members(store, workload) {
        let Some(ordinal) = pod.key.name.rsplit_once('-').and_then(|(_, n)| n.parse::<usize>().ok()) else {
            continue;
        };
        if ordinals.len() <= ordinal {
            ordinals.resize(ordinal + 1, None);
        }
        ordinals[ordinal] = Some(member(pod, &hash));
    }
    rollout::ordered(replicas, parallel, &ordinals)
}

fn free_name(store: &Store, workload: &Object, now: &mut Now) -> String {
    loop {
        let name = pod_name(workload, now);
        if store.find(&POD, &workload.key.namespace, &name).is_none() {
            return name;
        }
    }
}

fn pod_name(workload: &Object, now: &mut Now) -> String {
    let name = &workload.key.name;
    let chance = suffix(now.number(), 5);
    match workload.key.is(&DEPLOYMENT) {
        true => format!("{name}-{}-{chance}", template_hash(&workload.json["spec"]["template"])),
        false => format!("{name}-{chance}"),
    }
}

fn create(store: &mut Store, workload: &Object, name: &str, now: &mut Now) {
    let template = &workload.json["spec"]["template"];
    let hash = template_hash(template);
    let mut json = json!({"metadata": template["metadata"].clone(), "spec": template["spec"].clone()});
    if !json["metadata"].is_object() {
        json["metadata"] = json!({});
    }
    complete_pod_spec(&mut json["spec"]);
    let (kind, owner, label) = if workload.key.is(&DEPLOYMENT) {
        ("ReplicaSet", format!("{}-{hash}", workload.key.name), HASH_LABEL)
    } else {
        (workload.key.kind.as_str(), workload.key.name.clone(), REVISION_LABEL)
    };
    if workload.key.is(&STATEFUL_SET) {
        json["spec"]["hostname"] = name.into();
        json["spec"]["subdomain"] = workload.json["spec"]["serviceName"].clone();
        json["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = name.into();
        json["metadata"]["labels"]["apps.kubernetes.io/pod-index"] =
            name.rsplit('-').next().unwrap_or_default().into();
    }
    json["metadata"]["labels"][label] = hash.into();
    json["metadata"]["generateName"] = format!("{owner}-").into();
    json["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": workload.uid(),
        "controller": true, "blockOwnerDeletion": true,
    }]);
    json["metadata"]["uid"] = now.uid().into();
    json["metadata"]["creationTimestamp"] = now.rfc3339().into();
    json["status"] = json!({"phase": "Pending"});
    store.put(Object::ours(&POD, &workload.key.namespace, name, json));
}

fn write_status(store: &mut Store, workload: &Object) {
    let hash = template_hash(&workload.json["spec"]["template"]);
    let members: Vec<Member> =
        members(store, workload).map(|pod| member(pod, &hash)).filter(|m| !m.terminating).collect();
    let ready = members.iter().filter(|m| m.ready).count();
    let updated = members.iter().filter(|m| m.current).count();
    let generation = workload.json["metadata"]["generation"].clone();
    let status: Value = if workload.key.is(&DAEMON_SET) {
        json!({"observedGeneration": generation, "desiredNumberScheduled": 1, "currentNumberScheduled": members.len().min(1),
            "numberReady": ready, "numberAvailable": ready, "updatedNumberScheduled": updated, "numberMisscheduled": 0})
    } else {
        json!({"observedGeneration": generation, "replicas": members.len(), "readyReplicas": ready,
            "availableReplicas": ready, "updatedReplicas": updated})
    };
    store.edit(&workload.key, |w| w.json["status"] = status);
}

#[cfg(test)]
mod tests;
