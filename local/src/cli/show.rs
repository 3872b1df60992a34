//! Objects as text: tables as `kubectl` prints them, YAML and JSON.

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::Output;
use crate::cluster::enrolment::REDIRECTION;
use crate::cluster::gateway::WAYPOINT_CLASS;
use crate::cluster::status::word;
use crate::control::client::{Replies, send};
use crate::control::{Reply, Request};
use crate::manifest::Object;

/// The objects a `get` brought.
pub(super) fn objects(mut replies: Replies) -> anyhow::Result<Vec<Object>> {
    let mut list = Vec::new();
    while let Some(reply) = replies.next_reply()? {
        if let Reply::Objects { objects } = reply {
            for object in objects {
                list.push(Object::from_json(object, "").context("an object of the mesh")?);
            }
        }
    }
    Ok(list)
}

/// `error: HTTPRoute bookinfo/reviews: spec.rules[0]…: message`, with the file where it helps.
pub(super) fn refusal(origin: &str, object: &str, message: &str) -> String {
    let place = if origin.is_empty() { String::new() } else { format!(" ({origin})") };
    match object {
        "" => format!("{message}{place}"),
        object => format!("{object}: {message}{place}"),
    }
}

pub(super) fn listed(
    objects: &[Object],
    output: Output,
    namespaces: bool,
    single: bool,
) -> anyhow::Result<String> {
    let bare: Vec<&Value> = objects.iter().map(|o| &o.json).collect();
    let whole = match bare.as_slice() {
        [one] if single => (*one).clone(),
        all => json!({"apiVersion": "v1", "kind": "List", "items": all}),
    };
    Ok(match output {
        Output::Yaml => serde_saphyr::to_string(&whole)?,
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&whole)?),
        Output::Name => {
            objects.iter().map(|o| format!("{}/{}\n", o.key.kind.to_lowercase(), o.key.name)).collect()
        }
        Output::Table | Output::Wide => rows(objects, output == Output::Wide, namespaces, Utc::now()),
    })
}

fn rows(objects: &[Object], wide: bool, namespaces: bool, now: DateTime<Utc>) -> String {
    let Some(first) = objects.first() else { return "No resources found\n".to_owned() };
    let (mut head, columns) = columns(&first.key.kind, wide);
    head.insert(0, "NAME");
    if namespaces {
        head.insert(0, "NAMESPACE");
    }
    head.push("AGE");
    let mut table = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for object in objects {
        let mut row = vec![object.key.name.clone()];
        if namespaces {
            row.insert(0, object.key.namespace.clone());
        }
        row.extend(columns(object));
        row.push(age(object, now));
        table.push(row);
    }
    aligned(&table)
}

type Cells = fn(&Object) -> Vec<String>;

/// The columns between name and age.
fn columns(kind: &str, wide: bool) -> (Vec<&'static str>, Cells) {
    match (kind, wide) {
        ("Pod", false) => (vec!["READY", "STATUS", "RESTARTS", "MESH"], |p| pod(p)[..4].to_vec()),
        ("Pod", true) => (vec!["READY", "STATUS", "RESTARTS", "MESH", "IP", "NODE"], pod),
        ("Service", _) => (vec!["TYPE", "CLUSTER-IP", "PORT(S)"], service),
        ("Deployment" | "StatefulSet" | "DaemonSet", _) => (vec!["READY", "UP-TO-DATE"], workload),
        ("Gateway", _) => (vec!["CLASS", "ADDRESS", "PROGRAMMED"], gateway),
        ("EndpointSlice", _) => (vec!["PORTS", "ENDPOINTS"], slice),
        ("Namespace", _) => (vec!["STATUS", "MESH", "WAYPOINT"], namespace),
        _ => (vec![], |_| vec![]),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(s) if s.is_empty() => "<none>".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn pod(pod: &Object) -> Vec<String> {
    let statuses = pod.array("/status/containerStatuses");
    let ready = statuses.iter().filter(|s| s["ready"] == true).count();
    let restarts: u64 = statuses.iter().filter_map(|s| s["restartCount"].as_u64()).sum();
    let status = &pod.json["status"];
    vec![
        format!("{ready}/{}", pod.array("/spec/containers").len()),
        word(pod),
        restarts.to_string(),
        if pod.annotation(REDIRECTION) == Some("enabled") { "yes" } else { "no" }.to_owned(),
        text(&status["podIP"]),
        text(&pod.json["spec"]["nodeName"]),
    ]
}

fn service(service: &Object) -> Vec<String> {
    let port = |p: &Value| format!("{}/{}", text(&p["port"]), text(&p["protocol"]));
    let ports: Vec<String> = service.array("/spec/ports").iter().map(port).collect();
    let spec = &service.json["spec"];
    vec![
        text(&spec["type"]),
        text(&spec["clusterIP"]),
        if ports.is_empty() { "<none>".into() } else { ports.join(",") },
    ]
}

fn workload(workload: &Object) -> Vec<String> {
    let status = &workload.json["status"];
    let number = |a: &str, b: &str| status[a].as_u64().or_else(|| status[b].as_u64()).unwrap_or_default();
    let wanted =
        workload.json["spec"]["replicas"].as_u64().filter(|_| workload.key.kind != "DaemonSet").unwrap_or(1);
    vec![
        format!("{}/{wanted}", number("readyReplicas", "numberReady")),
        number("updatedReplicas", "updatedNumberScheduled").to_string(),
    ]
}

fn gateway(gateway: &Object) -> Vec<String> {
    let addresses: Vec<String> =
        gateway.array("/status/addresses").iter().map(|a| text(&a["value"])).collect();
    let condition = gateway.array("/status/conditions").iter().find(|c| c["type"] == "Programmed");
    let programmed = condition.map_or_else(|| "Unknown".to_owned(), |c| text(&c["status"]));
    vec![text(&gateway.json["spec"]["gatewayClassName"]), addresses.join(","), programmed]
}

fn slice(slice: &Object) -> Vec<String> {
    let ports: Vec<String> = slice.array("/ports").iter().map(|p| text(&p["port"])).collect();
    let endpoints: Vec<String> = slice.array("/endpoints").iter().map(|e| text(&e["addresses"][0])).collect();
    vec![ports.join(","), endpoints.join(",")]
}

fn namespace(namespace: &Object) -> Vec<String> {
    let label = |name: &str| namespace.label(name).unwrap_or("<none>").to_owned();
    vec![
        text(&namespace.json["status"]["phase"]).replace("<none>", "Active"),
        label("istio.io/dataplane-mode"),
        label("istio.io/use-waypoint"),
    ]
}

fn age(object: &Object, now: DateTime<Utc>) -> String {
    let Ok(created) = DateTime::parse_from_rfc3339(object.str("/metadata/creationTimestamp")) else {
        return "<unknown>".to_owned();
    };
    match (now - created.with_timezone(&Utc)).num_seconds().max(0) {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s => format!("{}h", s / 3600),
    }
}

/// Columns three spaces apart.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|c| table.iter().filter_map(|row| row.get(c)).map(|t| t.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        out.push_str(cells.join("   ").trim_end());
        out.push('\n');
    }
    out
}

