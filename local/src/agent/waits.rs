//! Waiting for the mesh to come to where it should be, with progress told on the way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Agent, Event, Replies, Said, heard};
use crate::cluster::gateway::is_managed_waypoint;
use crate::cluster::workloads::{WORKLOADS, is_ready, replicas};
use crate::cluster::{Store, status};
use crate::control::{Reply, WaitFor};
use crate::limits::PROXY_ASK_AGAIN;
use crate::manifest::kinds::{GATEWAY, POD};
use crate::manifest::{Key, Object};

/// Log lines shown of a pod that fails.
const LAST_LINES: usize = 5;

pub(super) struct Waiting {
    what: What,
    deadline: Instant,
    replies: Replies,
    said: Said,
    proxies: Proxies,
}

/// What the proxies know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxies {
    Unknown,
    Asked,
    Heard,
}

enum What {
    Everything,
    Rollout(Key),
    Gone(Vec<Key>),
}

impl Agent {
    pub(super) fn wait(&mut self, what: WaitFor, patience: Duration, replies: Replies) {
        let what = match what {
            WaitFor::Everything => What::Everything,
            WaitFor::Rollout { target } => match self.resolve(&target) {
                Ok(key) => What::Rollout(key),
                Err(message) => return drop(replies.send(Reply::Error { message })),
            },
            WaitFor::Gone { targets } => {
                What::Gone(targets.iter().filter_map(|t| self.resolve(t).ok()).collect())
            }
        };
        self.waits.push(Waiting {
            what,
            deadline: Instant::now() + patience,
            replies,
            said: Said::new(),
            proxies: Proxies::Unknown,
        });
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(patience + Duration::from_millis(10)).await;
            let _ = events.send(Event::Retry); // the node is ending
        });
    }

    /// Tells everybody who waits.
    pub(super) fn announce(&self, message: &str) {
        for waiting in &self.waits {
            let _ = waiting.replies.send(Reply::Progress { message: message.to_owned() });
        }
    }

    pub(super) fn settle_waits(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.retain_mut(|waiting| self.still_waiting(waiting));
        self.waits = waits;
    }

    fn still_waiting(&self, waiting: &mut Waiting) -> bool {
        if waiting.replies.is_closed() {
            return false;
        }
        let missing = match &waiting.what {
            What::Everything => {
                self.tell_progress(waiting);
                let mut missing = self.missing();
                if self.mesh && missing.is_empty() && waiting.proxies != Proxies::Heard {
                    if waiting.proxies == Proxies::Unknown {
                        self.ask_proxies();
                        waiting.proxies = Proxies::Asked;
                    }
                    missing.push("the proxies have not heard of all that is ready".to_owned());
                }
                missing
            }
            What::Rollout(key) => {
                self.store.get(key).and_then(|w| rollout_missing(&self.store, w)).into_iter().collect()
            }
            What::Gone(keys) => keys
                .iter()
                .filter(|k| self.store.get(k).is_some())
                .map(|k| format!("{k} is still there"))
                .collect(),
        };
        let last = if missing.is_empty() {
            Reply::Done
        } else if Instant::now() >= waiting.deadline {
            Reply::Error { message: format!("not within the time: {}{}", missing.join("; "), self.unready()) }
        } else {
            return true;
        };
        let _ = waiting.replies.send(last); // the client is gone
        false
    }

    fn ask_proxies(&self) {
        let (proxies, expected, events) = (self.proxies(), heard::expected(&self.store), self.events.clone());
        tokio::spawn(async move {
            let heard = heard::everywhere(proxies, expected).await;
            if !heard {
                tokio::time::sleep(PROXY_ASK_AGAIN).await;
            }
            let _ = events.send(Event::Heard(heard)); // the node is ending
        });
    }

    pub(super) fn heard(&mut self, heard: bool) {
        for waiting in self.waits.iter_mut().filter(|w| w.proxies == Proxies::Asked) {
            waiting.proxies = if heard { Proxies::Heard } else { Proxies::Unknown };
        }
    }

    /// What is not as it should be.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.mesh && !self.feed.ready {
            let why = self.feed.ended.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            missing.push(format!("istiod is not ready{why}"));
        }
        if self.mesh && self.ztunnels == 0 {
            missing.push("ztunnel is not connected".to_owned());
        }
        let workloads = WORKLOADS.iter().flat_map(|kind| self.store.of_kind(kind));
        missing.extend(workloads.filter_map(|w| rollout_missing(&self.store, w)));
        let bare = self.store.of_kind(&POD).filter(|p| p.array("/metadata/ownerReferences").is_empty());
        missing.extend(bare.filter(|p| !settled(p)).map(|p| format!("{} is not ready", p.key)));
        if self.mesh {
            let gateways = self.store.of_kind(&GATEWAY).filter(|g| is_managed_waypoint(g));
            missing.extend(
                gateways.filter(|g| !is_programmed(g)).map(|g| format!("{} is not programmed", g.key)),
            );
        }
        missing
    }

    fn tell_progress(&self, waiting: &mut Waiting) {
        let Waiting { said, replies, .. } = waiting;
        let mut say = |key: &str, message: String| {
            if said.get(key) != Some(&message) {
                said.insert(key.to_owned(), message.clone());
                let _ = replies.send(Reply::Progress { message }); // the client is gone
            }
        };
        if self.feed.ready {
            say("istiod", "istiod ready".to_owned());
        }
        if self.ztunnels > 0 {
            say("ztunnel", "ztunnel connected".to_owned());
        }
        if let Some(why) = &self.feed.ended {
            let lines = self.istiod_log.as_ref().map(|log| log.tail(LAST_LINES)).unwrap_or_default();
            say("istiod ended", format!("istiod ended: {why}{}", indented(&lines)));
        }
        let pods: Vec<&Object> = self.store.of_kind(&POD).filter(|p| !p.is_terminating()).collect();
        let ready = pods.iter().filter(|p| settled(p)).count();
        say("pods", format!("pods {ready}/{}", pods.len()));
        for pod in pods {
            if let Some(trouble) = trouble(pod) {
                let lines = self.last_lines(pod);
                say(&pod.key.to_string(), format!("{}: {trouble}{}", pod.key, indented(&lines)));
            }
        }
        for gateway in self.store.of_kind(&GATEWAY).filter(|g| is_managed_waypoint(g) && is_programmed(g)) {
            say(
                &gateway.key.to_string(),
                format!("waypoint {}/{} programmed", gateway.key.namespace, gateway.key.name),
            );
        }
    }

    /// The pods that are not ready, each with its state and its last words.
    fn unready(&self) -> String {
        let pods = self.store.of_kind(&POD).filter(|p| !settled(p));
        let one = |p: &Object| {
            let why = p.str("/status/message");
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            format!("\n  {}: {}{why}{}", p.key, status::word(p), indented(&self.last_lines(p)))
        };
        pods.map(one).collect()
    }

    fn last_lines(&self, pod: &Object) -> Vec<String> {
        let running = self.running.get(pod.uid()).and_then(|r| r.pod());
        let Some(pod) = running else { return Vec::new() };
        let mut lines = Vec::new();
        for container in pod.spec().init_containers.iter().chain(&pod.spec().containers) {
            lines.extend(pod.log(&container.name).map(|log| log.tail(LAST_LINES)).unwrap_or_default());
        }
        lines
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}

