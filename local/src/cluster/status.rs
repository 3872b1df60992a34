//! A pod's `status` as a kubelet writes it, from what the lower half tells about the pod.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::addresses;
use crate::manifest::Object;
use crate::pods::spec::{ContainerState, ContainerStatus, Exit, PodPhase, PodStatus};

/// The status of a pod that does not run yet, and why.
#[must_use]
pub fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "reason": reason, "message": message,
        "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}]})
}

#[must_use]
pub fn of(pod: &Object, status: &PodStatus, address: Ipv4Addr, now: &str) -> Value {
    let names: Vec<&Value> =
        pod.array("/spec/containers").iter().chain(pod.array("/spec/initContainers")).collect();
    let image =
        |name: &str| names.iter().find(|c| c["name"] == name).map(|c| c["image"].clone()).unwrap_or_default();
    let list = |statuses: &[ContainerStatus]| -> Value {
        statuses.iter().map(|s| container(s, &image(&s.name))).collect()
    };
    let condition = |kind: &str, holds: bool| {
        let value = if holds { "True" } else { "False" };
        let old = pod.array("/status/conditions").iter().find(|c| c["type"] == kind && c["status"] == value);
        let since = old.map_or_else(|| now.into(), |c| c["lastTransitionTime"].clone());
        json!({"type": kind, "status": value, "lastTransitionTime": since})
    };
    let start = pod.json.pointer("/status/startTime").cloned().unwrap_or_else(|| now.into());
    json!({
        "phase": phase(status.phase),
        "conditions": [condition("PodScheduled", true), condition("Initialized", status.initialized),
            condition("ContainersReady", status.ready), condition("Ready", status.ready)],
        "hostIP": addresses::NODE.to_string(), "hostIPs": [{"ip": addresses::NODE.to_string()}],
        "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
        "startTime": start, "qosClass": "BestEffort",
        "initContainerStatuses": list(&status.init_containers), "containerStatuses": list(&status.containers),
    })
}

fn phase(phase: PodPhase) -> &'static str {
    match phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
    }
}

fn container(status: &ContainerStatus, image: &Value) -> Value {
    let state = match &status.state {
        ContainerState::Waiting { reason, message } => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        ContainerState::Running { since, .. } => json!({"running": {"startedAt": time(*since)}}),
        ContainerState::Terminated(exit) => json!({"terminated": terminated(exit)}),
    };
    let last =
        status.last_exit.as_ref().map_or_else(|| json!({}), |exit| json!({"terminated": terminated(exit)}));
    json!({"name": status.name, "image": image, "imageID": "", "ready": status.ready, "started": status.started,
        "restartCount": status.restarts, "state": state, "lastState": last})
}

fn terminated(exit: &Exit) -> Value {
    json!({"exitCode": exit.code, "reason": if exit.code == 0 { "Completed" } else { "Error" },
        "startedAt": time(exit.started), "finishedAt": time(exit.finished)})
}

fn time(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One word for a pod, as `kubectl get pods` shows it.
#[must_use]
pub fn word(pod: &Object) -> String {
    if pod.is_terminating() {
        return "Terminating".to_owned();
    }
    let containers = pod.array("/status/containerStatuses").iter();
    for status in containers {
        let state = &status["state"];
        let reason = state["waiting"]["reason"].as_str().or_else(|| state["terminated"]["reason"].as_str());
        if let Some(reason) = reason {
            return reason.to_owned();
        }
    }
    match pod.str("/status/reason") {
        "" => pod.str("/status/phase").to_owned(),
        reason => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::kinds::POD;

    fn status(ready: bool, state: ContainerState) -> PodStatus {
        let container =
            ContainerStatus { name: "c".into(), state, last_exit: None, ready, started: true, restarts: 2 };
        PodStatus {
            phase: PodPhase::Running,
            ready,
            initialized: true,
            init_containers: vec![],
            containers: vec![container],
        }
    }

    #[test]
    fn a_status_reads_like_a_kubelets() {
        let mut pod =
            Object::ours(&POD, "n", "p", json!({"spec": {"containers": [{"name": "c", "image": "i"}]}}));
        let running = ContainerState::Running { since: SystemTime::UNIX_EPOCH, pid: 1 };
        pod.json["status"] = of(&pod, &status(false, running.clone()), Ipv4Addr::new(10, 244, 0, 10), "t1");
        pod.json["status"] = of(&pod, &status(true, running), Ipv4Addr::new(10, 244, 0, 10), "t2");
        assert!(super::super::workloads::is_ready(&pod));
        let conditions = pod.array("/status/conditions");
        assert_eq!(conditions[0]["lastTransitionTime"], "t1", "unchanged conditions keep their time");
        assert_eq!(conditions[3]["lastTransitionTime"], "t2");
        assert_eq!(pod.str("/status/startTime"), "t1");
        let container = &pod.array("/status/containerStatuses")[0];
        assert_eq!((&container["image"], &container["restartCount"]), (&json!("i"), &json!(2)));
        assert_eq!(container["state"]["running"]["startedAt"], "1970-01-01T00:00:00Z");
        assert_eq!(word(&pod), "Running");
    }

    #[test]
    fn one_word_says_what_is_wrong() {
        let mut pod = Object::ours(&POD, "n", "p", json!({}));
        let waiting_state = ContainerState::Waiting { reason: "CrashLoopBackOff", message: String::new() };
        pod.json["status"] = of(&pod, &status(false, waiting_state), Ipv4Addr::LOCALHOST, "t");
        assert_eq!(word(&pod), "CrashLoopBackOff");
        pod.json["status"] = waiting("CreateContainerConfigError", "configmap \"x\" not found");
        assert_eq!(word(&pod), "CreateContainerConfigError");
        pod.json["metadata"]["deletionTimestamp"] = "now".into();
        assert_eq!(word(&pod), "Terminating");
    }
}