/// What `ps` and `up` show.
pub(super) fn everything(socket: &Path) -> anyhow::Result<String> {
    let get = |kind: &str| {
        let request =
            Request::Get { kind: kind.to_owned(), name: None, namespace: None, selector: Vec::new() };
        objects(send(socket, &request, &[])?)
    };
    Ok(overview(&get("pods")?, &get("services")?, &get("gateways")?))
}

fn overview(pods: &[Object], services: &[Object], gateways: &[Object]) -> String {
    let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    let mut table = vec![row(&["NAMESPACE", "POD", "READY", "STATUS", "IP", "MESH"])];
    for p in pods {
        let cells = pod(p);
        table.push(row(&[&p.key.namespace, &p.key.name, &cells[0], &cells[1], &cells[4], &cells[3]]));
    }
    let mut out = aligned(&table);
    let mut table = vec![row(&["NAMESPACE", "SERVICE", "CLUSTER-IP", "PORTS"])];
    for s in services {
        let cells = service(s);
        table.push(row(&[&s.key.namespace, &s.key.name, &cells[1], &cells[2]]));
    }
    out.push('\n');
    out.push_str(&aligned(&table));
    let waypoints: Vec<&Object> =
        gateways.iter().filter(|g| g.str("/spec/gatewayClassName") == WAYPOINT_CLASS).collect();
    if !waypoints.is_empty() {
        let mut table = vec![row(&["NAMESPACE", "WAYPOINT", "ADDRESS", "PROGRAMMED"])];
        for g in waypoints {
            let cells = gateway(g);
            table.push(row(&[&g.key.namespace, &g.key.name, &cells[1], &cells[2]]));
        }
        out.push('\n');
        out.push_str(&aligned(&table));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::kinds::{GATEWAY, POD};

    fn a_pod() -> Object {
        Object::ours(
            &POD,
            "n",
            "web-1",
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {REDIRECTION: "enabled"}},
                "spec": {"containers": [{"name": "c"}], "nodeName": "fairway-node"},
                "status": {"phase": "Running", "podIP": "10.244.0.10", "containerStatuses": [{"ready": true, "restartCount": 1}]}}),
        )
    }

    #[test]
    fn pods_are_shown_as_kubectl_shows_them() {
        let now = "2026-01-01T00:01:30Z".parse().unwrap();
        assert_eq!(
            rows(&[a_pod()], true, false, now),
            "NAME    READY   STATUS    RESTARTS   MESH   IP            NODE           AGE\n\
             web-1   1/1     Running   1          yes    10.244.0.10   fairway-node   90s\n"
        );
        assert!(rows(&[a_pod()], false, true, now).starts_with("NAMESPACE   NAME "));
        assert_eq!(rows(&[], false, false, now), "No resources found\n");
    }

    #[test]
    fn yaml_reads_back() {
        let text = listed(&[a_pod()], Output::Yaml, false, true).unwrap();
        let back = crate::manifest::parse::parse("t", &text, "d").unwrap();
        assert_eq!(back[0].1.json, a_pod().json);
    }

    #[test]
    fn waypoints_are_listed_apart() {
        let other = Object::ours(&GATEWAY, "n", "ingress", json!({"spec": {"gatewayClassName": "istio"}}));
        assert!(!overview(&[a_pod()], &[], std::slice::from_ref(&other)).contains("WAYPOINT"));
        let mut waypoint = other;
        waypoint.json["spec"]["gatewayClassName"] = WAYPOINT_CLASS.into();
        waypoint.json["status"] = json!({"addresses": [{"value": "10.96.0.10"}], "conditions": [{"type": "Programmed", "status": "True"}]});
        let text = overview(&[a_pod()], &[], &[waypoint]);
        assert!(text.contains("n           ingress    10.96.0.10   True"), "{text}");
    }

    #[test]
    fn refusals_name_object_field_and_file() {
        let text = refusal("a.yaml", "HTTPRoute n/r", "spec.rules[0]: bad");
        assert_eq!(text, "HTTPRoute n/r: spec.rules[0]: bad (a.yaml)");
    }
}
