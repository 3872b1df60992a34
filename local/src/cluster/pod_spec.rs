//! A Pod object to the plain `PodSpec` the lower half runs: references resolved, defaults applied, images replaced.
//!
//! What cannot be honoured is an error, never left out; what does not exist yet (`Missing`) is tried again when it does.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Container, Pod, Probe as KubeProbe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::images::{Images, Run};
use super::pod_env::{expand, variables};
use super::pod_volumes::volumes;
use super::{Store, addresses};
use crate::manifest::kinds::{CONFIG_MAP, SECRET};
use crate::manifest::object::FieldError;
use crate::manifest::{Object, typed};
use crate::pods::spec::{
    ContainerSpec, DnsConfig, Mint, Mount, PodNetwork, PodSpec, Probe, ProbeAction, Program, RestartPolicy,
};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0}")]
    Missing(String),
    #[error("fairway does not support {0}")]
    Unsupported(String),
    #[error("no program stands in for image {0:?}; add it to the image table (--images)")]
    Image(String),
    #[error("program {name:?} of image {image:?} is not on this machine ({looked})")]
    Program { name: String, image: String, looked: String },
}

/// What a pod's spec refers to, and who mints its tokens.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub images: &'a Images,
    pub namespace: &'a str,
    pub pod_ip: Ipv4Addr,
    pub node_ip: Ipv4Addr,
    pub node_cpus: usize,
    pub node_memory: u64,
    /// Finds a program of the image table; the error says where it was looked for.
    pub program: &'a dyn Fn(&str) -> Result<PathBuf, String>,
    /// Mints this pod's tokens for an audience.
    pub mint: &'a dyn Fn(&str) -> Mint,
}

impl Sources<'_> {
    pub fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<BTreeMap<String, Vec<u8>>, PodError> {
        let Some(object) = self.store.find(&CONFIG_MAP, self.namespace, name) else {
            return absent(format!("configmap {name:?}"), optional);
        };
        let mut data: BTreeMap<_, _> =
            object.strings("/data").into_iter().map(|(key, text)| (key, text.into_bytes())).collect();
        data.extend(decoded(object, "/binaryData"));
        Ok(data)
    }

    pub fn secret(&self, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, Vec<u8>>, PodError> {
        let Some(object) = self.store.find(&SECRET, self.namespace, name) else {
            return absent(format!("secret {name:?}"), optional);
        };
        let mut data = decoded(object, "/data");
        data.extend(object.strings("/stringData").into_iter().map(|(key, text)| (key, text.into_bytes())));
        Ok(data)
    }
}

fn absent(what: String, optional: Option<bool>) -> Result<BTreeMap<String, Vec<u8>>, PodError> {
    if optional.unwrap_or_default() { Ok(BTreeMap::new()) } else { Err(PodError::NotFound(what)) }
}

fn decoded(object: &Object, pointer: &str) -> BTreeMap<String, Vec<u8>> {
    let pairs = object.strings(pointer).into_iter();
    pairs.filter_map(|(key, text)| Some((key, STANDARD.decode(text).ok()?))).collect()
}

/// The pod as the lower half runs it.
pub fn pod_spec(object: &Object, sources: &Sources<'_>) -> Result<PodSpec, PodError> {
    let pod: Pod = typed::view(&object.json)?;
    let spec = pod.spec.as_ref().ok_or_else(|| FieldError::new("spec", "is required"))?;
    if spec.containers.is_empty() {
        return Err(FieldError::new("spec.containers", "is required").into());
    }
    let host_network = spec.host_network.unwrap_or_default();
    let containers =
        |list: &[Container]| list.iter().map(|c| container(&pod, c, sources)).collect::<Result<Vec<_>, _>>();
    let aliases = spec.host_aliases.iter().flatten();
    Ok(PodSpec {
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        uid: object.uid().to_owned(),
        hostname: spec.hostname.clone().unwrap_or_else(|| object.key.name.clone()),
        network: if host_network { PodNetwork::Host } else { PodNetwork::Own(sources.pod_ip) },
        dns: dns(spec.dns_config.as_ref(), &object.key.namespace),
        host_aliases: aliases
            .filter_map(|a| Some((a.ip.parse().ok()?, a.hostnames.clone().unwrap_or_default())))
            .collect(),
        volumes: volumes(&pod, sources)?,
        init_containers: containers(spec.init_containers.as_deref().unwrap_or_default())?,
        containers: containers(&spec.containers)?,
        restart: match spec.restart_policy.as_deref() {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        },
        grace: seconds(spec.termination_grace_period_seconds, 30),
    })
}

fn dns(config: Option<&k8s_openapi::api::core::v1::PodDNSConfig>, namespace: &str) -> DnsConfig {
    let mut dns = DnsConfig {
        nameservers: vec![addresses::NODE],
        search: vec![
            format!("{namespace}.svc.cluster.local"),
            "svc.cluster.local".into(),
            "cluster.local".into(),
        ],
        options: vec!["ndots:5".into()],
    };
    if let Some(config) = config {
        dns.nameservers
            .extend(config.nameservers.iter().flatten().filter_map(|a| a.parse::<Ipv4Addr>().ok()));
        dns.search.extend(config.searches.iter().flatten().cloned());
        dns.options.extend(config.options.iter().flatten().filter_map(|o| {
            let name = o.name.clone()?;
            Some(o.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")))
        }));
    }
    dns
}

fn seconds(value: Option<i64>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|s| u64::try_from(s).ok()).unwrap_or(default))
}

