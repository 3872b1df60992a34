//! The kubelet's and istio-cni's part: pods as the objects want them, captured as their labels want it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::{Agent, Event};
use crate::cluster::builtin::{INGRESS, INGRESS_NAMESPACE};
use crate::cluster::enrolment::{annotate, wants_capture};
use crate::cluster::pod_spec::{PodError, Sources, mounts_config, pod_spec};
use crate::cluster::store::Changes;
use crate::cluster::tokens::{Bearer, Signer, claims};
use crate::cluster::{addresses, status, workloads};
use crate::limits::{ENDPOINTS_SETTLE, POD_RETRY, PODS_MAX};
use crate::manifest::kinds::{NODE, POD, SERVICE_ACCOUNT};
use crate::manifest::{Key, Object};
use crate::node::netns::NetNs;
use crate::node::redirection;
use crate::node::zds_server::{ZdsServer, ZdsWorkload};
use crate::pods::pod::{Pod, PodHost};
use crate::pods::spec::{
    ContainerState, Mint, PodEvent, PodEventKind, PodNetwork, PodPhase, PodSpec, VolumeSource,
};

/// A pod that was begun.
pub(super) struct Running {
    pub(super) key: Key,
    pub(super) address: Ipv4Addr,
    pub(super) own_network: bool,
    pub(super) state: State,
    /// What is the case, or being brought about.
    capture: Capture,
}

pub(super) enum State {
    Creating,
    Up(Pod),
    Stopping(Pod),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capture {
    Off,
    On,
    Changing,
}

#[derive(Debug)]
pub(crate) struct Created {
    pod: Pod,
    captured: bool,
}

impl Running {
    pub(super) fn pod(&self) -> Option<&Pod> {
        match &self.state {
            State::Creating => None,
            State::Up(pod) | State::Stopping(pod) => Some(pod),
        }
    }
}

impl Agent {
    /// Starts, ends and captures what the objects say.
    pub(super) fn settle_pods(&mut self) {
        let pods: Vec<Object> = self.store.of_kind(&POD).cloned().collect();
        for pod in &pods {
            let finished = matches!(pod.str("/status/phase"), "Succeeded" | "Failed");
            match (self.running.contains_key(pod.uid()), pod.is_terminating()) {
                (false, true) => drop(self.store.remove(&pod.key)),
                (false, false) if !finished => self.begin_pod(pod),
                (false, false) => {}
                (true, true) => self.end_pod(pod.uid()),
                (true, false) => self.settle_capture(pod),
            }
        }
        // Removed outright, with their objects.
        let wanted: std::collections::HashSet<&str> = pods.iter().map(Object::uid).collect();
        let gone: Vec<String> =
            self.running.keys().filter(|uid| !wanted.contains(uid.as_str())).cloned().collect();
        for uid in gone {
            self.end_pod(&uid);
        }
    }

    fn begin_pod(&mut self, object: &Object) {
        let captured = self.zds.is_some() && wants_capture(&self.store, object);
        if captured && self.ztunnels == 0 {
            return self.hold_back(object, "ContainerCreating", "waiting for ztunnel");
        }
        if self.running.len() >= PODS_MAX {
            return self.hold_back(object, "OutOfpods", &format!("at most {PODS_MAX} pods run"));
        }
        let host_network = object.json["spec"]["hostNetwork"].as_bool().unwrap_or_default();
        let address = match if host_network { Ok(addresses::NODE) } else { self.pod_addresses.take() } {
            Ok(address) => address,
            Err(error) => return self.hold_back(object, "OutOfAddresses", &error.to_string()),
        };
        match self.resolve_spec(object, address) {
            Ok(spec) => {
                let workload = captured.then(|| (spec.uid.clone(), account(object).to_owned()));
                let (host, events) = (self.host.clone(), self.pod_events.clone());
                let (zds, tell, uid) = (self.zds.clone(), self.events.clone(), spec.uid.clone());
                let capture = if captured { Capture::Changing } else { Capture::Off };
                let running = Running {
                    key: object.key.clone(),
                    address,
                    own_network: !host_network,
                    state: State::Creating,
                    capture,
                };
                self.running.insert(uid.clone(), running);
                tokio::spawn(async move {
                    let outcome =
                        create(spec, &host, events, zds.zip(workload.map(|(_, account)| account))).await;
                    let _ = tell.send(Event::Created { uid, outcome }); // the node is ending
                });
            }
            Err(error) => {
                if !host_network {
                    self.pod_addresses.free(address);
                }
                let reason = match &error {
                    PodError::NotFound(_) | PodError::Missing(_) => "ContainerCreating",
                    PodError::Image(_) | PodError::Program { .. } => "ErrImagePull",
                    PodError::Field(_) | PodError::Unsupported(_) => "CreateContainerConfigError",
                };
                self.hold_back(object, reason, &error.to_string());
            }
        }
    }