fn settled(pod: &Object) -> bool {
    is_ready(pod) || pod.str("/status/phase") == "Succeeded"
}

/// Why a pod does not come up, if it is more than that it takes its time.
fn trouble(pod: &Object) -> Option<String> {
    if settled(pod) {
        return None;
    }
    let word = status::word(pod);
    let failing = matches!(
        word.as_str(),
        "CrashLoopBackOff"
            | "Error"
            | "ErrImagePull"
            | "CreateContainerConfigError"
            | "RunContainerError"
            | "FailedCreatePodSandBox"
            | "OutOfpods"
            | "OutOfAddresses"
    );
    let waiting = pod.array("/status/containerStatuses").iter();
    let mut said =
        waiting.filter_map(|s| s["state"]["waiting"]["message"].as_str()).filter(|m| !m.is_empty());
    let message = said.next().unwrap_or_else(|| pod.str("/status/message"));
    failing.then(|| if message.is_empty() { word.clone() } else { format!("{word}: {message}") })
}

/// Accepted as `kubectl rollout status` accepts it, and nothing of the old is left.
fn rollout_missing(store: &Store, workload: &Object) -> Option<String> {
    let wanted = replicas(workload);
    let number = |a: &str, b: &str| {
        let status = &workload.json["status"];
        status[a]
            .as_u64()
            .or_else(|| status[b].as_u64())
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_default()
    };
    let ready = number("readyReplicas", "numberReady");
    let updated = number("updatedReplicas", "updatedNumberScheduled");
    let pods =
        store.of_kind(&POD).filter(|p| crate::cluster::workloads::owner(p).as_ref() == Some(&workload.key));
    let names: BTreeSet<&str> = pods.map(|p| p.key.name.as_str()).collect();
    let done = ready >= wanted && updated >= wanted && names.len() == wanted;
    (!done).then(|| format!("{}: {ready} of {wanted} ready", workload.key))
}

fn is_programmed(gateway: &Object) -> bool {
    gateway.array("/status/conditions").iter().any(|c| c["type"] == "Programmed" && c["status"] == "True")
        && !gateway.array("/status/addresses").is_empty()
}