fn container(pod: &Pod, container: &Container, sources: &Sources<'_>) -> Result<ContainerSpec, PodError> {
    if container.restart_policy.is_some() {
        return Err(PodError::Unsupported(format!("restartPolicy of container {:?}", container.name)));
    }
    if container.lifecycle.is_some() {
        return Err(PodError::Unsupported(format!("lifecycle hooks of container {:?}", container.name)));
    }
    let image_name = container.image.clone().unwrap_or_default();
    let image = sources.images.find(&image_name).ok_or_else(|| PodError::Image(image_name.clone()))?;
    let mut env: Vec<(String, String)> =
        vec![("HOSTNAME".into(), pod.metadata.name.clone().unwrap_or_default())];
    env.extend(image.env.iter().map(|(k, v)| (k.clone(), v.clone())));
    for (name, value) in variables(pod, container, sources)? {
        env.retain(|(n, _)| *n != name);
        env.push((name, value));
    }
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| expand(text, &env)).collect()
    };
    let (command, given) = (expanded(&container.command), expanded(&container.args));
    let (program, args) = match &image.run {
        Run::Program { name, args } => {
            let missing =
                |looked| PodError::Program { name: name.clone(), image: image_name.clone(), looked };
            let path = (sources.program)(name).map_err(missing)?;
            (Program::Machine(path), args.iter().cloned().chain(given).collect())
        }
        Run::Entrypoint(entrypoint) => {
            let argv = if command.is_empty() && given.is_empty() { entrypoint.clone() } else { command };
            let argv: Vec<String> = if argv.is_empty() { entrypoint[..1].to_vec() } else { argv };
            let mut argv = argv.into_iter().chain(given);
            (Program::Container(argv.next().unwrap_or_default()), argv.collect())
        }
    };
    let probe = |p: &Option<KubeProbe>| p.as_ref().map(|p| probe(container, p)).transpose();
    Ok(ContainerSpec {
        name: container.name.clone(),
        program,
        args,
        working_dir: container.working_dir.clone().map(PathBuf::from),
        mounts: mounts(container, &env),
        startup: probe(&container.startup_probe)?,
        readiness: probe(&container.readiness_probe)?,
        liveness: probe(&container.liveness_probe)?,
        env,
    })
}

fn mounts(container: &Container, env: &[(String, String)]) -> Vec<Mount> {
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .map(|m| Mount {
            volume: m.name.clone(),
            path: PathBuf::from(&m.mount_path),
            sub_path: m
                .sub_path
                .clone()
                .or_else(|| m.sub_path_expr.as_ref().map(|e| expand(e, env)))
                .map(PathBuf::from),
            read_only: m.read_only.unwrap_or_default(),
        })
        .collect()
}

fn probe(container: &Container, probe: &KubeProbe) -> Result<Probe, PodError> {
    let action = if let Some(get) = &probe.http_get {
        if get.scheme.as_deref().is_some_and(|s| !s.eq_ignore_ascii_case("http")) {
            return Err(PodError::Unsupported(format!("HTTPS probes (container {:?})", container.name)));
        }
        let headers = get.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
        let path = get.path.clone().unwrap_or_else(|| "/".to_owned());
        ProbeAction::HttpGet { host: get.host.clone(), port: port(container, &get.port)?, path, headers }
    } else if let Some(tcp) = &probe.tcp_socket {
        ProbeAction::Tcp { host: tcp.host.clone(), port: port(container, &tcp.port)? }
    } else if let Some(exec) = &probe.exec {
        ProbeAction::Exec(exec.command.clone().unwrap_or_default())
    } else if probe.grpc.is_some() {
        return Err(PodError::Unsupported(format!("gRPC probes (container {:?})", container.name)));
    } else {
        return Err(FieldError::new("probe", "must specify a handler type").into());
    };
    let number = |value: Option<i32>, default: u32| {
        value.and_then(|n| u32::try_from(n).ok()).unwrap_or(default).max(1)
    };
    Ok(Probe {
        action,
        initial_delay: seconds(probe.initial_delay_seconds.map(i64::from), 0),
        period: seconds(probe.period_seconds.map(i64::from), 10).max(Duration::from_secs(1)),
        timeout: seconds(probe.timeout_seconds.map(i64::from), 1).max(Duration::from_secs(1)),
        success_threshold: number(probe.success_threshold, 1),
        failure_threshold: number(probe.failure_threshold, 3),
    })
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, PodError> {
    let named = |name: &str| {
        container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name)).map(|p| p.container_port)
    };
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => name.parse().ok().or_else(|| named(name)),
    };
    let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0);
    number
        .ok_or_else(|| FieldError::new("probe.port", format!("{port:?} is no port of the container")).into())
}

/// The names of ConfigMaps and Secrets a pod mounts, so that it can be told when one changes.
#[must_use]
pub fn mounts_config(pod: &Object, kind: &str, name: &str) -> bool {
    let names = |source: &Value| {
        (kind == "ConfigMap" && source["configMap"]["name"] == name)
            || (kind == "Secret"
                && (source["secret"]["secretName"] == name || source["secret"]["name"] == name))
    };
    pod.array("/spec/volumes").iter().any(|volume| {
        names(volume) || volume["projected"]["sources"].as_array().into_iter().flatten().any(&names)
    })
}

#[cfg(test)]
mod tests;