    fn hold_back(&mut self, object: &Object, reason: &str, message: &str) {
        let waiting = status::waiting(reason, message);
        self.store.edit(&object.key, |pod| pod.json["status"] = waiting);
    }

    fn resolve_spec(&self, object: &Object, address: Ipv4Addr) -> Result<PodSpec, PodError> {
        let bearer = self.bearer(object);
        let signer = Arc::clone(&self.signer);
        let mint = move |audience: &str| mint(Arc::clone(&signer), bearer.clone(), audience.to_owned());
        let sources = Sources {
            store: &self.store,
            images: &self.images,
            namespace: &object.key.namespace,
            pod_ip: address,
            node_ip: addresses::NODE,
            node_cpus: self.machine.cpus,
            node_memory: self.machine.memory,
            program: &|name| self.programs.find(name),
            mint: &mint,
        };
        let mut spec = pod_spec(object, &sources)?;
        for volume in &mut spec.volumes {
            if let VolumeSource::HostPath(path) = &mut volume.source {
                *path = self.host_path(&path.to_string_lossy());
            }
        }
        // Our programs are in every pod's PATH, as they would be in the images they stand in for.
        let path = std::env::var("PATH")
            .unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned());
        let path = format!("{}:{path}", self.programs.folder().display());
        for container in spec.containers.iter_mut().chain(&mut spec.init_containers) {
            if container.env.iter().all(|(name, _)| name != "PATH") {
                container.env.push(("PATH".to_owned(), path.clone()));
            }
        }
        Ok(spec)
    }

    fn bearer(&self, pod: &Object) -> Bearer {
        let uid = |kind, namespace: &str, name: &str| {
            self.store.find(kind, namespace, name).map(|o| o.uid().to_owned()).unwrap_or_default()
        };
        let account = account(pod);
        Bearer {
            namespace: pod.key.namespace.clone(),
            account: account.to_owned(),
            account_uid: uid(&SERVICE_ACCOUNT, &pod.key.namespace, account),
            pod: pod.key.name.clone(),
            pod_uid: pod.uid().to_owned(),
            node: addresses::NODE_NAME.to_owned(),
            node_uid: uid(&NODE, "", addresses::NODE_NAME),
        }
    }

    pub(super) fn pod_created(&mut self, uid: &str, outcome: Result<Created, String>) {
        let Some(running) = self.running.get_mut(uid) else { return };
        match outcome {
            Ok(Created { pod, captured }) => {
                running.capture = if captured { Capture::On } else { Capture::Off };
                running.state = State::Up(pod.clone());
                let key = running.key.clone();
                self.store.edit(&key, |object| annotate(object, captured));
                self.write_status(uid);
                pod.start();
            }
            Err(message) => {
                let Some(running) = self.running.remove(uid) else { return };
                if running.own_network {
                    self.pod_addresses.free(running.address);
                }
                let waiting = status::waiting("FailedCreatePodSandBox", &message);
                self.store.edit(&running.key, |pod| pod.json["status"] = waiting);
                self.retry_soon();
            }
        }
    }

