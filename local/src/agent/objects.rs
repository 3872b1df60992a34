//! Requests that change or show objects.

use serde_json::Value;

use super::feed::{Asked, Candidate};
use super::{Agent, Replies};
use crate::cluster::admission::{RESTARTED_AT, admit, unchanged};
use crate::cluster::workloads::WORKLOADS;
use crate::control::{Reply, Submitted, Target};
use crate::manifest::kinds::{self, DAEMON_SET, NAMESPACE};
use crate::manifest::{Key, Object, typed};

/// Kinds that fairway would have to act on and does not.
const NOT_RUN: [(&str, &str); 4] = [
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("apps", "ReplicaSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
];

impl Agent {
    pub(super) fn apply(&mut self, objects: Vec<Submitted>, replies: Replies) {
        let mut candidates = Vec::new();
        let (namespaces, others): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|s| s.object["kind"] == NAMESPACE.kind && s.object["apiVersion"] == "v1");
        // Namespaces first, whatever the order: everything else needs them.
        for submitted in namespaces {
            if let Some(candidate) = self.admitted(submitted, &replies) {
                let (name, how) = (candidate.object.key.to_string(), candidate.how.to_owned());
                self.store.put(candidate.object);
                let _ = replies.send(Reply::Changed { object: name, how });
            }
        }
        for submitted in others {
            candidates.extend(self.admitted(submitted, &replies));
        }
        self.submit(Asked { candidates, replies });
    }

    fn admitted(&mut self, submitted: Submitted, replies: &Replies) -> Option<Candidate> {
        let origin = submitted.origin;
        let refuse = |object: String, message: String| {
            let _ = replies.send(Reply::Refused { origin: origin.clone(), object, message }); // or nobody listens
        };
        let object = match Object::from_json(submitted.object, "default") {
            Ok(object) => object,
            Err(error) => {
                refuse(String::new(), error.to_string());
                return None;
            }
        };
        let name = object.key.to_string();
        if NOT_RUN.contains(&(object.key.group.as_str(), object.key.kind.as_str())) {
            refuse(name, format!("fairway does not run objects of kind {}", object.key.kind));
            return None;
        }
        let mut now = self.now();
        let checked = typed::check(&object);
        match checked.and_then(|()| admit(object, &self.store, &mut self.controllers.vips, &mut now)) {
            Err(error) => {
                refuse(name, error.to_string());
                None
            }
            Ok(object) => {
                let how = match self.store.get(&object.key) {
                    None => "created",
                    Some(old) if unchanged(old, &object) => "unchanged",
                    Some(_) => "configured",
                };
                Some(Candidate { origin, object, how })
            }
        }
    }

    pub(super) fn delete(&mut self, targets: Vec<Target>, missing_ok: bool, replies: &Replies) {
        let now = self.now();
        for target in targets {
            let (object, how) = match self.resolve(&target) {
                Ok(key) => {
                    self.controllers.delete(&mut self.store, &key, &now);
                    (key.to_string(), "deleted")
                }
                Err(_) if missing_ok => {
                    (format!("{} {}/{}", target.kind, target.namespace, target.name), "not found")
                }
                Err(message) => {
                    let _ = replies.send(Reply::Error { message });
                    return;
                }
            };
            let _ = replies.send(Reply::Changed { object, how: how.to_owned() });
        }
        let _ = replies.send(Reply::Done); // or the client is gone
    }

    /// The object a user names; pods by a unique beginning of their name too.
    pub(super) fn resolve(&self, target: &Target) -> Result<Key, String> {
        let kind = match kinds::named(&target.kind) {
            Some(kind) => Key::new(kind, &target.namespace, &target.name),
            // A kind only istiod knows: by the objects there are.
            None => {
                let same =
                    |o: &&Object| o.key.kind.eq_ignore_ascii_case(&target.kind) && o.key.name == target.name;
                let found = self.store.all().filter(same).find(|o| o.key.namespace == target.namespace);
                return found
                    .map(|o| o.key.clone())
                    .ok_or_else(|| format!("{} {:?} not found", target.kind, target.name));
            }
        };
        if self.store.get(&kind).is_some() {
            return Ok(kind);
        }
        if kind.kind == "Pod" {
            return self.pod_key(Some(&target.namespace), &target.name);
        }
        Err(format!("{kind} not found"))
    }

    pub(super) fn label(
        &mut self,
        target: &Target,
        set: Vec<(String, String)>,
        remove: Vec<String>,
        replies: Replies,
    ) {
        self.change(target, "labeled", replies, |object| {
            let labels = object.metadata_map("labels");
            for name in remove {
                labels.shift_remove(&name);
            }
            for (name, value) in set {
                labels.insert(name, Value::String(value));
            }
        });
    }

    pub(super) fn scale(&mut self, target: &Target, replicas: u32, replies: Replies) {
        if kinds::named(&target.kind) == Some(&DAEMON_SET) {
            let _ = replies.send(Reply::Error { message: "a DaemonSet has one pod per node".to_owned() });
            return;
        }
        self.change_workload(target, "scaled", replies, |object| {
            object.json["spec"]["replicas"] = replicas.into();
        });
    }

    pub(super) fn restart(&mut self, target: &Target, replies: Replies) {
        // Two restarts within a second are two.
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        self.change_workload(target, "restarted", replies, |object| {
            let metadata = &mut object.json["spec"]["template"]["metadata"];
            if !metadata["annotations"].is_object() {
                metadata["annotations"] = serde_json::json!({});
            }
            metadata["annotations"][RESTARTED_AT] = at.into();
        });
    }

    fn change_workload(
        &mut self,
        target: &Target,
        how: &'static str,
        replies: Replies,
        change: impl FnOnce(&mut Object),
    ) {
        if !WORKLOADS.iter().any(|kind| kinds::named(&target.kind) == Some(kind)) {
            let message = format!("{} is no Deployment, StatefulSet or DaemonSet", target.kind);
            let _ = replies.send(Reply::Error { message });
            return;
        }
        self.change(target, how, replies, change);
    }

    fn change(
        &mut self,
        target: &Target,
        how: &'static str,
        replies: Replies,
        change: impl FnOnce(&mut Object),
    ) {
        match self.resolve(target) {
            Err(message) => drop(replies.send(Reply::Error { message })),
            Ok(key) => {
                let Some(mut object) = self.store.get(&key).cloned() else { return };
                let before = object.json["spec"].clone();
                change(&mut object);
                if object.json["spec"] != before {
                    let generation = object.json["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
                    object.json["metadata"]["generation"] = generation.into();
                }
                let candidate = Candidate { origin: "command line".to_owned(), object, how };
                self.submit(Asked { candidates: vec![candidate], replies });
            }
        }
    }

    pub(super) fn list(
        &self,
        kind: &str,
        name: Option<&str>,
        namespace: Option<&str>,
        selector: &[(String, String)],
    ) -> Result<Vec<Value>, String> {
        let known = kinds::named(kind);
        let matches = |o: &&Object| {
            known.map_or_else(|| o.key.kind.eq_ignore_ascii_case(kind), |k| o.key.is(k))
                && (o.key.namespace.is_empty() || namespace.is_none_or(|n| o.key.namespace == n))
                && name.is_none_or(|n| o.key.name == n)
                && selector.iter().all(|(k, v)| o.label(k) == Some(v))
        };
        let found: Vec<Value> = self.store.all().filter(matches).map(|o| o.json.clone()).collect();
        match (found.is_empty(), known, name) {
            (true, None, _) => Err(format!("there is no object of kind {kind:?}")),
            (true, Some(k), Some(name)) => match (k.kind, self.pod_key(namespace, name)) {
                ("Pod", Ok(key)) => Ok(self.store.get(&key).map(|o| o.json.clone()).into_iter().collect()),
                _ => Err(format!("{} {name:?} not found", k.plural)),
            },
            _ => Ok(found),
        }
    }
}
