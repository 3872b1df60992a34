//! A container's environment: `env`, `envFrom`, the downward API, and `$(NAME)`.

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::pod_spec::{PodError, Sources};
use super::quantity;

/// The variables in order; a later one of the same name wins.
pub fn variables(
    pod: &Pod,
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Vec<(String, String)>, PodError> {
    let mut list = Vec::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let data = match (&from.config_map_ref, &from.secret_ref) {
            (Some(r), _) => sources.config_map(&r.name, r.optional)?,
            (None, Some(r)) => sources.secret(&r.name, r.optional)?,
            (None, None) => continue,
        };
        for (key, value) in data {
            set(&mut list, &format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => expand(value, &list),
            (None, None) => String::new(),
            (None, Some(from)) => match from_source(pod, container, from, sources)? {
                Some(value) => value,
                None => continue,
            },
        };
        set(&mut list, &variable.name, value);
    }
    Ok(list)
}

fn set(list: &mut Vec<(String, String)>, name: &str, value: String) {
    list.retain(|(n, _)| n != name);
    list.push((name.to_owned(), value));
}

/// `None`: an optional reference to what does not exist.
fn from_source(
    pod: &Pod,
    container: &Container,
    from: &EnvVarSource,
    sources: &Sources<'_>,
) -> Result<Option<String>, PodError> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if let Some(field) = &from.field_ref {
        return field_value(pod, sources, &field.field_path).map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        let divisor = resource.divisor.as_ref().map_or("1", |q| q.0.as_str());
        return resource_value(container, sources, &resource.resource, divisor).map(Some);
    }
    let (kind, name, key, optional, data) = match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(r), _) => ("ConfigMap", &r.name, &r.key, r.optional, sources.config_map(&r.name, r.optional)?),
        (None, Some(r)) => ("Secret", &r.name, &r.key, r.optional, sources.secret(&r.name, r.optional)?),
        (None, None) => return Err(PodError::Unsupported("this kind of env valueFrom".to_owned())),
    };
    match (data.get(key).cloned(), optional.unwrap_or_default()) {
        (Some(value), _) => Ok(Some(text(value))),
        (None, true) => Ok(None),
        (None, false) => Err(PodError::Missing(format!("{kind} {name} has no key {key}"))),
    }
}

/// A `fieldPath` of the downward API.
pub fn field_value(pod: &Pod, sources: &Sources<'_>, path: &str) -> Result<String, PodError> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some(key) = path.strip_prefix("metadata.labels['").and_then(|k| k.strip_suffix("']")) {
        return Ok(metadata.labels.as_ref().and_then(|l| l.get(key)).cloned().unwrap_or_default());
    }
    if let Some(key) = path.strip_prefix("metadata.annotations['").and_then(|k| k.strip_suffix("']")) {
        return Ok(metadata.annotations.as_ref().and_then(|l| l.get(key)).cloned().unwrap_or_default());
    }
    let value = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => Some(listed(metadata.labels.as_ref())),
        "metadata.annotations" => Some(listed(metadata.annotations.as_ref())),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()),
        "status.hostIP" | "status.hostIPs" => Some(sources.node_ip.to_string()),
        "status.podIP" | "status.podIPs" => Some(sources.pod_ip.to_string()),
        _ => return Err(PodError::Unsupported(format!("fieldPath {path:?}"))),
    };
    Ok(value.unwrap_or_default())
}

/// `key="value"` lines, as the downward API writes labels and annotations.
fn listed(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A container's limit or request; without one, what the node has.
fn resource_value(
    container: &Container,
    sources: &Sources<'_>,
    name: &str,
    divisor: &str,
) -> Result<String, PodError> {
    let (list, resource) = name.split_once('.').unwrap_or(("limits", name));
    let given = container.resources.as_ref().and_then(|r| match list {
        "requests" => r.requests.as_ref(),
        _ => r.limits.as_ref(),
    });
    let given = given.and_then(|map| map.get(resource)).map(|q| q.0.clone());
    let quantity = match (given, list, resource) {
        (Some(quantity), _, _) => quantity,
        (None, "requests", _) => "0".to_owned(),
        (None, _, "cpu") => sources.node_cpus.to_string(),
        (None, _, "memory") => sources.node_memory.to_string(),
        _ => return Err(PodError::Unsupported(format!("resourceFieldRef {name:?}"))),
    };
    quantity::divided(&quantity, divisor)
        .map(|n| n.to_string())
        .ok_or_else(|| PodError::Unsupported(format!("quantity {quantity:?} / {divisor:?}")))
}

/// Kubernetes' expansion: `$(NAME)` of a known variable, `$$` for a dollar; anything else stays as it is.
#[must_use]
pub fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map(|(name, _)| name);
        match name.and_then(|name| Some((name, variables.iter().find(|(n, _)| n == name)?))) {
            Some((name, (_, value))) => {
                out.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}