    /// Sees to it that the agent looks again although nothing happens.
    fn retry_soon(&self) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(POD_RETRY).await;
            let _ = events.send(Event::Retry); // the node is ending
        });
    }

    pub(super) fn pod_event(&mut self, event: &PodEvent) {
        if event.kind == PodEventKind::Stopped {
            let Some(running) = self.running.remove(&event.uid) else { return };
            if running.own_network {
                self.pod_addresses.free(running.address);
            }
            if self.store.get(&running.key).is_some_and(|o| o.uid() == event.uid) {
                self.store.remove(&running.key);
            }
            return;
        }
        if let PodEventKind::Trouble { container, message } = &event.kind {
            let name = self.running.get(&event.uid).map(|r| r.key.to_string()).unwrap_or_default();
            tracing::warn!(pod = name, container, message, "a container cannot be started");
        }
        self.write_status(&event.uid);
    }

    fn write_status(&mut self, uid: &str) {
        let Some(running) = self.running.get(uid) else { return };
        let Some(pod) = running.pod() else { return };
        let (pod_status, address, key) = (pod.status(), running.address, running.key.clone());
        let now = self.now().rfc3339();
        self.store
            .edit(&key, |object| object.json["status"] = status::of(object, &pod_status, address, &now));
    }

    fn end_pod(&mut self, uid: &str) {
        let Some(running) = self.running.get_mut(uid) else { return };
        let State::Up(pod) = &running.state else { return }; // being made: ended when it is; or ending already
        let pod = pod.clone();
        running.state = State::Stopping(pod.clone());
        let (zds, captured, uid) = (self.zds.clone(), running.capture != Capture::Off, uid.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(ENDPOINTS_SETTLE).await;
            let released = async {
                // ztunnel lets go of the namespace when the last process is gone, as with CNI's DEL.
                let mut watch = pod.watch();
                let over = |s: &crate::pods::spec::PodStatus| {
                    s.containers.iter().all(|c| !matches!(c.state, ContainerState::Running { .. }))
                        || matches!(s.phase, PodPhase::Succeeded | PodPhase::Failed)
                };
                let _ = watch.wait_for(over).await; // the pod's end is as good
                if let Some(zds) = zds.filter(|_| captured)
                    && let Err(error) = zds.remove(&uid).await
                {
                    tracing::warn!(%error, "ztunnel would not let a pod go");
                }
            };
            tokio::join!(pod.stop(), released);
        });
    }

    /// Labels came or went: captures a running pod, or lets it go.
    fn settle_capture(&mut self, object: &Object) {
        let wanted = wants_capture(&self.store, object);
        let Some(zds) = self.zds.clone() else { return };
        let Some(running) = self.running.get_mut(object.uid()) else { return };
        let State::Up(pod) = &running.state else { return };
        let Some(net) = pod.netns().cloned() else { return };
        let todo = match (running.capture, wanted) {
            (Capture::Off, true) if self.ztunnels > 0 => true,
            (Capture::On, false) => false,
            _ => return,
        };
        running.capture = Capture::Changing;
        let workload = workload(pod.spec(), account(object), net);
        let (events, uid) = (self.events.clone(), object.uid().to_owned());
        tokio::spawn(async move {
            let outcome = if todo { capture(&zds, workload).await } else { release(&zds, workload).await };
            let _ = events.send(Event::Captured { uid, captured: todo, outcome }); // the node is ending
        });
    }

    pub(super) fn pod_captured(&mut self, uid: &str, captured: bool, outcome: Result<(), String>) {
        let Some(running) = self.running.get_mut(uid) else { return };
        let key = running.key.clone();
        if let Err(message) = outcome {
            running.capture = if captured { Capture::Off } else { Capture::On };
            tracing::warn!(pod = %key, message, "capture did not change; trying again");
            return self.retry_soon();
        }
        running.capture = if captured { Capture::On } else { Capture::Off };
        self.store.edit(&key, |object| annotate(object, captured));
    }

    /// Shows running pods what changed in the ConfigMaps and Secrets they mount.
    pub(super) fn refresh_volumes(&self, changes: &Changes) {
        let sources =
            changes.apply.iter().filter(|o| matches!(o["kind"].as_str(), Some("ConfigMap" | "Secret")));
        for source in sources {
            let text = |pointer: &str| source.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default();
            let (kind, namespace, name) =
                (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            for running in self.running.values().filter(|r| r.key.namespace == namespace) {
                let Some((object, pod)) = self.store.get(&running.key).zip(running.pod()) else { continue };
                if !mounts_config(object, kind, name) {
                    continue;
                }
                let Ok(spec) = self.resolve_spec(object, running.address) else { continue };
                for volume in spec.volumes {
                    if let VolumeSource::Projected(content) = volume.source
                        && let Err(error) = pod.update_volume(&volume.name, content)
                    {
                        tracing::warn!(pod = %running.key, volume = volume.name, %error, "not refreshed");
                    }
                }
            }
        }
    }

    /// The namespace the ingress dials from, once its pod is ready.
    pub(super) fn ingress_pod(&self) -> Option<Arc<NetNs>> {
        let pods = self
            .store
            .of_kind(&POD)
            .filter(|p| p.key.namespace == INGRESS_NAMESPACE && p.label("app") == Some(INGRESS));
        let ready = pods.filter(|p| workloads::is_ready(p) && !p.is_terminating());
        ready.filter_map(|p| self.running.get(p.uid())?.pod()?.netns().cloned()).next()
    }
}

fn account(pod: &Object) -> &str {
    match pod.str("/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

fn mint(signer: Arc<Signer>, bearer: Bearer, audience: String) -> Mint {
    Arc::new(move |lifetime: Duration| {
        let claims = claims(&bearer, &audience, chrono::Utc::now().timestamp(), lifetime.as_secs());
        signer.sign(&claims).map_err(|_| "the token could not be signed".into())
    })
}

fn workload(spec: &PodSpec, account: &str, netns: Arc<NetNs>) -> ZdsWorkload {
    ZdsWorkload {
        uid: spec.uid.clone(),
        name: spec.name.clone(),
        namespace: spec.namespace.clone(),
        service_account: account.to_owned(),
        netns,
    }
}

/// Makes a pod; captures it before its first process runs, if it is to be.
async fn create(
    spec: PodSpec,
    host: &PodHost,
    events: tokio::sync::mpsc::UnboundedSender<PodEvent>,
    mesh: Option<(ZdsServer, String)>,
) -> Result<Created, String> {
    let own_network = matches!(spec.network, PodNetwork::Own(_));
    let pod = Pod::create(spec, host, events).await.map_err(|e| e.to_string())?;
    let mut captured = false;
    if let (Some((zds, account)), Some(net), true) = (mesh, pod.netns().cloned(), own_network) {
        if let Err(message) = capture(&zds, workload(pod.spec(), &account, net)).await {
            pod.stop_within(Duration::ZERO).await;
            return Err(message);
        }
        captured = true;
    }
    Ok(Created { pod, captured })
}

async fn capture(zds: &ZdsServer, workload: ZdsWorkload) -> Result<(), String> {
    redirection::install(&workload.netns).await.map_err(|e| e.to_string())?;
    let uid = workload.uid.clone();
    if let Err(error) = zds.add(workload.clone()).await {
        // Captured without a ztunnel it would reach nobody.
        let _ = zds.remove(&uid).await; // it never had it
        let _ = redirection::remove(&workload.netns).await; // the first error says more
        return Err(error.to_string());
    }
    Ok(())
}

/// Rules first, so that no new connection is captured that ztunnel would no longer carry.
async fn release(zds: &ZdsServer, workload: ZdsWorkload) -> Result<(), String> {
    redirection::remove(&workload.netns).await.map_err(|e| e.to_string())?;
    zds.remove(&workload.uid).await.map(|_| ()).map_err(|e| e.to_string())
}
